import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Connection, createPublisher } from 'tabwire/server'
import { memoryStore } from 'tabwire/stores/memory'
import { startCluster, startWithLine } from './cluster'
import { ANN, BOB, EVE, serve, type TestUser, until } from './helpers'

const page = (instance: string, browser = 'b') => `clientId=${browser}&clientInstanceId=${instance}`

test('a send at any node reaches the users of all, and says to how many connections', async (t) => {
  const { nodes, publisher } = await startCluster(t, 2)
  const [a, b] = nodes
  assert.ok(a && b)
  const [ann, ann2, bob] = [await a.connect(ANN), await b.connect(ANN), await b.connect(BOB, 'channel=news')]
  assert.equal(await a.sse.sendByUserId(BOB.id ?? '', 'one', 1), 1)
  assert.equal(await b.sse.sendByUserId([1, 2], 'two', 2), 3)
  assert.equal(await publisher.sendByTenantId(3, 'three', 3), 3)
  assert.equal(await publisher.sendByChannel('news', 'four', 4), 1)
  assert.equal(await publisher.sendByAccessToken(ANN.accessToken ?? '', 'five', 5), 2)
  assert.equal(await publisher.sendAll('six', 6), 3)
  assert.equal(await publisher.sendByUserId(99, 'nobody', 0), 0)
  assert.equal(await publisher.sendAll('seven', 7, { listening: true }), 0)
  for (const [name, data] of [
    ['two', '2'],
    ['three', '3'],
    ['five', '5'],
    ['six', '6'],
  ] as const) {
    assert.equal(await ann.next(name), data)
    assert.equal(await ann2.next(name), data)
  }
  assert.deepEqual([await bob.next('one'), await bob.next('four'), await bob.next('six')], ['1', '4', '6'])
})

test('services and publishers of one process on one memory store are nodes of each other, too', async (t) => {
  const store = memoryStore()
  const [a, b] = [await serve(t, { store }), await serve(t, { store })]
  const publisher = createPublisher({ name: 'hr', store })
  t.after(() => publisher.close())
  const ann = await a.connect(ANN, page('1'))
  await b.connect(BOB)
  assert.equal(await publisher.sendByTenantId(3, 'n', 1), 2)
  assert.equal(await publisher.qos().sendByUserId(1, 'n', 2), 1)
  assert.deepEqual([await publisher.isOnline(2), await b.sse.getConnectionCount()], [true, 2])
  assert.equal(await b.sse.getUser(1), (await a.sse.getConnection(ann.id))?.user, 'as it is')
  assert.deepEqual(
    (await b.call('/connect/removeListener.do', { as: ANN, json: { connectionId: ann.id, listener: [] } }))
      .status,
    200,
  )
  assert.equal(await publisher.disconnectByUserId([1, 2]), 2)
  assert.match(await ann.next('connect-close'), /server-close/)
})

test('all questions are answered for all nodes, at any node and by a publisher', async (t) => {
  const { nodes, publisher } = await startCluster(t, 2)
  const [a, b] = nodes
  assert.ok(a && b)
  const ann = await a.connect(ANN, 'listeners=bell&channel=news')
  await b.connect(BOB, 'listeners=other')
  await b.connect(EVE)
  for (const { sse } of [...nodes, { sse: publisher }]) {
    assert.deepEqual((await sse.getUserIds()).map(String).sort(), ['1', '2', '3'])
    assert.deepEqual((await sse.getUsers()).map(({ name }) => name).sort(), ['Ann', 'Bob', 'Eve'])
    assert.deepEqual(await sse.getUser('1'), ANN)
    assert.deepEqual([await sse.isOnline(2), await sse.isOnline(4)], [true, false])
    assert.deepEqual(await sse.getUsersByListening('bell'), [ANN])
    assert.deepEqual(await sse.getUsersByTenantIdListening(3, 'other'), [BOB])
    assert.deepEqual((await sse.getTenantIds()).sort(), [3, 4])
    assert.deepEqual(await sse.getChannels(), ['news'])
    assert.equal((await sse.getAccessTokens()).length, 2)
    assert.deepEqual([await sse.getUserCount(), await sse.getConnectionCount()], [3, 3])
    assert.equal(await sse.getAccessTokenCount(), 2)
    assert.equal((await sse.getConnections({ tenantId: 3, listening: 'bell' })).length, 1)
    const found = await sse.getConnection(ann.id)
    assert.deepEqual([found?.id, found?.user, found?.channel], [ann.id, ANN, 'news'])
    assert.equal(await sse.getPresence(1), 'visible')
    assert.equal(await sse.getPresence(99), 'gone')
  }
  ann.leave()
  await until(async () => !(await publisher.isOnline(1)), 'her to be gone')
  assert.equal(await b.sse.getConnection(ann.id), undefined)
  assert.equal(await b.sse.getPresence(1), 'lost')
})

