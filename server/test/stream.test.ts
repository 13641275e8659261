import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  ANN,
  as,
  assertAlive,
  assertRefused,
  BOB,
  EVE,
  openStream,
  rawRequest,
  type Stream,
  serve,
  until,
} from './helpers'

/** The bytes of the stream's last events, each behind its id. */
function withIds({ events }: Stream, blocks: string[]): string {
  const ids = events.slice(-blocks.length).map(({ id }) => id)
  assert.ok(ids.every((id) => /^[\w-]+$/.test(id)))
  return blocks.map((block, index) => `id: ${ids[index]}\n${block}`).join('')
}

test('the first bytes are retry and connect-finish, and the head keeps proxies from holding events back', async (t) => {
  const app = await serve(t, { reconnectTime: 1234, serverId: 'node-7' })
  const stream = await app.connect(ANN)
  assert.equal(stream.status, 200)
  assert.equal(stream.headers['content-type'], 'text/event-stream')
  assert.equal(stream.headers['cache-control'], 'no-cache, no-transform')
  assert.equal(stream.headers['x-accel-buffering'], 'no')
  assert.equal(stream.headers['x-sse-server-id'], 'node-7')
  assert.match(String(stream.headers['x-sse-version']), /^\d+\.\d+\.\d+/)
  const [, json] = /^retry: 1234\nid: [\w-]+\nevent: connect-finish\ndata: (.*)\n\n$/.exec(stream.text) ?? []
  const { connectionId, serverTime, owner, ...rest } = JSON.parse(json ?? '')
  assert.match(connectionId, /^[\w-]{22,}$/)
  assert.match(owner, /^[\w-]{22}$/)
  assert.ok(Math.abs(Date.now() - serverTime) < 5000)
  assert.deepEqual(rest, {
    reconnectTime: 1234,
    name: 'hr',
    enableCluster: false,
    version: stream.headers['x-sse-version'],
    heartbeatInterval: 15_000,
    outbox: `/outbox.js?v=${rest.version}`,
    report: '/connect/report.do',
    batch: { entries: 100, bytes: 262_144 },
  })
})

test('a plain reader gets exactly these bytes for text, lines, JSON and nothing', async (t) => {
  const app = await serve(t)
  const stream = await app.connect(ANN)
  const start = stream.text.length
  await app.sse.sendAll('text', ' a\rb\r\nc\n')
  await app.sse.sendAll('json', { deep: ['ä', 1, null] })
  await app.sse.sendAll('nothing', undefined)
  await app.sse.sendAll('empty', '')
  await app.sse.sendAll('null', null)
  await app.sse.sendAll('end', 0)
  await stream.next('end')
  const expected = [
    'event: text\ndata:  a\ndata: b\ndata: c\ndata: \n\n',
    'event: json\ndata: {"deep":["ä",1,null]}\n\n',
    'event: nothing\ndata: \n\n',
    'event: empty\ndata: \n\n',
    'event: null\ndata: null\n\n',
    'event: end\ndata: 0\n\n',
  ]
  assert.equal(stream.text.slice(start), withIds(stream, expected))
})

test('what would inject a field is refused, and nothing of it is written', async (t) => {
  const app = await serve(t)
  const stream = await app.connect(ANN)
  const start = stream.text.length
  for (const name of ['', 'a\nb', 'a\rdata: x', 'a\0']) {
    await assert.rejects(app.sse.sendAll(name, 'x'), TypeError)
    const [connection] = await app.sse.getConnections()
    await assert.rejects(connection?.send(name, 'x') ?? Promise.resolve(), TypeError)
  }
  const circle: Record<string, unknown> = {}
  circle['self'] = circle
  for (const data of [() => 1, Symbol('x'), 1n, circle])
    await assert.rejects(app.sse.sendAll('ok', data), TypeError)
  await app.sse.sendAll('end')
  await stream.next('end')
  assert.equal(stream.text.slice(start), withIds(stream, ['event: end\ndata: \n\n']))
})

test('events of one turn of the event loop come in order and each once', async (t) => {
  const app = await serve(t)
  const stream = await app.connect(ANN)
  await Promise.all(Array.from({ length: 500 }, (_, number) => app.sse.sendByUserId(1, 'n', number)))
  await stream.until(() => stream.names.filter((name) => name === 'n').length === 500, '500 events')
  const numbers = stream.events.filter(({ name }) => name === 'n').map(({ data }) => Number(data))
  assert.deepEqual(
    numbers,
    Array.from({ length: 500 }, (_, number) => number),
  )
})

test('connect takes its parameters by POST too, as a form and as JSON', async (t) => {
  const app = await serve(t)
  const form = await app.connect(ANN, 'color=blue', {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: 'clientId=c1&listeners=a,b',
  })
  const json = await app.connect(BOB, '', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ clientId: 'c2', listeners: ['x,y', 'z'], keepaliveTime: 60_000 }),
  })
  const byForm = await app.sse.getConnection(form.id)
  assert.deepEqual(byForm?.listeners, ['a', 'b'])
  assert.equal(byForm?.clientId, 'c1')
  assert.equal(byForm?.attributes['color'], 'blue')
  const byJson = await app.sse.getConnection(json.id)
  assert.deepEqual(byJson?.listeners, ['x', 'y', 'z'])
  assert.equal(byJson?.clientId, 'c2')
})

