import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Redis } from 'ioredis'
import { createPublisher, StoreUnavailableError } from 'tabwire/server'
import { redisStore } from 'tabwire/stores/redis'
import { startProxy } from '../../e2e/proxy'
import { type Cluster, type ClusterNode, startCluster, startWithLine } from './cluster'
import { ANN, BOB, callAt, type Stream, until } from './helpers'
import { recordOf } from './service-node'

const page = (instance: string) => `clientId=b&clientInstanceId=${instance}`

/** Talks to a Redis directly. */
async function ask<T>({ redis }: Cluster, run: (client: Redis) => Promise<T>): Promise<T> {
  const client = new Redis(redis.url)
  try {
    return await run(client)
  } finally {
    client.disconnect()
  }
}

const nodeOf = ({ nodes }: Cluster, at = 0): ClusterNode => nodes[at] ?? assert.fail('no such node')

/** The names and data of what came after the greeting. */
const received = ({ events }: Stream) => events.slice(1).map(({ name, data }) => `${name} ${data}`)

async function assertGap(stream: Stream, reason: string): Promise<void> {
  await until(
    () => stream.names.filter((name) => name === 'connect-finish').length === 2,
    'a second greeting',
  )
  const told = stream.events.findLast(({ name }) => name === 'connect-finish')
  const { recovered, reason: given } = JSON.parse(told?.data ?? '')
  assert.deepEqual([recovered, given], [false, reason])
}

test('a Redis that is flushed is a gap on the open stream; then all goes on', async (t) => {
  const cluster = await startCluster(t, 2)
  const [a, b] = [nodeOf(cluster), nodeOf(cluster, 1)]
  const ann = await a.connect(ANN, page('1'))
  const bob = await b.connect(BOB)
  await cluster.publisher.sendAll('n', 1)
  await Promise.all([ann.next('n'), bob.next('n')])
  await ask(cluster, (client) => client.flushall())
  await Promise.all([assertGap(ann, 'epoch'), assertGap(bob, 'epoch')])
  await until(async () => (await cluster.publisher.getConnectionCount()) === 2, 'both to be known again')
  assert.equal(await cluster.publisher.sendAll('n', 2), 2)
  assert.equal(await ann.next('n'), '2')
  assert.equal((await a.connect(ANN, `${page('1')}&lastEventId=${ann.cursor}`)).finish['recovered'], true)
})

test('a Redis that is restarted without its data is a gap', async (t) => {
  const cluster = await startCluster(t, 1)
  const ann = await nodeOf(cluster).connect(ANN)
  await cluster.publisher.sendByUserId(1, 'n', 1)
  await cluster.redis.stop()
  await cluster.redis.start()
  await assertGap(ann, 'epoch')
  assert.equal(await cluster.publisher.sendByUserId(1, 'n', 2), 1)
})

test('a Redis that is restarted with all its data is no gap: nothing was lost', async (t) => {
  const cluster = await startCluster(t, 2, {}, { keeps: true })
  const a = nodeOf(cluster)
  const ann = await a.connect(ANN, page('1'))
  const away = await a.connect(BOB, page('2'))
  await cluster.publisher.sendAll('n', 1)
  await Promise.all([ann.next('n'), away.next('n')])
  away.leave()
  const waiting = cluster.publisher.qos().sendByUserId(77, 'contract', 1)
  await cluster.publisher.sendAll('n', 2)
  await cluster.redis.stop()
  await cluster.redis.start()
  await cluster.publisher.sendAll('n', 3)
  await ann.next('n')
  await until(() => received(ann).length === 3, 'all three')
  assert.deepEqual(received(ann), ['n 1', 'n 2', 'n 3'])
  const back = await nodeOf(cluster, 1).connect(BOB, `${page('2')}&lastEventId=${away.cursor}`)
  assert.deepEqual([back.finish['recovered'], back.finish['replayed']], [true, 2])
  await back.next('n')
  await back.next('n')
  // What it was given then is a place in the log as it is now.
  back.leave()
  await cluster.publisher.sendAll('n', 4)
  await cluster.redis.stop()
  await cluster.redis.start()
  const again = await nodeOf(cluster).connect(BOB, `${page('2')}&lastEventId=${back.cursor}`)
  assert.deepEqual([again.finish['recovered'], again.finish['replayed']], [true, 1])
  await nodeOf(cluster, 1).connect({ id: 77 }, 'listeners=contract')
  assert.equal(await waiting, 1, 'a message waits on, and its sender too')
})

