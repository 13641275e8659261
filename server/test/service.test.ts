import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { createSse } from 'tabwire/server'
import { memoryStore } from 'tabwire/stores/memory'
import { ANN, BOB, callAt, EVE, serve, until } from './helpers'

const sorted = (values: Iterable<unknown>) => [...values].map(String).sort()

test('an event reaches exactly those it is for, and the sender learns their number', async (t) => {
  const app = await serve(t)
  const ann = await app.connect(ANN, 'channel=news')
  const annAgain = await app.connect(ANN)
  const bob = await app.connect(BOB, 'channel=news')
  const eve = await app.connect(EVE, 'channel=sport')
  const { sse } = app
  const cases: [string, Promise<number>, (typeof ann)[]][] = [
    ['all', sse.sendAll('all'), [ann, annAgain, bob, eve]],
    ['one', sse.sendByUserId(1, 'one'), [ann, annAgain]],
    ['text', sse.sendByUserId('1', 'text'), [ann, annAgain]],
    ['two', sse.sendByUserId([1, 3, 1, 99], 'two'), [ann, annAgain, eve]],
    ['set', sse.sendByUserId(new Set([2]), 'set'), [bob]],
    ['none', sse.sendByUserId([], 'none'), []],
    ['tenant', sse.sendByTenantId(3, 'tenant'), [ann, annAgain, bob]],
    ['tenants', sse.sendByTenantId([3, '4'], 'tenants'), [ann, annAgain, bob, eve]],
    ['token', sse.sendByAccessToken('secret-of-bob', 'token'), [bob]],
    ['channel', sse.sendByChannel('news', 'channel'), [ann, bob]],
    ['channels', sse.sendByChannel(['news', 'sport'], 'channels'), [ann, bob, eve]],
  ]
  for (const [name, sent, receivers] of cases) assert.equal(await sent, receivers.length, name)
  await sse.sendAll('end')
  for (const stream of [ann, annAgain, bob, eve]) {
    await stream.next('end')
    const expected = cases.filter(([, , receivers]) => receivers.includes(stream)).map(([name]) => name)
    assert.deepEqual(stream.names, ['connect-finish', ...expected, 'end'])
  }
})

test('with listening, only those who listen to the event get it', async (t) => {
  const app = await serve(t)
  const listening = await app.connect(ANN, 'listeners=bell,other')
  const deaf = await app.connect(ANN, 'listeners=other')
  assert.equal(await app.sse.sendByUserId(1, 'bell', 1, { listening: true }), 1)
  assert.equal(await app.sse.sendAll('bell', 2, { listening: false }), 2)
  assert.equal(await app.sse.sendAll('nobody', 3, { listening: true }), 0)
  assert.equal(await listening.next('bell'), '1')
  assert.equal(await deaf.next('bell'), '2')
})

test('what names nobody is a mistake of the programmer, not an empty audience', async (t) => {
  const { sse } = await serve(t)
  // As plain JavaScript would call it.
  const nobody = undefined as unknown as number
  await assert.rejects(sse.sendByUserId(nobody, 'x'), TypeError)
  await assert.rejects(sse.sendByUserId([1, nobody], 'x'), TypeError)
  await assert.rejects(sse.isOnline(nobody), TypeError)
  await assert.rejects(sse.getUser(nobody), TypeError)
  await assert.rejects(sse.getUsersByListening(nobody as unknown as string), TypeError)
  await assert.rejects(sse.disconnectByUserId(nobody), TypeError)
  await assert.rejects(sse.setDurationByUserId(1, Number.NaN), TypeError)
  await assert.rejects(sse.setDurationByUserId(1, -1), TypeError)
  for (const within of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31, '100' as unknown as number])
    await assert.rejects(sse.close({ within }), /TypeError: close: within/)
})