test('HEAD opens no stream', async (t) => {
  const app = await serve(t)
  const { status } = await app.call('/connect', { as: ANN, method: 'HEAD' })
  assert.equal(status, 404)
  assert.equal(await app.sse.getConnectionCount(), 0)
})

test('a silent stream gets a comment at every beat, a busy one gets none, and comments are no events', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] })
  const app = await serve(t)
  const stream = await app.connect(ANN)
  const start = stream.text.length
  const beat = () => t.mock.timers.tick(15_000)
  beat()
  for (let count = 1; count <= 3; count++) {
    beat()
    await stream.until(() => stream.text.length >= start + 3 * count, `comment ${count}`)
  }
  for (const number of [1, 2]) {
    await app.sse.sendAll('busy', number)
    await stream.next('busy')
    beat()
  }
  await app.sse.sendAll('end')
  await stream.next('end')
  const events = withIds(stream, [
    'event: busy\ndata: 1\n\n',
    'event: busy\ndata: 2\n\n',
    'event: end\ndata: \n\n',
  ])
  assert.equal(stream.text.slice(start), `:\n\n:\n\n:\n\n${events}`)
  const [connection] = await app.sse.getConnections()
  assert.equal(connection?.messageCount, 4)
})

test('the stream ends after the keepalive time that the client asks for', async (t) => {
  const app = await serve(t)
  const reasons: string[] = []
  app.sse.onDisconnect((_, reason) => reasons.push(reason))
  const stream = await app.connect(ANN, 'keepaliveTime=40')
  await stream.ended()
  assert.deepEqual(stream.names, ['connect-finish'], 'no connect-close: the client comes back')
  assert.deepEqual(reasons, ['timeout'])
})

test("the server's own keepalive time wins, and a huge one does not overflow into now", async (t) => {
  const short = await serve(t, { keepaliveTime: 40 })
  await (await short.connect(ANN, 'keepaliveTime=0')).ended()
  const long = await serve(t)
  const stream = await long.connect(ANN, 'keepaliveTime=99999999999999')
  // Far longer than a delay that overflowed: that one would end it within a millisecond.
  await new Promise((resolve) => setTimeout(resolve, 30))
  assert.equal(stream.isEnded, false)
})

test('one browser of one user has three streams; the oldest is told why it goes and not to come back', async (t) => {
  const app = await serve(t)
  const reasons: string[] = []
  app.sse.onDisconnect((connection, reason) => reasons.push(`${connection.id} ${reason}`))
  const streams: Stream[] = []
  for (let i = 0; i < 4; i++) streams.push(await app.connect(ANN, 'clientId=browser'))
  const others = [await app.connect(BOB, 'clientId=browser'), await app.connect(ANN, 'clientId=other')]
  const [oldest, ...kept] = streams
  assert.ok(oldest)
  assert.deepEqual(await oldest.json('connect-close'), {
    connectionId: oldest.id,
    reason: 'too-many-connections',
    reconnect: false,
  })
  await oldest.ended()
  assert.deepEqual(reasons, [`${oldest.id} too-many-connections`])
  assert.equal(await app.sse.sendAll('ping'), 5)
  for (const stream of [...kept, ...others]) await stream.next('ping')
})

test('streams without a client id are not counted: a plain EventSource would fight for its place for ever', async (t) => {
  const app = await serve(t)
  for (let n = 0; n < 5; n++) await app.connect(ANN, n === 4 ? 'clientId=' : '')
  assert.equal(await app.sse.sendByUserId(1, 'ping'), 5)
})

test('a client that gave up while the server was asking who it is leaves no connection behind', async (t) => {
  let asked = 0
  let release = (): void => {}
  const gate = new Promise<void>((resolve) => {
    release = resolve
  })
  const app = await serve(t, {
    async getUser() {
      asked++
      await gate
      return ANN
    },
  })
  const socketsAtServer = () =>
    new Promise<number>((resolve) => app.http.getConnections((_, n) => resolve(n)))
  const { socket } = await rawRequest(app.port, 'GET /sse/hr/connect HTTP/1.1\r\nHost: x\r\n\r\n')
  await until(() => asked === 1, 'getUser')
  socket.destroy()
  await until(async () => (await socketsAtServer()) === 0, 'the socket to be gone')
  const heard: unknown[] = []
  app.sse.onConnect((connection) => heard.push(connection))
  release()
  const stream = await openStream(`${app.base}/connect`)
  await stream.next('connect-finish')
  assert.equal(heard.length, 1, 'only the second')
  assert.equal(await app.sse.getConnectionCount(), 1)
  stream.leave()
})

