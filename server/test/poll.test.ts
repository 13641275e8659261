import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { memoryStore } from 'tabwire/stores/memory'
import { gatedStore } from './gated-store'
import {
  ANN,
  type Answer,
  type App,
  as,
  assertAlive,
  assertRefused,
  BOB,
  cursorOf,
  type Event,
  eventsOf,
  finishOf,
  serve,
  type TestUser,
  until,
} from './helpers'

interface Poll extends Answer {
  events: Event[]
}

/** A client that asks again and again, and remembers what a client must. */
class Poller {
  connectionId = ''
  lastEventId = ''
  readonly got: Event[] = []

  constructor(
    readonly app: App,
    readonly user: TestUser = ANN,
    readonly params: Record<string, string> = {},
  ) {}

  /** One poll; by default one that waits. */
  async ask(params: Record<string, string> = {}): Promise<Poll> {
    const { connectionId, lastEventId } = this
    const answer = await poll(this.app, this.user, {
      ...this.params,
      ...(lastEventId && { lastEventId }),
      ...(connectionId && { connectionId }),
      ...params,
    })
    const { events } = answer
    if (names(answer).includes('connect-finish')) this.connectionId = String(finishOf(events)['connectionId'])
    this.lastEventId = cursorOf(events) || this.lastEventId
    this.got.push(...events)
    return answer
  }

  dataOf(name: string): string[] {
    return this.got.filter((event) => event.name === name).map(({ data }) => data)
  }
}

async function poll(app: App, user: TestUser, params: Record<string, string>): Promise<Poll> {
  const answer = await app.call(`/connect?${new URLSearchParams({ mode: 'poll', ...params })}`, { as: user })
  return { ...answer, events: answer.status === 200 ? eventsOf(answer.text) : [] }
}

async function begin(app: App, user?: TestUser, params?: Record<string, string>): Promise<Poller> {
  const poller = new Poller(app, user, params)
  await poller.ask()
  return poller
}

interface CountingApp extends App {
  /** Reads of the store that are done: the poll that asked for it is taken. */
  taken(): number
}

async function serveCounting(
  t: TestContext,
  options: Parameters<typeof serve>[1] = {},
): Promise<CountingApp> {
  const inner = options.store ?? memoryStore()
  let count = 0
  const store: typeof inner = {
    ...inner,
    async read(...args) {
      const history = await inner.read(...args)
      count++
      return history
    },
  }
  return { ...(await serve(t, { ...options, store })), taken: () => count }
}

/** A poll that the server has taken, and that waits. */
async function waiting(app: CountingApp, client: Poller): Promise<{ answer: Promise<Poll> }> {
  const before = app.taken()
  const answer = client.ask()
  await until(() => app.taken() > before, 'the poll to be taken')
  return { answer }
}

/** They fire when the test lets the time pass; what closes the service after the test needs them again. */
function stopTimers(t: TestContext): void {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  t.after(() => t.mock.timers.reset())
}

const names = ({ events }: Poll) => events.map(({ name }) => name)

const reasonsOf = (app: App) => {
  const heard: string[] = []
  app.sse.onConnect(({ id }) => heard.push(`+${id}`))
  app.sse.onDisconnect(({ id }, reason) => heard.push(`-${id} ${reason}`))
  return heard
}

test('the first poll is answered at once: where the client is, as a stream would say it', async (t) => {
  const app = await serve(t, { reconnectTime: 1234 })
  await app.sse.sendAll('before')
  const answer = await poll(app, ANN, {})
  assert.equal(answer.status, 200)
  assert.equal(answer.headers.get('content-type'), 'text/event-stream')
  assert.equal(answer.headers.get('cache-control'), 'no-cache, no-transform')
  assert.match(answer.text, /^retry: 1234\nid: [\w-]+\nevent: connect-finish\ndata: .*\n\n$/)
  const { connectionId, serverTime, owner, ...rest } = finishOf(answer.events)
  assert.match(String(connectionId), /^[\w-]{22,}$/)
  assert.match(String(owner), /^[\w-]{22}$/)
  assert.deepEqual(rest, {
    reconnectTime: 1234,
    name: 'hr',
    enableCluster: false,
    version: answer.headers.get('x-sse-version'),
    heartbeatInterval: 25_000,
    outbox: `/outbox.js?v=${answer.headers.get('x-sse-version')}`,
    report: '/connect/report.do',
    batch: { entries: 100, bytes: 262_144 },
  })
})