test('the service knows who is here', async (t) => {
  const app = await serve(t)
  const { sse } = app
  const ann = await app.connect(ANN, 'channel=news&listeners=bell&clientId=c1')
  await app.connect({ ...ANN, id: '1' }, 'clientId=c2')
  await app.connect(BOB, 'listeners=bell,mail')
  await app.connect(EVE, 'channel=sport&listeners=mail')
  await app.connect({ accessToken: 'anonymous' })
  assert.deepEqual(sorted((await sse.getUsers()).map(({ name }) => name)), ['Ann', 'Bob', 'Eve', 'undefined'])
  assert.deepEqual(await sse.getUser('1'), ANN)
  assert.equal(await sse.getUser(99), undefined)
  assert.deepEqual(sorted(await sse.getUserIds()), ['1', '2', '3'])
  assert.deepEqual(
    [await sse.isOnline(1), await sse.isOnline('2'), await sse.isOnline(99)],
    [true, true, false],
  )
  assert.deepEqual(sorted((await sse.getUsersByListening('mail')).map(({ name }) => name)), ['Bob', 'Eve'])
  assert.deepEqual(await sse.getUsersByTenantIdListening(3, 'mail'), [BOB])
  assert.deepEqual(sorted(await sse.getTenantIds()), ['3', '4'])
  assert.deepEqual(sorted(await sse.getChannels()), ['news', 'sport'])
  assert.deepEqual(sorted(await sse.getAccessTokens()), ['anonymous', 'secret-of-ann', 'secret-of-bob'])
  assert.equal(await sse.getUserCount(), 4)
  assert.equal(await sse.getAccessTokenCount(), 3)
  assert.equal(await sse.getConnectionCount(), 5)
  assert.equal((await sse.getConnection(ann.id))?.userId, 1)
  assert.equal(await sse.getConnection('unknown'), undefined)
})

test('connections are found by what they are', async (t) => {
  const app = await serve(t)
  const ann = await app.connect(ANN, 'channel=news&clientId=c1&listeners=bell')
  const bob = await app.connect(BOB, 'channel=news&clientId=c1')
  const find = async (filter?: Parameters<typeof app.sse.getConnections>[0]) =>
    sorted((await app.sse.getConnections(filter)).map(({ id }) => id))
  assert.deepEqual(await find(), sorted([ann.id, bob.id]))
  assert.deepEqual(await find({ userId: '1' }), [ann.id])
  assert.deepEqual(await find({ tenantId: 3, channel: 'news' }), sorted([ann.id, bob.id]))
  assert.deepEqual(await find({ accessToken: 'secret-of-bob' }), [bob.id])
  assert.deepEqual(await find({ clientId: 'c1', listening: 'bell' }), [ann.id])
  assert.deepEqual(await find({ userId: 1, channel: 'sport' }), [])
})

test('a filter with a member that does not exist is told, instead of finding everybody', async (t) => {
  const { sse } = await serve(t)
  for (const [filter, named] of [
    [{ userID: 1 }, /userID/],
    [{ userId: 1, id: 'x' }, /knows no id/],
    [{ toString: 1 }, /toString/],
    [null, /object/],
    ['1', /object/],
    [[], /object/],
    [() => true, /object/],
  ] as const) {
    const wrong = filter as unknown as Parameters<typeof sse.getConnections>[0]
    await assert.rejects(
      sse.getConnections(wrong),
      (error) => error instanceof TypeError && named.test(error.message),
    )
  }
})

test('who has gone is not here any more', async (t) => {
  const app = await serve(t)
  const stream = await app.connect(ANN, 'channel=news')
  stream.leave()
  await until(async () => (await app.sse.getConnectionCount()) === 0, 'the connection to be gone')
  assert.deepEqual(await app.sse.getUsers(), [])
  assert.deepEqual(await app.sse.getChannels(), [])
  assert.deepEqual(await app.sse.getAccessTokens(), [])
  assert.equal(await app.sse.sendByUserId(1, 'x'), 0)
})

test('users, tokens and single connections are disconnected, and nobody else', async (t) => {
  const app = await serve(t)
  const first = await app.connect(ANN)
  const second = await app.connect(ANN)
  assert.equal(await app.sse.disconnectByConnectionId([first.id, first.id, 'unknown']), 1)
  await first.ended()
  const bob = await app.connect(BOB)
  const eve = await app.connect(EVE)
  assert.equal(await app.sse.disconnectByUserId([1, 99]), 1)
  assert.equal(await app.sse.disconnectByAccessToken('secret-of-bob'), 1)
  await Promise.all([second.ended(), bob.ended()])
  assert.equal((await second.json('connect-close'))['reason'], 'server-close')
  assert.equal(await app.sse.sendAll('x'), 1)
  await eve.next('x')
})