test('connections are ended, and their durations set, from any node', async (t) => {
  const { nodes, publisher } = await startCluster(t, 2)
  const [a, b] = nodes
  assert.ok(a && b)
  const [ann, bob, eve] = [await a.connect(ANN), await b.connect(BOB), await b.connect(EVE)]
  assert.equal(await b.sse.setDurationByUserId(1, 60), 1)
  assert.equal(await ann.next('sse-set-duration'), '{"duration":"60"}')
  assert.equal((await b.sse.getConnection(ann.id))?.sessionDuration, 60)
  assert.equal(await publisher.clearDurationByConnectionId([ann.id, bob.id, 'none']), 2)
  assert.equal(await a.sse.setDurationByAccessToken('nobody', 5), 0)
  assert.equal(await a.sse.disconnectByConnectionId([bob.id, bob.id, 'none']), 1)
  assert.match(await bob.next('connect-close'), /server-close/)
  assert.equal(await publisher.disconnectByUserId([1, 3]), 2)
  assert.match(await ann.next('connect-close'), /server-close/)
  assert.match(await eve.next('connect-close'), /server-close/)
  assert.equal(await publisher.getConnectionCount(), 0)
})

test('what is posted at another node than the stream is handled with the connection as it is', async (t) => {
  const seen: Connection<TestUser>[] = []
  const handled = {
    onMessage: (_path: string, connection: Connection<TestUser>) => void seen.push(connection),
  }
  const { nodes } = await startCluster(t, 2, handled)
  const [a, b] = nodes
  assert.ok(a && b)
  const ann = await a.connect(ANN, `${page('1')}&color=red&listeners=bell`)
  const post = (json: unknown, user = ANN) =>
    b.call(`/connect/message/hello.do?connectionId=${ann.id}`, { as: user, json })
  assert.equal((await post({ n: 1 })).status, 200)
  const [connection] = seen
  assert.ok(connection)
  assert.deepEqual([connection.id, connection.user, connection.userId], [ann.id, ANN, 1])
  assert.deepEqual([connection.attributes['color'], connection.listeners], ['red', ['bell']])
  assert.equal(await connection.send('answer', { yes: true }), 1)
  assert.equal(await ann.next('answer'), '{"yes":true}')
  const here = await a.sse.getConnection(ann.id)
  await until(() => here?.requestMessageCount === 1, 'its node to count it')
  assert.ok(here?.lastRequestTime)
  assert.equal((await post({ n: 1 }, BOB)).status, 403, 'it is hers')
  connection.disconnect('enough', { reconnect: false })
  assert.deepEqual(JSON.parse(await ann.next('connect-close')), {
    ...{ connectionId: ann.id, reason: 'enough', reconnect: false },
  })
  await until(async () => (await b.sse.getConnection(ann.id)) === undefined, 'it to be known')
  assert.equal((await post({ n: 2 })).status, 404, 'it was sent away')
  assert.equal((await b.call('/connect/message/a.do?connectionId=none', { as: ANN, json: {} })).status, 404)
})