test('a Redis that has forgotten its last moments is a gap, also to who is away', async (t) => {
  const cluster = await startCluster(t, 2)
  const [a, b] = [nodeOf(cluster), nodeOf(cluster, 1)]
  const ann = await a.connect(ANN, page('1'))
  const away = await b.connect(BOB, page('2'))
  await cluster.publisher.sendAll('n', 1)
  await Promise.all([ann.next('n'), away.next('n')])
  away.leave()
  await ask(cluster, (client) => client.save())
  // Nobody but the publisher knows of this one: its user is away.
  await cluster.publisher.sendByUserId(2, 'n', 'lost')
  await cluster.redis.stop()
  await cluster.redis.start()
  await assertGap(ann, 'epoch')
  const back = await b.connect(BOB, `${page('2')}&lastEventId=${away.cursor}`)
  assert.deepEqual([back.finish['recovered'], back.finish['reason']], [false, 'epoch'])
})

test('a node that is cut off from Redis keeps its streams, and brings all when it is back', async (t) => {
  const cluster = await startWithLine(t, 2, 0)
  const { line, publisher } = cluster
  const ann = await nodeOf(cluster).connect(ANN)
  const bob = await nodeOf(cluster, 1).connect(BOB)
  await publisher.sendAll('n', 0)
  await ann.next('n')
  await line.refuse(true)
  line.cut()
  await until(async () => !(await publisher.isOnline(1)), 'others to miss her')
  for (let n = 1; n <= 5; n++) assert.equal(await publisher.sendAll('n', n), 1, 'he alone')
  await until(() => received(bob).length === 6, 'him to have all')
  assert.deepEqual(received(ann), ['n 0'], 'she is told nothing false')
  await line.refuse(false)
  await until(() => received(ann).length === 6, 'her to have all')
  assert.deepEqual(received(ann), received(bob))
  await until(async () => publisher.isOnline(1), 'her to be online')
  assert.equal(await publisher.sendAll('n', 6), 2)
})

test('a node whose line to Redis is silently dead notices, and brings all', async (t) => {
  const cluster = await startWithLine(t, 1, 0, { patience: 1000 })
  const { line, publisher } = cluster
  const ann = await nodeOf(cluster).connect(ANN)
  line.stall()
  const sent = [1, 2, 3].map((n) => publisher.sendByUserId(1, 'n', n))
  assert.deepEqual(await Promise.all(sent), [0, 0, 0], 'nobody waits for it for long')
  // What is held on the old line must not be what brings it.
  await until(() => line.total > 2, 'the node to try a new line')
  line.resume()
  line.cut()
  await until(() => received(ann).length === 3, 'her to have all')
  assert.deepEqual(received(ann), ['n 1', 'n 2', 'n 3'])
})

test('who comes while a node reads what it has not heard misses nothing', async (t) => {
  const cluster = await startCluster(t, 1)
  const { publisher } = cluster
  const a = nodeOf(cluster)
  const others = await Promise.all(Array.from({ length: 30 }, (_, n) => a.connect({ id: 100 + n })))
  const client = new Redis(cluster.redis.url)
  t.after(() => client.disconnect())
  let isOver = false
  const breaking = (async () => {
    while (!isOver) {
      await client.call('CLIENT', 'KILL', 'TYPE', 'pubsub')
      await new Promise((resolve) => setTimeout(resolve, 250))
    }
  })()
  const come = async (id: number): Promise<void> => {
    const stream = await a.connect({ id })
    for (let n = 0; n < 25; n++) await publisher.sendByUserId([id, 100 + (id % 30)], 'n', n)
    await until(() => received(stream).length === 25, `user ${id} to have all`)
    assert.deepEqual(
      received(stream),
      Array.from({ length: 25 }, (_, n) => `n ${n}`),
    )
  }
  for (let round = 0; round < 4; round++)
    await Promise.all(Array.from({ length: 10 }, (_, n) => come(1000 + round * 10 + n)))
  isOver = true
  await breaking
  assert.equal(others.length, 30)
})