test('a duration is told at once to who is here, and on arrival to who is not', async (t) => {
  const app = await serve(t)
  const { sse } = app
  const ann = await app.connect(ANN)
  assert.equal(await sse.setDurationByUserId([1, 2], 90), 1)
  assert.deepEqual(await ann.json('sse-set-duration'), { duration: '90' })
  assert.equal((await sse.getConnection(ann.id))?.sessionDuration, 90)
  const bob = await app.connect(BOB)
  assert.deepEqual(await bob.json('sse-set-duration'), { duration: '90' })
  const bobAgain = await app.connect(BOB)
  await sse.sendByUserId(2, 'end')
  await bobAgain.next('end')
  assert.deepEqual(bobAgain.names, ['connect-finish', 'end'], 'told once')
})

test('durations are set and cleared by token and by connection too', async (t) => {
  const app = await serve(t)
  const { sse } = app
  assert.equal(await sse.setDurationByAccessToken('secret-of-ann', 7), 0)
  const ann = await app.connect(ANN)
  assert.deepEqual(await ann.json('sse-set-duration'), { duration: '7' })
  assert.equal(await sse.setDurationByConnectionId(ann.id, 8), 1)
  assert.equal(await sse.setDurationByConnectionId('unknown', 8), 0)
  assert.equal(await sse.clearDurationByConnectionId(ann.id), 1)
  assert.equal(await sse.clearDurationByUserId(1), 1)
  assert.equal(await sse.clearDurationByAccessToken('secret-of-ann'), 1)
  await app.sse.sendAll('end')
  await ann.next('end')
  const told = ann.events
    .filter(({ name }) => name === 'sse-set-duration')
    .map(({ data }) => JSON.parse(data).duration)
  assert.deepEqual(told, ['7', '8', '0', '0', '0'])
})

test('two services with one store do not mix what they remember', async (t) => {
  const store = memoryStore()
  const hr = await serve(t, { name: 'hr', store })
  const shop = await serve(t, { name: 'shop', store })
  await hr.sse.setDurationByUserId(1, 50)
  const there = await shop.connect(ANN)
  await shop.sse.sendAll('end')
  await there.next('end')
  assert.deepEqual(there.names, ['connect-finish', 'end'])
  assert.deepEqual(await (await hr.connect(ANN)).json('sse-set-duration'), { duration: '50' })
})

test('the memory store lets the oldest go, so it cannot grow without end', async () => {
  const store = memoryStore({ maxDurations: 2 })
  for (const topic of ['user:1', 'user:2', 'user:1', 'user:3']) await store.setDuration('s', topic, 5)
  assert.equal(await store.takeDuration('s', ['user:2']), undefined)
  assert.equal(await store.takeDuration('s', ['user:1']), 5)
  assert.equal(await store.takeDuration('s', ['user:1']), undefined, 'taken')
  assert.equal(await store.takeDuration('s', ['user:3']), 5)
})

test('a store that fails is reported and keeps nobody out', async (t) => {
  const broken = { ...memoryStore(), takeDuration: () => Promise.reject(new Error('disk on fire')) }
  const app = await serve(t, { store: broken })
  const stream = await app.connect(ANN)
  assert.equal(await app.sse.sendAll('x'), 1)
  await stream.next('x')
  assert.deepEqual(
    app.errors.map(({ where }) => where),
    ['the store'],
  )
})