test('listeners are changed, absence is reported and goodbye is said at any node', async (t) => {
  const { nodes } = await startCluster(t, 2)
  const [a, b] = nodes
  assert.ok(a && b)
  const ann = await a.connect(ANN, 'listeners=one')
  const change = (path: string, listener: unknown, at = b) =>
    at.call(`/connect/${path}.do`, { as: ANN, json: { connectionId: ann.id, listener } })
  assert.deepEqual((await change('addListener', ['two'])).json.data, { listener: ['one', 'two'] })
  assert.deepEqual(await b.sse.getUsersByListening('two'), [ANN])
  assert.deepEqual((await change('removeListener', ['one'])).json.data, { listener: ['two'] })
  const refused = await change('addListener', 'two')
  assert.deepEqual([refused.status, refused.json.message], [400, 'listener must be an array of names.'])
  const report = (json: object) =>
    b.call('/connect/report.do', { as: ANN, json: { connectionId: ann.id, ...json } })
  assert.equal((await report({ away: true })).status, 200)
  assert.equal(await b.sse.getPresence(1), 'away')
  const goodbye = await b.call('/connect/disconnect.do', {
    as: ANN,
    json: { connectionId: ann.id, reason: 'visibilitychange', duration: 7, sessionDuration: 3 },
  })
  assert.deepEqual(goodbye.json.data, { count: 1 })
  assert.equal(await b.sse.getPresence(1), 'hidden')
  const again = await b.call('/connect/disconnect.do', { as: ANN, json: { connectionId: ann.id } })
  assert.deepEqual(again.json.data, { count: 0 })
  assert.equal((await change('addListener', ['three'])).status, 404)
})

test('what a node has answered, all nodes know', async (t) => {
  const { nodes, line } = await startWithLine(t, 2, 0)
  const [slow, b] = nodes
  assert.ok(slow && b)
  const [ann, bob, eve] = [await slow.connect(ANN), await slow.connect(BOB), await slow.connect(EVE)]
  line.delay(50)
  for (const [at, name] of [
    [slow, 'one'],
    [b, 'two'],
  ] as const) {
    await at.call('/connect/addListener.do', {
      ...{ as: ANN, json: { connectionId: ann.id, listener: [name] } },
    })
    assert.deepEqual(await b.sse.getUsersByListening(name), [ANN])
  }
  await slow.call('/connect/report.do', { as: ANN, json: { connectionId: ann.id, away: true } })
  assert.equal(await b.sse.getPresence(1), 'away')
  await slow.sse.setDurationByUserId(1, 60)
  assert.equal((await b.sse.getConnection(ann.id))?.sessionDuration, 60)
  const goodbye = { connectionId: ann.id, reason: 'visibilitychange' }
  await slow.call('/connect/disconnect.do', { as: ANN, json: goodbye })
  assert.equal(await b.sse.getPresence(1), 'hidden')
  await slow.sse.disconnectByConnectionId(bob.id)
  assert.equal(await b.sse.isOnline(2), false)
  await b.sse.disconnectByConnectionId(eve.id)
  assert.equal(await b.sse.getConnectionCount(), 0)
})

test('who comes back to another node goes on where it was', async (t) => {
  const { nodes, publisher } = await startCluster(t, 2)
  const [a, b] = nodes
  assert.ok(a && b)
  const before = await a.connect(ANN, page('1'))
  await publisher.sendByUserId(1, 'news', 'first')
  await before.next('news')
  before.leave()
  await until(async () => !(await publisher.isOnline(1)), 'her to be gone')
  await publisher.sendByUserId(1, 'news', 'second')
  const after = await b.connect(ANN, `${page('1')}&lastEventId=${before.cursor}`)
  assert.deepEqual([after.finish['recovered'], after.finish['replayed']], [true, 1])
  assert.equal(await after.next('news'), 'second')
})

test('a client object has one stream, a browser only so many, on whichever node', async (t) => {
  const { nodes } = await startCluster(t, 2, { clientIdMaxConnections: 2 })
  const [a, b] = nodes
  assert.ok(a && b)
  const first = await a.connect(ANN, page('1'))
  const second = await b.connect(ANN, page('1'))
  assert.match(await first.next('connect-close'), /superseded/)
  await a.connect(ANN, page('2'))
  await a.connect(ANN, page('3'))
  assert.match(await second.next('connect-close'), /too-many-connections/)
  await until(async () => (await a.sse.getConnectionCount()) === 2, 'only two to be there')
})

