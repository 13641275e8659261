import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { ANN, type App, as, BOB, eventsOf, finishOf, type Stream, serve, until } from './helpers'

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

test('what a page sends in its last moment arrives, though it comes after the goodbye or the end of the line', async (t) => {
  const app = await serve(t, {
    onMessage: (_path, { id }) => id,
    onUpload: (_path, { id }) => id,
  })
  const { said, lost } = { said: await app.connect(ANN), lost: await app.connect(ANN) }
  await beacon(app, said)
  lost.leave()
  await until(async () => !(await app.sse.isOnline(1)), 'the user to be offline')
  for (const { id } of [said, lost]) {
    const to = (path: string) => `/connect/${path}.do?connectionId=${id}`
    const message = await app.call(to('message/x'), { as: ANN, json: {} })
    assert.deepEqual([message.status, message.json.data], [200, id])
    const body = new FormData()
    body.set('file', new Blob(['x']), 'x')
    assert.equal((await app.call(to('upload/x'), { as: ANN, body })).json.data, id)
    const entries = [{ key: `k-${id}`, path: 'x', lane: 'l' }]
    const batch = await app.call(to('batch'), { as: ANN, json: { entries } })
    assert.equal(JSON.parse(JSON.parse(batch.text).body).data, id)
    assert.equal((await app.call(to('message/x'), { as: BOB, json: {} })).status, 403)
    const listener = await app.call('/connect/addListener.do', {
      as: ANN,
      json: { connectionId: id, listener: ['x'] },
    })
    assert.equal(listener.status, 404, 'nobody listens any more')
    assert.equal(await app.sse.getConnection(id), undefined)
  }
})

test('a message of a connection that the server has ended is a 404 that names the cause', async (t) => {
  const app = await serve(t, { onMessage: () => 'late', clientIdMaxConnections: 1 })
  const kicked = await app.connect(ANN)
  await app.sse.disconnectByUserId(1)
  await kicked.ended()
  const evicted = await app.connect(ANN, 'clientId=c')
  await app.connect(ANN, 'clientId=c')
  await evicted.ended()
  const superseded = await app.connect(ANN, 'clientId=d&clientInstanceId=i')
  await app.connect(ANN, 'clientId=d&clientInstanceId=i')
  await superseded.ended()
  for (const { id } of [kicked, evicted, superseded, { id: 'unknown' }]) {
    const answer = await app.call(`/connect/message/x.do?connectionId=${id}`, { as: ANN, json: {} })
    assert.equal(answer.status, 404)
    assert.equal(answer.headers.get('x-sse-error'), 'unknown-connection')
    await beacon(app, { id } as Stream)
    const after = await app.call(`/connect/message/x.do?connectionId=${id}`, { as: ANN, json: {} })
    assert.equal(after.status, 404, 'a goodbye does not bring it back')
  }
})

test('only so many connections are good after their end, the last ones', async (t) => {
  const app = await serve(t, { onMessage: () => 'late' })
  const first = await app.connect(ANN)
  await beacon(app, first)
  const send = (id: string) => app.call(`/connect/message/x.do?connectionId=${id}`, { as: ANN, json: {} })
  assert.equal((await send(first.id)).status, 200)
  let last = first.id
  for (let n = 0; n < 1000; n++) {
    const { text } = await app.call('/connect?mode=poll&wait=0', { as: ANN })
    last = String(finishOf(eventsOf(text))['connectionId'])
    await app.call('/connect/disconnect.do', { as: ANN, json: { connectionId: last } })
  }
  assert.equal((await send(last)).status, 200)
  assert.equal((await send(first.id)).status, 404)
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
