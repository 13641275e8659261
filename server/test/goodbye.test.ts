import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { ANN, type App, as, BOB, type Stream, serve, until } from './helpers'

async function withReasons(t: TestContext) {
  const app = await serve(t)
  const reasons: string[] = []
  app.sse.onDisconnect((connection, reason) =>
    reasons.push(`${connection.id} ${reason} ${connection.sessionDuration}`),
  )
  return { app, reasons }
}

function beacon(app: App, stream: Stream, query = '') {
  return app.call(`/connect/disconnect.do${query}`, {
    as: ANN,
    headers: { 'content-type': 'application/x-www-form-urlencoded;charset=UTF-8' },
    body: new URLSearchParams({
      clientId: 'c',
      connectionId: stream.id,
      reason: 'visibilitychange',
      sseVersion: '1',
      duration: '5',
      sessionDuration: '30',
    }).toString(),
  })
}

test('a goodbye ends the open stream, with its reason and the durations', async (t) => {
  const { app, reasons } = await withReasons(t)
  const stream = await app.connect(ANN)
  const { status, json } = await beacon(app, stream)
  assert.equal(status, 200)
  assert.deepEqual(json.data, { count: 1 })
  await stream.ended()
  assert.deepEqual(await stream.json('connect-close'), {
    connectionId: stream.id,
    reason: 'visibilitychange',
    reconnect: false,
  })
  assert.deepEqual(reasons, [`${stream.id} visibilitychange 35`])
  assert.deepEqual((await beacon(app, stream)).json.data, { count: 0 }, 'the second counts nothing')
})

test('the user is offline as soon as the socket is gone, and a goodbye a moment later still gives the reason', async (t) => {
  const { app, reasons } = await withReasons(t)
  const stream = await app.connect(ANN)
  stream.leave()
  await until(async () => !(await app.sse.isOnline(1)), 'the user to be offline')
  assert.deepEqual(reasons, [], 'held back for the goodbye')
  assert.deepEqual((await beacon(app, stream)).json.data, { count: 1 })
  assert.deepEqual(reasons, [`${stream.id} visibilitychange 35`])
  // Longer than the goodbye is waited for: a second report would have come.
  await new Promise((resolve) => setTimeout(resolve, 400))
  assert.equal(reasons.length, 1)
})

test('without a goodbye the connection is lost, once', async (t) => {
  const { app, reasons } = await withReasons(t)
  const stream = await app.connect(ANN)
  stream.leave()
  await until(() => reasons.length > 0, 'onDisconnect')
  assert.deepEqual(reasons, [`${stream.id} lost 0`])
  assert.deepEqual((await beacon(app, stream)).json.data, { count: 0 })
  assert.equal(reasons.length, 1)
})

test('a message of a connection that is just gone is a 404 that names the cause', async (t) => {
  const app = await serve(t, { onMessage: () => 'late' })
  const stream = await app.connect(ANN)
  stream.leave()
  await until(async () => !(await app.sse.isOnline(1)), 'the user to be offline')
  const { status, headers } = await app.call(`/connect/message/x.do?connectionId=${stream.id}`, {
    as: ANN,
    json: {},
  })
  assert.equal(status, 404)
  assert.equal(headers.get('x-sse-error'), 'unknown-connection')
})

test('nobody says goodbye for another user, neither before nor after the socket is gone', async (t) => {
  const { app, reasons } = await withReasons(t)
  const stream = await app.connect(ANN)
  const say = () => app.call('/connect/disconnect.do', { as: BOB, json: { connectionId: stream.id } })
  assert.equal((await say()).status, 403)
  assert.equal(await app.sse.isOnline(1), true)
  stream.leave()
  await until(async () => !(await app.sse.isOnline(1)), 'the user to be offline')
  assert.equal((await say()).status, 403)
  await until(() => reasons.length > 0, 'onDisconnect')
  assert.deepEqual(reasons, [`${stream.id} lost 0`])
})

test('a goodbye comes as JSON, as text and in the query too', async (t) => {
  const { app, reasons } = await withReasons(t)
  const json = await app.connect(ANN)
  await app.call('/connect/disconnect.do', {
    as: ANN,
    json: { connectionId: json.id, reason: 'json', duration: 3 },
  })
  const text = await app.connect(ANN)
  await app.call('/connect/disconnect.do', {
    as: ANN,
    headers: { 'content-type': 'text/plain;charset=UTF-8' },
    body: `connectionId=${text.id}&reason=text`,
  })
  const query = await app.connect(ANN)
  await app.call(`/connect/disconnect.do?connectionId=${query.id}&reason=query`, { as: ANN, method: 'POST' })
  assert.deepEqual(reasons, [`${json.id} json 3`, `${text.id} text 0`, `${query.id} query 0`])
})

test('a goodbye that a page sends as a JSON string, which browsers label as text, is understood', async (t) => {
  const { app, reasons } = await withReasons(t)
  const stream = await app.connect(ANN)
  const { json } = await app.call('/connect/disconnect.do', {
    as: ANN,
    body: JSON.stringify({ connectionId: stream.id, reason: 'pagehide', duration: 4 }),
  })
  assert.deepEqual(json.data, { count: 1 })
  assert.deepEqual(reasons, [`${stream.id} pagehide 4`])
  const broken = await app.call('/connect/disconnect.do', { as: ANN, body: '{"connectionId":' })
  assert.equal(broken.status, 400)
})

test('absurd durations are not believed', async (t) => {
  const { app, reasons } = await withReasons(t)
  for (const duration of ['-5', 'NaN', 'Infinity', '1e999', 'x']) {
    const stream = await app.connect(ANN, 'sessionDuration=7')
    await app.call('/connect/disconnect.do', {
      headers: as(ANN),
      json: { connectionId: stream.id, reason: 'r', duration, sessionDuration: duration },
    })
    assert.equal(reasons.at(-1), `${stream.id} r 7`)
  }
})

test('a page that is disconnected by the server is told why', async (t) => {
  const { app, reasons } = await withReasons(t)
  const stream = await app.connect(ANN)
  const [connection] = await app.sse.getConnections()
  connection?.disconnect()
  assert.equal(await app.sse.isOnline(1), false, 'at once')
  assert.deepEqual(await stream.json('connect-close'), {
    connectionId: stream.id,
    reason: 'server-close',
    reconnect: true,
  })
  await stream.ended()
  assert.equal(await connection?.send('too-late'), 0)
  connection?.disconnect('again')
  assert.deepEqual(reasons, [`${stream.id} server-close 0`])
})

test('an event sent just before the disconnection still arrives, before the farewell', async (t) => {
  const app = await serve(t)
  const stream = await app.connect(ANN)
  await app.sse.sendAll('last-words', 'x'.repeat(1_000_000))
  await app.sse.disconnectByUserId(1)
  await stream.ended()
  assert.deepEqual(stream.names, ['connect-finish', 'last-words', 'connect-close'])
})