test('polling without a connection, as an EventSource does, brings at once what was missed, again and again', async (t) => {
  const app = await serve(t)
  let cursor = cursorOf((await poll(app, ANN, {})).events)
  for (const count of [0, 3, 1, 0]) {
    for (let n = 0; n < count; n++) await app.sse.sendByUserId(1, 'n', n)
    const answer = await app.call('/connect?mode=poll', { as: ANN, headers: { 'last-event-id': cursor } })
    const events = eventsOf(answer.text)
    const { recovered, replayed } = finishOf(events)
    assert.deepEqual([recovered, replayed], [true, count])
    assert.deepEqual(
      events.slice(1).map(({ data }) => Number(data)),
      Array.from({ length: count }, (_, n) => n),
    )
    cursor = cursorOf(events)
  }
})

test('a poll that is not to wait, or names a connection that is not open, is answered at once', async (t) => {
  const app = await serve(t)
  const { lastEventId } = await begin(app)
  await app.sse.sendAll('x')
  for (const params of [
    { wait: '0' },
    { connectionId: 'gone' },
    { connectionId: 'gone', wait: '20000' },
  ] as Record<string, string>[]) {
    const answer = await poll(app, ANN, { lastEventId, ...params })
    assert.deepEqual(names(answer), ['connect-finish', 'x'])
    assert.equal(finishOf(answer.events)['replayed'], 1)
    assert.notEqual(finishOf(answer.events)['connectionId'], 'gone')
  }
})

test('the next poll waits for an event, and is answered with it alone', async (t) => {
  const app = await serveCounting(t)
  const client = await begin(app)
  for (const n of [1, 2, 3]) {
    const { answer } = await waiting(app, client)
    assert.equal(await app.sse.sendByUserId(1, 'n', n), 1)
    assert.deepEqual(
      (await answer).events.map(({ name, data }) => [name, data]),
      [['n', String(n)]],
    )
  }
  assert.equal(await app.sse.getConnectionCount(), 1)
})

test('a poll in vain ends after the time it may wait, and the next one goes on', async (t) => {
  const app = await serve(t)
  const client = await begin(app)
  const before = client.lastEventId
  const answer = await client.ask({ wait: '30' })
  assert.equal(answer.status, 200)
  assert.deepEqual(answer.events, [])
  assert.equal(answer.headers.get('content-type'), 'text/event-stream')
  assert.equal(client.lastEventId, before)
  await app.sse.sendAll('x')
  assert.deepEqual(names(await client.ask()), ['x'])
})

test('a poll of an open connection that is not to wait ends at once, with what there is', async (t) => {
  const app = await serve(t)
  const client = await begin(app)
  const nothing = await client.ask({ wait: '0' })
  assert.deepEqual(
    names(nothing).filter((name) => name !== 'connect-finish'),
    [],
  )
  await app.sse.sendAll('x')
  assert.equal(names(await client.ask({ wait: '0' })).at(-1), 'x')
  assert.equal(client.connectionId, (await app.sse.getConnections())[0]?.id)
})

test('a poll that names its connection but no place is told at once where it is', async (t) => {
  const app = await serve(t)
  const { connectionId } = await begin(app)
  const answer = await poll(app, ANN, { connectionId })
  assert.deepEqual(names(answer), ['connect-finish'])
})