test('a send whose reply was lost is sent once, and answered', async (t) => {
  const cluster = await startWithLine(t, 1, 1)
  const { line, publisher } = cluster
  const ann = await nodeOf(cluster).connect(ANN)
  await publisher.sendByUserId(1, 'n', 0)
  line.stall('down')
  const sent = publisher.sendByUserId(1, 'n', 1)
  await until(() => received(ann).length === 2, 'it to arrive')
  line.resume()
  line.cut()
  await sent
  await publisher.sendByUserId(1, 'n', 2)
  await until(() => received(ann).at(-1) === 'n 2', 'the next')
  assert.deepEqual(received(ann), ['n 0', 'n 1', 'n 2'])
})

test('a message that waits outlives that Redis is flushed, as long as its sender does', async (t) => {
  const cluster = await startCluster(t, 1)
  const sent = cluster.publisher.qos().sendByUserId(1, 'contract', 12)
  await until(async () => {
    const keys = await ask(cluster, (client) => client.keys('*holds'))
    return keys.length > 0
  }, 'it to be kept')
  await ask(cluster, (client) => client.flushall())
  const ann = await nodeOf(cluster).connect(ANN, 'listeners=contract')
  assert.equal(await ann.next('contract'), '12')
  assert.equal(await sent, 1)
})

test('a message for which there is no room when it is kept anew is reported, and its promise resolves', async (t) => {
  const cluster = await startWithLine(t, 0, 0, { maxPending: 1 })
  const { line, redis, errors, publisher } = cluster
  const isKept = async () => (await ask(cluster, (client) => client.keys('*holds'))).length > 0
  const first = publisher.qos().sendByUserId(1, 'contract', 1)
  await until(isKept, 'it to be kept')
  line.stall()
  await ask(cluster, (client) => client.flushall())
  const store = redisStore(redis.url, { maxPending: 1 })
  t.after(() => store.close())
  const second = createPublisher({ name: 'hr', store })
  const taken = second.qos().sendByUserId(2, 'contract', 2)
  await until(isKept, 'the other to be kept')
  line.resume()
  assert.equal(await first, 0)
  assert.match(String(errors.at(-1)), /LimitError/)
  assert.equal(await taken.cancel(), true)
  await second.close()
})

test('a message that waits comes also to who was just told that the log was lost up to behind it', async (t) => {
  const cluster = await startWithLine(t, 1, 0)
  const { line, redis } = cluster
  const ann = await nodeOf(cluster).connect(ANN, 'listeners=contract')
  line.stall()
  await ask(cluster, (client) => client.flushall())
  // Begun after that, it does not know that something was lost, and would not send again.
  const store = redisStore(redis.url)
  t.after(() => store.close())
  const publisher = createPublisher({ name: 'hr', store })
  const sent = publisher.qos().sendByUserId(1, 'contract', 12)
  await until(
    async () => (await ask(cluster, (client) => client.keys('*of:user:1'))).length > 0,
    'it to be in the log',
  )
  line.resume()
  await assertGap(ann, 'epoch')
  assert.equal(await ann.next('contract'), '12')
  assert.equal(await sent, 1)
  await publisher.close()
})

test('a node hears that a message of its own was acknowledged, also if the reply to that is lost', async (t) => {
  const cluster = await startWithLine(t, 1, 0, { patience: 500 })
  const { line } = cluster
  const a = nodeOf(cluster)
  const ann = await a.connect(ANN, `${page('1')}&acks=1&listeners=contract`)
  const outcomes: number[] = []
  const send = (data: number) =>
    void a.sse
      .qos()
      .sendByUserId(1, 'contract', data)
      .then((count) => outcomes.push(count))
  const acknowledge = () =>
    a.call('/connect/report.do', { as: ANN, json: { connectionId: ann.id, lastEventId: ann.cursor } })
  send(1)
  assert.equal(await ann.next('contract'), '1')
  await acknowledge()
  await until(() => outcomes.length === 1, 'the first to be told')
  send(2)
  assert.equal(await ann.next('contract'), '2')
  line.stall('down')
  await acknowledge()
  line.resume()
  await until(() => outcomes.length === 2, 'the second to be told')
  assert.deepEqual(outcomes, [1, 1])
})