test('a page that comes back on another node was not gone', async (t) => {
  const heard: string[] = []
  const { nodes } = await startCluster(t, 2, { disconnectGrace: 700 })
  const [a, b] = nodes
  assert.ok(a && b)
  for (const [name, { sse }] of Object.entries({ a, b })) {
    sse.onConnect(({ id }, { previous }) => heard.push(`${name}+${id}<${previous?.id}`))
    sse.onDisconnect(({ id }, reason) => heard.push(`${name}-${id} ${reason}`))
  }
  const goodbye = (id: string) =>
    a.call('/connect/disconnect.do', { as: ANN, json: { connectionId: id, reason: 'pagehide' } })
  const one = await a.connect(ANN, page('1'))
  await goodbye(one.id)
  const two = await b.connect(ANN, page('2'))
  const three = await a.connect(BOB, page('1'))
  await goodbye(two.id)
  three.leave()
  await until(() => heard.some((line) => line.startsWith(`a-${three.id}`)), 'him to be gone')
  await until(() => heard.some((line) => line.startsWith('b-')), 'her to be gone')
  assert.deepEqual(heard.slice(0, 3), [
    `a+${one.id}<undefined`,
    `b+${two.id}<${one.id}`,
    `a+${three.id}<undefined`,
  ])
  // Each node waits by itself.
  assert.deepEqual(heard.slice(3).sort(), [`a-${three.id} lost`, `b-${two.id} pagehide`])
})

test('a page whose line broke unnoticed, and that comes back on another node, was not gone', async (t) => {
  const heard: string[] = []
  const { nodes } = await startCluster(t, 2, { disconnectGrace: 300 })
  const [a, b] = nodes
  assert.ok(a && b)
  for (const { sse } of nodes) {
    sse.onConnect(({ id }, { previous }) => heard.push(`+${id}<${previous?.id}`))
    sse.onDisconnect(({ id }, reason) => heard.push(`-${id} ${reason}`))
  }
  const one = await a.connect(ANN, page('1'))
  const two = await b.connect(ANN, page('1'))
  assert.match(await one.next('connect-close'), /superseded/)
  two.leave()
  await until(() => heard.length > 2, 'her leaving to be told')
  assert.deepEqual(heard, [`+${one.id}<undefined`, `+${two.id}<${one.id}`, `-${two.id} lost`])
})

test('two polls at once at a node that does not have their connection continue it once', async (t) => {
  const { nodes, publisher } = await startCluster(t, 2)
  const [a, b] = nodes
  assert.ok(a && b)
  const poll = (at: typeof a, query: string) =>
    at.call(`/connect?mode=poll&${page('1')}&${query}`, { as: ANN })
  const { text } = await poll(a, 'wait=0')
  const [, connectionId] = /"connectionId":"([^"]+)"/.exec(text) ?? []
  const [, lastEventId] = /^id: (.*)$/m.exec(text) ?? []
  const query = `lastEventId=${lastEventId}&connectionId=${connectionId}&wait=200`
  await Promise.all([poll(b, query), poll(b, query)])
  await until(async () => (await publisher.getConnectionCount()) === 1, 'one connection to be there')
  assert.equal((await publisher.getConnection(connectionId ?? ''))?.id, connectionId)
})

test('a repeat at another node gets the answer of the first, also while that runs', async (t) => {
  let runs = 0
  const { nodes } = await startCluster(t, 2, {
    onMessage: async (_path, _connection, message) => {
      await new Promise((resolve) => setTimeout(resolve, 5))
      return { run: ++runs, message }
    },
  })
  const [a, b] = nodes
  assert.ok(a && b)
  const ann = await a.connect(ANN)
  const post = async (at: typeof a, key: string): Promise<unknown> => {
    const { json } = await at.call(`/connect/message/pay.do?connectionId=${ann.id}`, {
      ...{ as: ANN, json: { sum: 5 }, headers: { 'Idempotency-Key': `"${key}"` } },
    })
    return json.data
  }
  for (let n = 0; n < 200; n++) {
    const answers: unknown[] = await Promise.all([post(a, `k${n}`), post(b, `k${n}`)])
    answers.push(await post(n % 2 ? a : b, `k${n}`))
    assert.deepEqual(
      answers,
      answers.map(() => answers[0]),
    )
  }
  assert.equal(runs, 200)
})