test('a foreign channel is not joined', async (t) => {
  const app = await serve(t, { mayJoin: async (user, channel) => user.id === 1 && channel === 'news' })
  const stream = await app.connect(ANN, 'channel=news')
  for (const [user, channel] of [
    [ANN, 'secrets'],
    [BOB, 'news'],
  ] as const) {
    const refused = await app.call(`/connect?channel=${channel}`, { as: user })
    assert.equal(refused.status, 403)
  }
  assert.equal(await app.sse.sendByChannel('news', 'n', 1), 1)
  assert.equal(await stream.next('n'), '1')
  assert.deepEqual(await app.sse.getChannels(), ['news'])
})

test('a connection says who and what it is', async (t) => {
  const app = await serve(t, { serverId: 'node-1' })
  const query = new URLSearchParams({
    clientId: 'browser',
    clientInstanceId: 'page-1',
    clientVersion: '9.9.9',
    screen: '800x600',
    accessTime: '1700000000000',
    sessionDuration: '12',
    locationHref: 'https://example.org/page?token=secret#part',
    channel: 'news',
    listeners: 'a,,b',
    color: 'red',
  })
  const stream = await app.connect(EVE, String(query), { headers: { 'user-agent': 'test/1' } })
  const connection = await app.sse.getConnection(stream.id)
  assert.ok(connection)
  assert.deepEqual(connection.user, EVE)
  assert.equal(connection.userId, 3)
  assert.equal(connection.tenantId, 4)
  assert.equal(connection.accessToken, undefined)
  assert.equal(connection.channel, 'news')
  assert.equal(connection.clientId, 'browser')
  assert.equal(connection.instanceId, 'page-1')
  assert.equal(connection.clientVersion, '9.9.9')
  assert.equal(connection.screen, '800x600')
  assert.equal(connection.accessTime, 1_700_000_000_000)
  assert.equal(connection.sessionDuration, 12)
  assert.equal(connection.locationHref, 'https://example.org/page')
  assert.deepEqual(connection.listeners, ['a', 'b'])
  assert.equal(connection.attributes['color'], 'red')
  assert.equal(connection.userAgent, 'test/1')
  assert.match(String(connection.requestIp), /127\.0\.0\.1$/)
  assert.equal(connection.serverId, 'node-1')
  assert.ok(Date.now() - connection.createTime < 5000)
})

test('ids of connections do not repeat and are not alike', async (t) => {
  const app = await serve(t)
  const ids = new Set<string>()
  for (let i = 0; i < 20; i++) ids.add((await app.connect(ANN)).id.slice(0, 8))
  assert.equal(ids.size, 20)
})

test('repeated and strange parameters are kept as data without a prototype', async (t) => {
  const app = await serve(t)
  const stream = await app.connect(ANN, 'tag=a&tag=b&constructor=c&toString=d')
  const connection = await app.sse.getConnection(stream.id)
  assert.deepEqual(connection?.attributes['tag'], ['a', 'b'])
  assert.equal(connection?.attributes['constructor'], 'c')
  assert.equal(connection?.attributes['hasOwnProperty'], undefined)
  const polluted = await app.call('/connect?__proto__=x', { headers: as(ANN) })
  assert.equal(polluted.status, 400)
})

test('a stream that is asked for behind another on one socket is refused, and leaves nobody behind', async (t) => {
  const app = await serve(t)
  const head = `GET /sse/hr/connect HTTP/1.1\r\nHost: x\r\nx-user: ${JSON.stringify(ANN)}\r\n\r\n`
  const { socket } = await rawRequest(app.port, head + head)
  await until(async () => (await app.sse.getConnectionCount()) === 1, 'the first')
  socket.destroy()
  await until(async () => (await app.sse.getConnectionCount()) === 0, 'nobody')
  await app.sse.close()
})

test('a middleware that fails while a stream is opened takes no other stream down', async (t) => {
  const app = await serve(t, {}, (express) => {
    express.use((req, res, next) => {
      if (req.headers['x-broken']) res.writeHead = () => assert.fail('broken')
      next()
    })
  })
  const opening = openStream(`${app.base}/connect`, { headers: { ...as(BOB), 'x-broken': '1' } })
  const failed = assert.rejects(opening)
  const healthy = await app.connect(ANN)
  await failed
  await assertAlive(app, healthy, ANN)
  assert.equal(app.errors[0]?.where, 'a stream')
  await until(async () => (await app.sse.getConnectionCount()) === 1, 'the broken one to be gone')
})

test('what a hook sends before it disconnects comes before the end', async (t) => {
  const app = await serve(t)
  app.sse.onConnect((connection) => {
    void connection.send('why', 'full')
    void app.sse.setDurationByConnectionId(connection.id, 7)
    void connection.send('why', 'really')
    connection.disconnect('kicked', { reconnect: false })
  })
  const stream = await app.connect(ANN)
  await stream.ended()
  assert.deepEqual(stream.names, ['connect-finish', 'why', 'sse-set-duration', 'why', 'connect-close'])
})

test('an id of a client that is absurdly long is refused', async (t) => {
  const app = await serve(t)
  for (const name of ['clientId', 'clientInstanceId']) {
    assertRefused(await app.call(`/connect?${name}=${'x'.repeat(201)}`, { as: ANN }), 400)
  }
})