test('a sender that does not hear of the acknowledgement learns of it', async (t) => {
  const cluster = await startWithLine(t, 1, 1)
  const { line, publisher } = cluster
  const sent = publisher.qos().sendByUserId(1, 'contract', 12)
  await until(async () => (await ask(cluster, (client) => client.keys('*holds'))).length > 0, 'it to be kept')
  await line.refuse(true)
  line.cut()
  const ann = await nodeOf(cluster).connect(ANN, 'listeners=contract')
  await ann.next('contract')
  await until(
    async () => (await ask(cluster, (client) => client.keys('*holds'))).length === 0,
    'it to be acknowledged',
  )
  await line.refuse(false)
  assert.equal(await sent, 1)
})

test('while Redis is away, sends wait and are then refused, streams stay, and what comes is told to come later', async (t) => {
  const cluster = await startCluster(
    t,
    1,
    { onMessage: (_path, _connection, message) => message },
    { keeps: true, store: { patience: 800 } },
  )
  const { publisher, redis } = cluster
  const a = nodeOf(cluster)
  const ann = await a.connect(ANN)
  await publisher.sendByUserId(1, 'n', 0)
  await redis.stop()
  const refused = await publisher.sendByUserId(1, 'n', 'refused').then(
    () => assert.fail('it was sent'),
    (error) => error,
  )
  assert.ok(refused instanceof StoreUnavailableError)
  assert.equal(refused.isUncertain, false)
  assert.match(refused.message, /^Redis cannot be reached; this was not done\. Try again later\.$/)
  await assert.rejects(publisher.qos().sendByUserId(1, 'n', 'refused'), StoreUnavailableError)
  await assert.rejects(publisher.isOnline(1), StoreUnavailableError)
  const connect = await callAt(`${a.base}/connect`, { as: BOB })
  assert.deepEqual([connect.status, connect.headers.get('retry-after')], [503, '1'])
  const known = await a.call(`/connect/message/m.do?connectionId=${ann.id}`, { as: ANN, json: { n: 1 } })
  assert.deepEqual([known.status, known.json.data], [200, { n: 1 }], 'what needs no store goes on')
  const unknown = await a.call('/connect/message/m.do?connectionId=elsewhere', { as: ANN, json: {} })
  assert.equal(unknown.status, 503, 'it may be on another node')
  const store = redisStore(redis.url, { patience: 60_000 })
  t.after(() => store.close())
  const patient = createPublisher({ name: 'hr', store })
  const waits = patient.sendByUserId(1, 'n', 'waits')
  await redis.start()
  // Its node may have been taken for dead meanwhile: then it is written a moment later.
  await waits
  await until(() => received(ann).length === 2, 'what waited')
  assert.deepEqual(received(ann), ['n 0', 'n waits'])
  assert.equal(ann.names[0], 'connect-finish')
  await patient.close()
})

test('a Redis that hangs leaves it open whether something was done', async (t) => {
  const cluster = await startCluster(t, 1, {}, { store: { patience: 500 } })
  const { publisher, redis } = cluster
  const ann = await nodeOf(cluster).connect(ANN)
  redis.pause()
  const error = await publisher.sendByUserId(1, 'n', 1).catch((error) => error)
  assert.ok(error instanceof StoreUnavailableError && error.isUncertain, String(error))
  redis.resume()
  await until(
    () =>
      publisher.sendByUserId(1, 'n', 2).then(
        (count) => count === 1,
        () => false,
      ),
    'Redis to be back',
  )
  await until(() => received(ann).at(-1) === 'n 2', 'the next')
})

test('the connections of a node that died are gone in time, and another node tells of them', async (t) => {
  const cluster = await startCluster(t, 2)
  const [a, b] = [nodeOf(cluster), nodeOf(cluster, 1)]
  const heard: string[] = []
  for (const { sse } of cluster.nodes) sse.onDisconnect(({ id }, reason) => heard.push(`${id} ${reason}`))
  const ann = await a.connect(ANN, page('1'))
  await b.connect(BOB)
  // No goodbye: as if the process had been killed.
  a.store.close()
  await until(async () => !(await b.sse.isOnline(1)), 'her to be gone')
  await until(async () => (await b.sse.getPresence(1)) === 'lost', 'her to be lost')
  await until(() => heard.length > 0, 'it to be told')
  assert.deepEqual(heard, [`${ann.id} lost`])
  assert.equal(await b.sse.getConnectionCount(), 1)
  assert.equal(await b.sse.getUserCount(), 1)
  assert.equal(await b.sse.sendAll('n', 1), 1)
})