test('an upload is taken at another node than the stream', async (t) => {
  const { nodes } = await startCluster(t, 2, {
    onUpload: async (_path, connection, message, files) => ({
      ...{ id: connection.id, message, sizes: files.map(({ size }) => size) },
    }),
  })
  const [a, b] = nodes
  assert.ok(a && b)
  const ann = await a.connect(ANN)
  const form = new FormData()
  form.set('title', 'photo')
  form.set('file', new File(['12345'], 'a.txt'))
  const { json } = await b.call(`/connect/upload/photo.do?connectionId=${ann.id}`, { as: ANN, body: form })
  assert.deepEqual(json.data, { id: ann.id, message: { title: 'photo' }, sizes: [5] })
})

test('qos: a publisher sends, one node shows it, another hears of the acknowledgement', async (t) => {
  const { nodes, publisher } = await startCluster(t, 2, { ackTimeout: 60_000 })
  const [a, b] = nodes
  assert.ok(a && b)
  const ann = await a.connect(ANN, `${page('1')}&acks=1&listeners=contract`)
  const sent = publisher.qos().sendByUserId(1, 'contract', { id: 12 })
  assert.equal(await ann.next('contract'), '{"id":12}')
  await b.call('/connect/report.do', {
    as: ANN,
    json: { connectionId: ann.id, lastEventId: ann.cursor },
  })
  assert.equal(await sent, 1)
  const later = publisher.qos().sendByUserId(2, 'contract', { id: 13 })
  const bob = await b.connect(BOB, 'listeners=contract')
  assert.equal(await bob.next('contract'), '{"id":13}')
  assert.equal(await later, 1, 'an EventSource acknowledges by being written to')
  const taken = publisher.qos().sendByUserId(3, 'contract', { id: 14 })
  assert.equal(await taken.cancel(), true)
  assert.equal(await taken, 0)
})

test('qos for each: those who are online on any node are asked', async (t) => {
  const { nodes, publisher } = await startCluster(t, 2)
  const [a, b] = nodes
  assert.ok(a && b)
  await a.connect(ANN, 'listeners=n')
  await b.connect(BOB, 'listeners=n')
  await b.connect(EVE)
  assert.equal(await publisher.qos().sendByTenantId(3, 'n', 1, { each: true }), 2)
  assert.equal(await a.sse.qos().sendAll('n', 1, { each: true, listening: true }), 2)
  assert.equal(await a.sse.qos().sendByChannel('nobody', 'n', 1, { each: true }), 0)
})

test('polls that land on one node and another are one connection, and miss nothing', async (t) => {
  const { nodes, publisher } = await startCluster(t, 2, (node) => ({
    ...{ serverId: node === 0 ? 'a' : 'b', onMessage: () => 'ok' },
  }))
  const [a, b] = nodes
  assert.ok(a && b)
  const poll = async (at: typeof a, query: string) => {
    const { text } = await at.call(`/connect?mode=poll&${page('1')}&${query}`, { as: ANN })
    const ids = [...text.matchAll(/^id: (.*)$/gm)].map(([, id]) => id)
    return { text, id: ids.at(-1) ?? '', connectionId: /"connectionId":"([^"]+)"/.exec(text)?.[1] }
  }
  const first = await poll(a, 'wait=0')
  const go = (id: string) => `lastEventId=${id}&connectionId=${first.connectionId}`
  const waiting = poll(b, go(first.id))
  await until(
    async () => (await b.sse.getConnection(first.connectionId ?? ''))?.serverId === 'b',
    'it to be there',
  )
  await until(async () => (await publisher.getConnectionCount()) === 1, 'it to be there alone')
  assert.equal(await publisher.sendByUserId(1, 'news', 'here'), 1)
  const second = await waiting
  assert.match(second.text, /^id: .*\nevent: news\ndata: here\n\n$/, 'it knows who it is')
  const posted = await a.call(`/connect/message/a.do?connectionId=${first.connectionId}`, {
    as: ANN,
    json: {},
  })
  assert.equal(posted.status, 200)
  await publisher.sendByUserId(1, 'news', 'between')
  const third = await poll(a, go(second.id))
  assert.match(third.text, /^id: .*\nevent: news\ndata: between\n\n$/)
  await until(async () => (await publisher.getConnectionCount()) === 1, 'it to be here alone')
})
