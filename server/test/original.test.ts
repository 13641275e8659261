import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ANN, type App, as, type Stream, serve } from './helpers'

// The requests of sse-js 1.2.22, as its code makes them: what it sends is fixed, so the server must live with it.

function connectLikeTheOriginal(app: App): Promise<Stream> {
  const query = new URLSearchParams()
  query.append('sessionDuration', '0')
  query.append('keepaliveTime', '900000')
  query.append('clientId', 'b1c7')
  query.append('clientVersion', '1.2.22')
  query.append('screen', '1920x1080')
  query.append('accessTime', '1700000000000')
  query.append('listeners', 'myHrBell,connect-finish,connect-close')
  query.append('useWindowEventBus', 'true')
  query.append('locationHref', 'http://localhost/page?x=1#y')
  query.append('clientImportModuleTime', '1700000000001')
  query.append('clientInstanceTime', '1700000000002')
  query.append('clientInstanceId', 'i-1')
  for (const name of ['totalJSHeapSize', 'usedJSHeapSize', 'jsHeapSizeLimit']) query.append(name, '10000000')
  return app.connect(ANN, query.toString(), {
    headers: { accept: 'text/event-stream', 'cache-control': 'no-cache' },
  })
}

/** How it posts everything but files and its goodbye. */
const post = (app: App, path: string, body: unknown) =>
  app.call(path, {
    method: 'POST',
    headers: { ...as(ANN), 'content-type': 'application/json;charset=UTF-8' },
    body: JSON.stringify(body),
  })

test('the original client connects and is told its connectionId', async (t) => {
  const app = await serve(t)
  const stream = await connectLikeTheOriginal(app)
  const connection = await app.sse.getConnection(stream.id)
  assert.deepEqual(connection?.listeners, ['myHrBell', 'connect-finish', 'connect-close'])
  assert.equal(connection?.clientVersion, '1.2.22')
  const finish = JSON.parse(stream.events[0]?.data ?? '')
  assert.equal(typeof finish.connectionId, 'string')
  assert.equal(typeof finish.reconnectTime, 'number')
  assert.equal(await app.sse.sendByUserId(1, 'myHrBell', { count: 100 }, { listening: true }), 1)
  assert.deepEqual(await stream.json('myHrBell'), { count: 100 })
})

test('the original client adds and removes listeners, with its query behind the path', async (t) => {
  const app = await serve(t)
  const { id } = await connectLikeTheOriginal(app)
  for (const query of ['?', '?token=abc']) {
    const added = await post(app, `/connect/addListener.do${query}`, {
      connectionId: id,
      listener: ['server-push'],
    })
    assert.equal(added.json.success, true)
    assert.ok(added.json.data.listener.includes('server-push'))
    const gone = await post(app, `/connect/removeListener.do${query}`, {
      connectionId: id,
      listener: ['server-push'],
    })
    assert.ok(!gone.json.data.listener.includes('server-push'))
  }
})

test('the original client sends messages with an empty body, an empty path and its values in the query', async (t) => {
  const app = await serve(t, { onMessage: (path, _connection, message) => ({ path, message }) })
  const { id } = await connectLikeTheOriginal(app)
  const answer = await post(app, `/connect/message/hello.do?connectionId=${id}&message=x`, {})
  assert.deepEqual(answer.json, {
    success: true,
    code: 200,
    data: { path: 'hello', message: { message: 'x' } },
    message: '',
    errorMessage: '',
  })
  assert.equal((await post(app, `/connect/message/.do?connectionId=${id}`, {})).json.data.path, '')
})

test('the original client uploads a form', async (t) => {
  const app = await serve(t, {
    onUpload: (path, _connection, message, [file]) => file?.text() ?? { path, message },
  })
  const { id } = await connectLikeTheOriginal(app)
  const body = new FormData()
  body.append('file', new File(['the content'], 'a.txt'))
  const answer = await app.call(`/connect/upload/up.do?connectionId=${id}&a=1`, { as: ANN, body })
  assert.equal(answer.json.data, 'the content')
})

test('the original client says goodbye by a beacon, without its query', async (t) => {
  const app = await serve(t)
  const reasons: string[] = []
  app.sse.onDisconnect((connection, reason) => reasons.push(`${reason} ${connection.sessionDuration}`))
  const stream = await connectLikeTheOriginal(app)
  const beacon = new URLSearchParams()
  beacon.set('clientId', 'b1c7')
  beacon.set('connectionId', stream.id)
  beacon.set('reason', 'beforeunload')
  beacon.set('sseVersion', '1.2.22')
  beacon.set('duration', '3')
  beacon.set('sessionDuration', '60')
  const answer = await app.call('/connect/disconnect.do', { headers: as(ANN), body: beacon })
  assert.deepEqual(answer.json.data, { count: 1 })
  await stream.ended()
  assert.deepEqual(reasons, ['beforeunload 63'])
})

test('the original client, hidden, keeps its stream after the beacon until it is told that it is closed', async (t) => {
  const app = await serve(t)
  const stream = await connectLikeTheOriginal(app)
  const body = new URLSearchParams({ connectionId: stream.id, reason: 'visibilitychange' })
  await app.call('/connect/disconnect.do', { headers: as(ANN), body })
  await stream.ended()
  assert.deepEqual(
    stream.names,
    ['connect-finish', 'connect-close'],
    'without it the end would be an error: it would reconnect',
  )
  assert.deepEqual(await stream.json('connect-close'), {
    connectionId: stream.id,
    reason: 'visibilitychange',
    reconnect: false,
  })
})

test('the original client understands a close by the server and a duration that is set', async (t) => {
  const app = await serve(t)
  const stream = await connectLikeTheOriginal(app)
  await app.sse.setDurationByUserId(1, 90)
  assert.equal((await stream.json('sse-set-duration'))['duration'], '90')
  await app.sse.disconnectByConnectionId(stream.id)
  assert.equal((await stream.json('connect-close'))['connectionId'], stream.id)
  await stream.ended()
})