test('hooks hear of coming, listening and going, until they unsubscribe', async (t) => {
  const app = await serve(t)
  const heard: string[] = []
  const release = [
    app.sse.onConnect((connection) => heard.push(`+${connection.userId}`)),
    app.sse.onDisconnect((connection, reason) => heard.push(`-${connection.userId} ${reason}`)),
    app.sse.onListeningChange(({ connection, before, after }) =>
      heard.push(`${connection.userId}: ${before} > ${after}`),
    ),
  ]
  const ann = await app.connect(ANN, 'listeners=a')
  const change = (path: string, listener: string[]) =>
    app.call(`/connect/${path}.do`, { as: ANN, json: { connectionId: ann.id, listener } })
  assert.deepEqual((await change('addListener', ['b', 'b', 'a'])).json.data, { listener: ['a', 'b'] })
  assert.deepEqual((await change('addListener', [])).json.data, { listener: ['a', 'b'] })
  assert.deepEqual((await change('removeListener', ['a', 'zzz'])).json.data, { listener: ['b'] })
  assert.deepEqual((await app.sse.getConnection(ann.id))?.listeners, ['b'])
  await app.sse.disconnectByUserId(1)
  assert.deepEqual(heard, ['+1', '1: a > a,b', '1: a,b > b', '-1 server-close'])
  for (const unsubscribe of release) unsubscribe()
  await app.connect(BOB)
  await app.sse.disconnectByUserId(2)
  assert.equal(heard.length, 4)
})

test('a hook that fails harms neither the connection nor the other hooks', async (t) => {
  const app = await serve(t)
  const heard: string[] = []
  app.sse.onConnect(() => {
    throw new Error('thrown')
  })
  app.sse.onConnect(() => Promise.reject(new Error('rejected')))
  app.sse.onConnect(() => heard.push('third'))
  const stream = await app.connect(ANN)
  assert.deepEqual(heard, ['third'])
  assert.deepEqual(
    app.errors.map(({ error, where }) => [(error as Error).message, where]),
    [
      ['thrown', 'onConnect'],
      ['rejected', 'onConnect'],
    ],
  )
  await app.sse.sendAll('x')
  await stream.next('x')
})

test('a message is the parameters after connectionId, over them the body; and what is returned is the answer', async (t) => {
  const seen: unknown[] = []
  const app = await serve(t, {
    async onMessage(path, connection, message) {
      seen.push([path, connection.userId, message])
      return path === 'nothing' ? undefined : { got: path }
    },
  })
  const { id } = await app.connect(ANN)
  const send = (path: string, query: string, options = {}) =>
    app.call(`/connect/message/${path}.do?token=t&connectionId=${id}${query}`, { as: ANN, ...options })
  assert.deepEqual((await send('a%2Fb%20c', '&x=1&y=2&y=3', { json: { x: 'over' } })).json, {
    success: true,
    code: 200,
    data: { got: 'a/b c' },
    message: '',
    errorMessage: '',
  })
  await send('deep/path', '&connectionId=mine', { method: 'POST' })
  await send('..%2F..%2Fetc%2Fpasswd', '', { json: [1, 2] })
  await send('', '', { json: 'text' })
  assert.equal((await send('nothing', '', { json: null })).json.data, null)
  assert.deepEqual(seen, [
    ['a/b c', 1, { x: 'over', y: ['2', '3'] }],
    ['deep/path', 1, { connectionId: 'mine' }],
    ['../../etc/passwd', 1, [1, 2]],
    ['', 1, 'text'],
    ['nothing', 1, null],
  ])
  const connection = await app.sse.getConnection(id)
  assert.equal(connection?.requestMessageCount, 5)
  assert.ok(Date.now() - (connection?.lastRequestTime ?? 0) < 5000)
})

test('whatever a handler returns, the answer has data: null for what JSON cannot say', async (t) => {
  const returns: Record<string, unknown> = {
    function: () => 1,
    symbol: Symbol('x'),
    vanishing: { toJSON: () => undefined },
    undefined: undefined,
    null: null,
  }
  const app = await serve(t, { onMessage: (path) => returns[path] })
  const wrapped = await serve(t, { onMessage: (path) => returns[path], wrapOk: (data) => ({ ok: data }) })
  const { id } = await app.connect(ANN)
  const { id: wrappedId } = await wrapped.connect(ANN)
  const send = (to: typeof app, connection: string, path: string) =>
    to.call(`/connect/message/${path}.do?connectionId=${connection}`, { as: ANN, json: {} })
  for (const path of Object.keys(returns)) {
    const { json } = await send(app, id, path)
    assert.deepEqual(json, { success: true, code: 200, data: null, message: '', errorMessage: '' }, path)
    assert.deepEqual((await send(wrapped, wrappedId, path)).json, { ok: null }, path)
  }
  returns['date'] = new Date(0)
  assert.equal((await send(app, id, 'date')).json.data, '1970-01-01T00:00:00.000Z')
})