test('a node that has many connections to tell of is not taken for dead meanwhile', async (t) => {
  const { redis, publisher } = await startCluster(t, 0)
  const line = await startProxy(redis.port)
  t.after(() => line.close())
  const store = redisStore(`redis://127.0.0.1:${line.port}`, { nodeTimeout: 800, patience: 500 })
  t.after(() => store.close())
  const peers = store.join('hr', { receive: () => 0 })
  const records = Array.from({ length: 500 }, (_, n) =>
    recordOf(peers.node, { topics: ['all', `user:${n}`] }),
  )
  await Promise.all(records.map((record) => peers.arrive(record)))
  line.delay(60)
  await line.refuse(true)
  line.cut()
  const [first] = records
  assert.ok(first)
  // It cannot tell of that, and so tells all anew.
  await peers.change(first)
  await line.refuse(false)
  await until(async () => (await publisher.getConnectionCount()) === 0, 'it to be taken for dead')
  await until(async () => (await publisher.getConnectionCount()) === 500, 'all to be known again')
})

test('a node that was taken for dead misses nothing of what was sent meanwhile', async (t) => {
  const cluster = await startCluster(t, 1)
  const ann = await nodeOf(cluster).connect(ANN)
  const key = 'tabwire:{hr}:nodes'
  for (let n = 0; n < 400; n++) {
    if (n % 100 === 50) await ask(cluster, (client) => client.zadd(key, 1, ann.id.slice(-8)))
    await cluster.publisher.sendByUserId(1, 'n', n)
  }
  await until(() => received(ann).length === 400, 'all of them')
  assert.deepEqual(
    received(ann),
    Array.from({ length: 400 }, (_, n) => `n ${n}`),
  )
})

test('a node whose line breaks amid enlisting again enlists once more, and misses nothing', async (t) => {
  const cluster = await startWithLine(t, 1, 0, { patience: 400 })
  const { line, publisher } = cluster
  const a = nodeOf(cluster)
  const ann = await a.connect(ANN)
  for (let n = 0; n < 120; n++) await a.connect({ id: 100 + n })
  await line.refuse(true)
  // Somewhere among the answers to its connections, which it tells of one by one.
  line.cutAfter(1500, { direction: 'down', times: 2 })
  await ask(cluster, (client) => client.zadd('tabwire:{hr}:nodes', 1, ann.id.slice(-8)))
  await until(() => line.cuts > 0, 'the line to break')
  await publisher.sendByUserId(1, 'n', 1)
  // Longer than the node waits for Redis.
  await until(() => a.errors.length > 0, 'the node to give up')
  await line.refuse(false)
  line.cutAfter(Number.POSITIVE_INFINITY)
  await until(() => received(ann).length === 1, 'what was sent meanwhile')
  await until(async () => (await publisher.sendByUserId(1, 'n', 2)) === 1, 'it to be spoken to again')
  await until(async () => (await publisher.getConnectionCount()) === 121, 'all to be known')
})

test('who leaves when Redis has just forgotten everything is told of, too', async (t) => {
  const cluster = await startCluster(t, 2)
  const a = nodeOf(cluster)
  const heard: string[] = []
  a.sse.onDisconnect(({ id }, reason) => heard.push(`${id} ${reason}`))
  const ann = await a.connect(ANN, page('1'))
  await ask(cluster, (client) => client.flushall())
  ann.leave()
  await until(() => heard.length > 0, 'her leaving to be told')
  assert.deepEqual(heard, [`${ann.id} lost`])
  assert.equal(await cluster.publisher.getConnectionCount(), 0)
})

test('who gives up while Redis is away leaves no trace', async (t) => {
  const cluster = await startWithLine(t, 2, 0)
  const a = nodeOf(cluster)
  await cluster.line.refuse(true)
  cluster.line.cut()
  const gone = fetch(`${a.base}/connect?${page('1')}`, {
    headers: { 'x-user': JSON.stringify(ANN) },
    signal: AbortSignal.timeout(300),
  })
  await assert.rejects(gone)
  await cluster.line.refuse(false)
  const bob = await a.connect(BOB)
  await until(async () => (await cluster.publisher.getConnectionCount()) === 1, 'him alone to be there')
  assert.equal(await cluster.publisher.isOnline(1), false)
  bob.leave()
})