test('what is sent between two polls comes with the next one, at once, in order and once', async (t) => {
  const app = await serve(t)
  const client = await begin(app)
  for (let n = 0; n < 5; n++)
    assert.equal(await app.sse.sendByUserId(1, 'n', n), 1, 'the connection counts as there')
  const [connection] = await app.sse.getConnections()
  await connection?.send('n', 5)
  assert.deepEqual(
    (await client.ask()).events.map(({ data }) => data),
    ['0', '1', '2', '3', '4', '5'],
  )
  await app.sse.sendAll('n', 6)
  assert.deepEqual(
    (await client.ask()).events.map(({ data }) => data),
    ['6'],
  )
})

test('what was sent before a client was disconnected between two polls comes before the end', async (t) => {
  const app = await serve(t)
  const client = await begin(app)
  await app.sse.sendByUserId(1, 'why')
  await app.sse.disconnectByUserId(1)
  assert.deepEqual(names(await client.ask()), ['why', 'connect-close'])
})

test('what comes between two polls is live: no policy of catching up touches it', async (t) => {
  const app = await serve(t)
  const client = await begin(app, ANN, { catchUp: 'mail:count,typing:drop,tick:latest' })
  for (const name of ['mail', 'typing', 'tick', 'mail', 'typing', 'tick']) await app.sse.sendAll(name, name)
  assert.deepEqual(names(await client.ask()), ['mail', 'typing', 'tick', 'mail', 'typing', 'tick'])
})