test('getUser sees the parameters of the path where the service is mounted', async (t) => {
  const { default: express } = await import('express')
  const seen: unknown[] = []
  const { sse } = await serve(t, {
    getUser(req) {
      seen.push(req.params['tenant'])
      return null
    },
  })
  const server = express().use('/t/:tenant/sse', sse.router).listen(0, '127.0.0.1')
  t.after(() => server.close())
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const { status } = await callAt(`http://127.0.0.1:${port}/t/acme/sse/connect`)
  assert.equal(status, 401)
  assert.deepEqual(seen, ['acme'])
})

test('an application that has parsed the body already is no hindrance', async (t) => {
  const { default: express } = await import('express')
  const parsers = [express.json(), express.urlencoded()]
  const app = await serve(t, { onMessage: (_path, _connection, message) => message }, (host) =>
    host.use(parsers),
  )
  const stream = await app.connect(ANN)
  const url = `/connect/message/x.do?connectionId=${stream.id}&a=1`
  assert.deepEqual((await app.call(url, { as: ANN, json: { b: 2 } })).json.data, { a: '1', b: 2 })
  assert.deepEqual((await app.call(url, { as: ANN, method: 'POST' })).json.data, { a: '1' })
  const polluted = '{"a":{"__proto__":{"x":1}}}'
  const refused = await app.call(url, {
    as: ANN,
    body: polluted,
    headers: { 'content-type': 'application/json' },
  })
  assert.equal(refused.status, 400)
  const goodbye = { as: ANN, body: new URLSearchParams({ connectionId: stream.id }) }
  assert.deepEqual((await app.call('/connect/disconnect.do', goodbye)).json.data, { count: 1 })
})

test('an application may wrap its successes itself', async (t) => {
  const app = await serve(t, { wrapOk: (data) => ({ ok: data }), onMessage: () => 5 })
  const { id } = await app.connect(ANN)
  const answer = await app.call(`/connect/message/x.do?connectionId=${id}`, { as: ANN, json: {} })
  assert.deepEqual(answer.json, { ok: 5 })
  assert.equal((await app.call('/users', { as: ANN })).json.success, false, 'failures keep their shape')
})

test('a wrong option is a TypeError that names it', () => {
  const getUser = () => null
  const wrong: Record<string, unknown>[] = [
    { getUser: undefined },
    { name: '' },
    { name: 7 },
    { serverId: 'a\nb' },
    { serverId: 'a\r\nSet-Cookie: x' },
    { onMessage: 'no' },
    { onUpload: {} },
    { mayJoin: true },
    { admin: true },
    { wrapOk: 1 },
    { onError: 1 },
    { store: {} },
    { origins: ['*'] },
    { origins: 'https://example.org' },
    { origins: ['example.org'] },
    { origins: ['https://example.org/path'] },
    { clientIdMaxConnections: 0 },
    { keepaliveTime: -1 },
    { keepaliveTime: 'long' },
    { reconnectTime: Number.NaN },
    { heartbeatInterval: -1 },
    { bodyLimit: '1mb' },
    { uploadLimit: -1 },
    { queryLimit: Number.NaN },
    { maxListeners: -1 },
    { maxNameLength: 0 },
    { heartbeatInterval: 2 ** 31 },
    { heartbeatInterval: Number.POSITIVE_INFINITY },
    { heartbeatInterval: 0.5 },
    { reconnectTime: 1e21 },
    { reconnectTime: 2 ** 31 },
    { reconnectTime: 1.5 },
    { maxFiles: 1.5 },
  ]
  for (const option of wrong) {
    const [name = ''] = Object.keys(option)
    const create = () => createSse({ getUser, ...option } as Parameters<typeof createSse>[0])
    assert.throws(create, (error) => error instanceof TypeError && error.message.includes(name), name)
  }
  assert.throws(() => createSse(undefined as never), /getUser/)
})