test('a topic whose events have all ended by themselves still says that there were some', async (t) => {
  const cluster = await startCluster(t, 1)
  const a = nodeOf(cluster)
  const ann = await a.connect(ANN, page('1'))
  const { cursor } = ann
  ann.leave()
  await cluster.publisher.sendByUserId(1, 'n', 'too old by then')
  // As Redis does it a day later, if nobody asks before.
  await ask(cluster, (client) => client.del('tabwire:{hr}:of:user:1'))
  await cluster.publisher.sendByUserId(1, 'n', 'new')
  const back = await a.connect(ANN, `${page('1')}&lastEventId=${cursor}`)
  assert.deepEqual([back.finish['recovered'], back.finish['reason']], [false, 'floor'])
})

test('whatever is kept in Redis ends by itself', async (t) => {
  const cluster = await startCluster(t, 2, { onMessage: () => 'answer', disconnectGrace: 10_000 })
  const [a, b] = [nodeOf(cluster), nodeOf(cluster, 1)]
  const ann = await a.connect(ANN, `${page('1')}&channel=news&acks=1&listeners=m`)
  const bob = await b.connect(BOB, page('2'))
  await cluster.publisher.sendAll('n', 1)
  await cluster.publisher.sendByUserId([1, 2], 'n', 2)
  void cluster.publisher.qos().sendByUserId([1, 77], 'm', 3)
  void cluster.publisher.qos().sendByUserId([1, 2], 'm', 3, { each: true })
  await cluster.publisher.setDurationByUserId(99, 5)
  await ann.next('m')
  await a.call(`/connect/message/m.do?connectionId=${bob.id}`, {
    ...{ as: BOB, json: {}, headers: { 'Idempotency-Key': '"k"' } },
  })
  bob.leave()
  await until(async () => !(await a.sse.isOnline(2)), 'him to be gone')
  const keys = await ask(cluster, async (client) => {
    const keys = await client.keys('*')
    const lives = await Promise.all(keys.map((key) => client.pttl(key)))
    return keys.map((key, at) => [key, lives[at]] as const)
  })
  assert.ok(keys.length > 25, String(keys))
  assert.deepEqual(
    keys.filter(([, life]) => life === undefined || life < 0),
    [],
  )
  assert.ok(keys.every(([key]) => key.startsWith('tabwire:{hr}:')))
})

test('a node hears only of what is for its own users', async (t) => {
  const cluster = await startCluster(t, 2)
  const ann = await nodeOf(cluster).connect(ANN)
  const bob = await nodeOf(cluster, 1).connect(BOB, 'channel=news')
  const spy = new Redis(cluster.redis.url)
  t.after(() => spy.disconnect())
  const said: string[] = []
  spy.on('pmessage', (_pattern, channel: string, text: string) => {
    if (text.startsWith('e ')) said.push(channel.split(':').at(-1) ?? '')
  })
  await spy.psubscribe('tabwire:{hr}:to:*')
  const [one, two] = [ann.id.slice(-8), bob.id.slice(-8)]
  const sent = async (send: Promise<number>) => {
    await send
    await spy.ping()
    return said.splice(0).sort()
  }
  const { publisher } = cluster
  assert.deepEqual(await sent(publisher.sendByUserId(1, 'n', 1)), [one])
  assert.deepEqual(await sent(publisher.sendByChannel('news', 'n', 1)), [two])
  assert.deepEqual(await sent(publisher.sendByUserId([1, 2, 3], 'n', 1)), [one, two].sort())
  assert.deepEqual(await sent(publisher.sendByUserId(99, 'n', 1)), [])
  bob.leave()
  await until(async () => !(await publisher.isOnline(2)), 'him to be gone')
  assert.deepEqual(
    await sent(publisher.sendAll('n', 1)),
    [one],
    'whose last connection has left hears nothing',
  )
})

test('what redisStore is given wrong is a TypeError that names it', () => {
  const isNaming = (name: string) => (error: unknown) =>
    error instanceof TypeError && error.message.includes(name)
  const url = 'redis://127.0.0.1:1'
  assert.throws(() => redisStore(url, { patience: 0 }), isNaming('patience'))
  assert.throws(() => redisStore(url, { nodeTimeout: 1.5 }), isNaming('nodeTimeout'))
  assert.throws(() => redisStore(url, { maxPending: 0 }), isNaming('maxPending'))
  assert.throws(() => redisStore(url, { prefix: 'a{b}' }), isNaming('prefix'))
  // @ts-expect-error neither
  assert.throws(() => redisStore({}), isNaming('address'))
})