test('a client that polls while events flow gets every one, once, in order', async (t) => {
  const app = await serve(t)
  const [client, other] = [await begin(app), await begin(app, BOB)]
  const sending = (async () => {
    for (let n = 0; n < 500; n++) {
      await app.sse.sendAll('n', n)
      if (n % 3 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
  })()
  const all = Array.from({ length: 500 }, (_, n) => String(n))
  for (const poller of [client, other]) while (!poller.dataOf('n').includes('499')) await poller.ask()
  await sending
  for (const poller of [client, other]) {
    assert.deepEqual(poller.dataOf('n'), all)
    assert.equal(poller.got.filter(({ name }) => name === 'connect-finish').length, 1)
  }
})

test('a client whose answer was lost on the way asks again, and gets it again', async (t) => {
  const app = await serve(t)
  const client = await begin(app)
  const { lastEventId } = client
  await app.sse.sendAll('x', 1)
  await client.ask()
  await app.sse.sendAll('x', 2)
  const again = await client.ask({ lastEventId })
  assert.deepEqual(
    again.events.map(({ data }) => data),
    ['1', '2'],
  )
})

test('a client that gives up its poll while it waits loses neither its connection nor an event', async (t) => {
  const app = await serveCounting(t)
  const heard = reasonsOf(app)
  const client = await begin(app)
  const leaving = new AbortController()
  const { connectionId, lastEventId } = client
  const address = new URLSearchParams({ mode: 'poll', connectionId, lastEventId })
  const before = app.taken()
  const given = fetch(`${app.base}/connect?${address}`, { headers: as(ANN), signal: leaving.signal })
  await until(() => app.taken() > before, 'the poll')
  leaving.abort()
  await assert.rejects(given)
  await app.sse.sendAll('x')
  assert.deepEqual(names(await client.ask()), ['x'])
  assert.deepEqual(heard, [`+${client.connectionId}`])
})

test('a client that asks twice at once has the first answer ended, and loses nothing', async (t) => {
  const app = await serveCounting(t)
  const client = await begin(app)
  const { answer: first } = await waiting(app, client)
  const { answer: second } = await waiting(app, client)
  assert.deepEqual((await first).events, [])
  await app.sse.sendAll('x')
  assert.deepEqual(names(await second), ['x'])
})

test('between two polls the client is there, and is heard to come and to leave once', async (t) => {
  const app = await serve(t)
  const heard = reasonsOf(app)
  const client = await begin(app, ANN, {
    clientId: 'c',
    clientInstanceId: 'i',
    listeners: 'a',
    channel: 'news',
  })
  for (let n = 0; n < 3; n++) {
    assert.equal(await app.sse.isOnline(1), true)
    assert.deepEqual(
      (await app.sse.getConnections()).map(({ id }) => id),
      [client.connectionId],
    )
    await app.sse.sendByChannel('news', 'a', '', { listening: true })
    assert.deepEqual(names(await client.ask()), ['a'])
  }
  assert.deepEqual(heard, [`+${client.connectionId}`])
  const goodbye = { connectionId: client.connectionId, reason: 'pagehide' }
  const { json } = await app.call('/connect/disconnect.do', { as: ANN, json: goodbye })
  assert.deepEqual(json.data, { count: 1 })
  assert.equal(await app.sse.isOnline(1), false)
  assert.deepEqual(heard, [`+${client.connectionId}`, `-${client.connectionId} pagehide`])
})

test('a goodbye while a poll waits ends it', async (t) => {
  const app = await serveCounting(t)
  const client = await begin(app)
  const { answer } = await waiting(app, client)
  await app.call('/connect/disconnect.do', { as: ANN, json: { connectionId: client.connectionId } })
  const [event] = (await answer).events
  assert.deepEqual([event?.name, event?.id], ['connect-close', ''])
  assert.equal(await app.sse.getConnectionCount(), 0)
})

test('nobody polls on another user’s connection, and it does not notice the attempt', async (t) => {
  const app = await serveCounting(t)
  const client = await begin(app)
  const { connectionId, lastEventId } = client
  const { answer } = await waiting(app, client)
  assertRefused(await app.call(`/connect?mode=poll&connectionId=${connectionId}`, { as: BOB }), 403)
  assertRefused(
    await app.call(`/connect?mode=poll&connectionId=${connectionId}&lastEventId=${lastEventId}`, { as: BOB }),
    403,
  )
  assert.equal((await app.call(`/connect?mode=poll&connectionId=${connectionId}`)).status, 401)
  await app.sse.sendByUserId(1, 'x')
  assert.deepEqual(names(await answer), ['x'])
})

test('messages and changes of listeners of the connection work between two polls, and while one waits', async (t) => {
  const app = await serveCounting(t, { onMessage: (path) => `got ${path}` })
  const client = await begin(app)
  const { connectionId } = client
  const say = async (path: string) =>
    (await app.call(`/connect/message/${path}.do?connectionId=${connectionId}`, { as: ANN, json: {} })).json
      .data
  assert.equal(await say('between'), 'got between')
  await app.call('/connect/addListener.do', { as: ANN, json: { connectionId, listener: ['a'] } })
  const { answer } = await waiting(app, client)
  assert.equal(await say('meanwhile'), 'got meanwhile')
  await app.sse.sendByUserId(1, 'a', '', { listening: true })
  assert.deepEqual(names(await answer), ['a'])
})

test('a client that is disconnected by the server while its poll waits is told why', async (t) => {
  const app = await serveCounting(t)
  const client = await begin(app)
  const { answer } = await waiting(app, client)
  const [connection] = await app.sse.getConnections()
  connection?.disconnect('kicked', { reconnect: false })
  const { events } = await answer
  assert.deepEqual(JSON.parse(events[0]?.data ?? '{}'), {
    connectionId: client.connectionId,
    reason: 'kicked',
    reconnect: false,
  })
})

test('a client that is disconnected by the server between two polls is told why by the next one', async (t) => {
  const app = await serve(t)
  const heard = reasonsOf(app)
  const client = await begin(app)
  const [connection] = await app.sse.getConnections()
  connection?.disconnect('kicked', { reconnect: false })
  assert.equal(await app.sse.getConnectionCount(), 0, 'at once')
  const answer = await client.ask()
  assert.deepEqual(names(answer), ['connect-close'])
  assert.deepEqual(JSON.parse(answer.events[0]?.data ?? '{}'), {
    connectionId: connection?.id,
    reason: 'kicked',
    reconnect: false,
  })
  assert.deepEqual(heard, [`+${connection?.id}`, `-${connection?.id} kicked`])
  assert.deepEqual(names(await client.ask()), ['connect-finish'], 'told once; then it comes back')
})

test('a duration that is set between two polls is told by the next one', async (t) => {
  const app = await serve(t)
  const client = await begin(app)
  assert.equal(await app.sse.setDurationByUserId(1, 7), 1)
  await app.sse.sendAll('x')
  const answer = await client.ask()
  assert.deepEqual(new Set(names(answer)), new Set(['sse-set-duration', 'x']))
})

test('a client that lets the log run away between two polls is told that there is a gap', async (t) => {
  const app = await serve(t, { store: memoryStore({ maxEvents: 3 }) })
  const client = await begin(app)
  for (let n = 0; n < 10; n++) await app.sse.sendByUserId(1, 'n', n)
  const answer = await client.ask({ wait: '50' })
  assert.deepEqual(names(answer), ['connect-finish'])
  const { recovered, reason } = finishOf(answer.events)
  assert.deepEqual([recovered, reason], [false, 'floor'])
  await app.sse.sendByUserId(1, 'n', 10)
  assert.deepEqual(
    (await client.ask()).events.map(({ data }) => data),
    ['10'],
  )
})

test('a poll with a place that is none of ours is told that there is a gap, also on an open connection', async (t) => {
  const app = await serve(t)
  const client = await begin(app)
  for (const params of [{ connectionId: '' }, {}] as Record<string, string>[]) {
    const answer = await client.ask({ lastEventId: 'elsewhere-1', wait: '50', ...params })
    const { recovered, reason } = finishOf(answer.events)
    assert.deepEqual([recovered, reason], [false, 'epoch'])
  }
})

test('a client that comes back by polls catches up by the same wishes', async (t) => {
  const app = await serve(t)
  const client = await begin(app, ANN, { catchUp: 'a:latest,b:count,c:drop' })
  for (const name of ['a', 'b', 'c', 'a', 'b', 'd']) await app.sse.sendAll(name, name)
  assert.deepEqual(
    (await client.ask({ connectionId: 'none' })).events.slice(1).map(({ name, data }) => `${name} ${data}`),
    ['a a', 'b {"count":2}', 'd d'],
  )
  const refused = await app.call('/connect?mode=poll&catchUp=x', { as: ANN })
  assertRefused(refused, 400)
})

test('a poll that finds the store broken is a 503; a client that comes again goes on where it was', async (t) => {
  const { store, reads } = gatedStore()
  const app = await serve(t, { store })
  const client = new Poller(app)
  const ask = async (error?: Error) => {
    const count = reads.length
    const answer = client.ask()
    await until(() => reads.length > count, 'the read')
    reads[count]?.(error)
    return answer
  }
  await ask()
  await app.sse.sendAll('x', 1)
  assert.equal((await ask(new Error('broken'))).status, 503)
  await app.sse.sendAll('x', 2)
  assert.deepEqual(
    (await ask()).events.filter(({ name }) => name === 'x').map(({ data }) => data),
    ['1', '2'],
  )
  assert.deepEqual(
    app.errors.map(({ error }) => String(error)),
    ['Error: broken'],
  )
  assert.equal(await app.sse.getConnectionCount(), 1)
})

test('a page whose stream is held back on the way, and which polls instead, has one connection', async (t) => {
  const app = await serve(t)
  const page = { clientId: 'browser', clientInstanceId: 'page-1' }
  const stream = await app.connect(ANN, String(new URLSearchParams(page)))
  const client = await begin(app, ANN, page)
  assert.equal((await stream.json('connect-close'))['reason'], 'superseded')
  assert.deepEqual(
    (await app.sse.getConnections()).map(({ id }) => id),
    [client.connectionId],
  )
  const again = await app.connect(
    ANN,
    String(new URLSearchParams({ ...page, lastEventId: client.lastEventId })),
  )
  assert.deepEqual(
    (await app.sse.getConnections()).map(({ id }) => id),
    [again.id],
  )
  await assertAlive(app, again, ANN)
})

test('a poll on the connection of a stream opens one of its own', async (t) => {
  const app = await serve(t)
  const stream = await app.connect(ANN)
  const answer = await poll(app, ANN, { connectionId: stream.id, lastEventId: stream.cursor })
  assert.deepEqual(names(answer), ['connect-finish'])
  assert.notEqual(finishOf(answer.events)['connectionId'], stream.id)
  assert.equal(await app.sse.sendByUserId(1, 'x'), 2)
  await stream.next('x')
})

test('a client that does not ask again within ten seconds is gone, as if its socket were', async (t) => {
  stopTimers(t)
  const app = await serve(t)
  const heard = reasonsOf(app)
  const client = await begin(app)
  t.mock.timers.tick(9000)
  await client.ask({ wait: '0' })
  t.mock.timers.tick(9999)
  assert.equal(await app.sse.isOnline(1), true)
  t.mock.timers.tick(1)
  await until(async () => !(await app.sse.isOnline(1)), 'the client to be gone')
  t.mock.timers.tick(300)
  assert.deepEqual(heard, [`+${client.connectionId}`, `-${client.connectionId} lost`])
})

test('a poll waits for 25 seconds, also if it would wait for longer, and its client is there all the time', async (t) => {
  stopTimers(t)
  const app = await serveCounting(t)
  for (const wait of ['', '99999999999', 'long', '-1']) {
    const client = await begin(app, ANN, { wait })
    const { answer } = await waiting(app, client)
    t.mock.timers.tick(24_999)
    assert.equal(await app.sse.isOnline(1), true)
    t.mock.timers.tick(1)
    assert.deepEqual((await answer).events, [])
    assert.equal(await app.sse.isOnline(1), true)
    t.mock.timers.tick(10_000)
    await until(async () => !(await app.sse.isOnline(1)), 'the client to be gone')
  }
})

test('a client that gave up while the store was slow, and asks again, is not taken for gone', async (t) => {
  stopTimers(t)
  const { store, reads } = gatedStore()
  let ended = 0
  const app = await serve(t, { store }, (host) =>
    host.use((_req, res, next) => {
      res.on('close', () => ended++)
      next()
    }),
  )
  const opening = begin(app)
  await until(() => reads.length === 1, 'the first read')
  reads[0]?.()
  const client = await opening
  const { connectionId, lastEventId } = client
  const leaving = new AbortController()
  const address = new URLSearchParams({ mode: 'poll', connectionId, lastEventId })
  const given = fetch(`${app.base}/connect?${address}`, { headers: as(ANN), signal: leaving.signal })
  await until(() => reads.length === 2, 'the second read')
  leaving.abort()
  await assert.rejects(given)
  await until(() => ended === 2, 'the server to see it')
  reads[1]?.()
  const answer = client.ask()
  await until(() => reads.length === 3, 'the third read')
  reads[2]?.()
  t.mock.timers.tick(15_000)
  assert.equal(await app.sse.sendByUserId(1, 'x'), 1, 'it is there, and waits')
  assert.deepEqual(names(await answer), ['x'])
})

test('closing answers the polls that wait, and does not wait for those between two', async (t) => {
  const app = await serveCounting(t)
  const [client, away] = [await begin(app), await begin(app, BOB)]
  const { answer } = await waiting(app, client)
  await app.sse.close()
  const { events } = await answer
  assert.equal(JSON.parse(events[0]?.data ?? '{}').reason, 'server-shutdown')
  assert.equal((await away.ask()).status, 503)
  assert.equal(await app.sse.getConnectionCount(), 0)
})

test('any other mode is the application’s own, and the answer a stream', async (t) => {
  const app = await serve(t)
  for (const mode of ['dark', 'Poll', 'stream']) {
    const stream = await app.connect(ANN, `mode=${mode}`)
    await assertAliveAlone(app, stream)
    assert.equal((await app.sse.getConnection(stream.id))?.attributes['mode'], mode)
  }
})

async function assertAliveAlone(app: App, stream: Awaited<ReturnType<App['connect']>>): Promise<void> {
  await app.sse.sendAll('there')
  await stream.next('there')
  assert.equal(stream.isEnded, false)
}
