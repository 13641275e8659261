import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { HttpError } from 'tabwire/server'
import {
  ANN,
  type App,
  as,
  assertAlive,
  assertRefused,
  BOB,
  type CallOptions,
  rawRequest,
  type Stream,
  serve,
} from './helpers'

/** A route, and a request that it accepts from the connection's owner. */
interface Door {
  path: (connectionId: string) => string
  request: (connectionId: string) => CallOptions
  /** The connection is named in the query, so it is checked before the body is read. */
  namedInQuery?: boolean
  takes?: 'json' | 'form or json' | 'multipart'
}

const form = () => {
  const data = new FormData()
  data.set('note', 'hello')
  data.set('file', new Blob(['content']), 'a.txt')
  return data
}

const DOORS: Record<string, Door> = {
  addListener: {
    path: () => '/connect/addListener.do',
    request: (connectionId) => ({ json: { connectionId, listener: ['a'] } }),
    takes: 'json',
  },
  removeListener: {
    path: () => '/connect/removeListener.do',
    request: (connectionId) => ({ json: { connectionId, listener: ['a'] } }),
    takes: 'json',
  },
  message: {
    path: (id) => `/connect/message/echo.do?connectionId=${id}`,
    request: () => ({ json: { x: 1 } }),
    namedInQuery: true,
    takes: 'json',
  },
  upload: {
    path: (id) => `/connect/upload/echo.do?connectionId=${id}`,
    request: () => ({ body: form() }),
    namedInQuery: true,
    takes: 'multipart',
  },
  disconnect: {
    path: () => '/connect/disconnect.do',
    request: (connectionId) => ({ json: { connectionId } }),
    takes: 'form or json',
  },
}

/** Ann and Bob are connected; Ann asks, and Bob must not notice. */
async function twoPages(t: TestContext) {
  const app = await serve(t, {
    bodyLimit: 2000,
    queryLimit: 500,
    uploadLimit: 2000,
    maxFiles: 2,
    maxListeners: 5,
    maxNameLength: 20,
    onMessage: (_path, _connection, message) => message,
    onUpload: (_path, _connection, message, files) => ({ message, files: files.length }),
  })
  return { app, ann: await app.connect(ANN), bob: await app.connect(BOB) }
}

async function refuses(app: App, bob: Stream, path: string, options: CallOptions, status: number) {
  const answer = await app.call(path, options)
  assertRefused(answer, status)
  assert.ok(answer.headers.get('x-sse-version'))
  assert.ok(answer.headers.get('x-sse-server-id'))
  await assertAlive(app, bob, BOB)
  return answer
}

for (const [name, { path, request, namedInQuery, takes }] of Object.entries(DOORS)) {
  const post = (id: string, options: CallOptions = {}): CallOptions => ({
    as: ANN,
    ...request(id),
    ...options,
  })

  test(`${name} serves the owner of the connection`, async (t) => {
    const { app, ann } = await twoPages(t)
    const { status, json } = await app.call(path(ann.id), post(ann.id))
    assert.equal(status, 200)
    assert.equal(json.success, true)
  })

  test(`${name} refuses who is not signed in, and who is somebody else`, async (t) => {
    const { app, ann, bob } = await twoPages(t)
    const { as: _, ...anonymous } = post(ann.id)
    await refuses(app, bob, path(ann.id), anonymous, 401)
    await refuses(app, bob, path(ann.id), post(ann.id, { as: BOB }), 403)
    await refuses(app, bob, path(ann.id), post(ann.id, { as: { ...ANN, tenantId: 99 } }), 403)
    await refuses(app, bob, path(ann.id), post(ann.id, { as: { accessToken: '1', tenantId: 3 } }), 403)
    await assertAlive(app, ann, ANN)
  })

  test(`${name} does not know a connection that is not open`, async (t) => {
    const { app, bob } = await twoPages(t)
    for (const id of ['unknown', '__proto__', 'constructor', '%00', '../..']) {
      if (name === 'disconnect') {
        const { status, json } = await app.call(path(id), post(id))
        assert.deepEqual([status, json.data], [200, { count: 0 }], 'a goodbye may come after the end')
      } else {
        const answer = await refuses(app, bob, path(encodeURIComponent(id)), post(id), 404)
        assert.equal(answer.headers.get('x-sse-error'), 'unknown-connection')
      }
    }
    await refuses(app, bob, path('').replace(/\?.*/, ''), post(''), 400)
  })

  test(`${name} refuses pages of foreign origins`, async (t) => {
    const { app, ann, bob } = await twoPages(t)
    for (const headers of [
      { origin: 'https://evil.example' },
      { origin: 'null' },
      { origin: `http://127.0.0.1:${app.port + 1}` },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site', origin: `http://127.0.0.1:${app.port}` },
    ]) {
      await refuses(app, bob, path(ann.id), post(ann.id, { headers: headers as Record<string, string> }), 403)
    }
    const own = { origin: `http://127.0.0.1:${app.port}` }
    assert.equal((await app.call(path(ann.id), post(ann.id, { headers: own }))).status, 200)
  })

  test(`${name} refuses a body of the wrong type, a broken one and one that is too large`, async (t) => {
    const { app, ann, bob } = await twoPages(t)
    const url = path(ann.id)
    const send = (type: string, body: BodyInit, status: number) =>
      refuses(app, bob, url, { as: ANN, method: 'POST', body, headers: { 'content-type': type } }, status)
    await send('application/xml', '<a/>', 415)
    if (takes === 'multipart') {
      await send('application/json', '{}', 415)
      await send('multipart/form-data', 'no boundary', 400)
      await send(
        'multipart/form-data; boundary=x',
        '--x\r\nContent-Disposition: form-data; name="a"\r\n\r\ncut',
        400,
      )
      return
    }
    await send('application/json; charset=latin1', '{}', 415)
    for (const broken of ['{', '{"a":}', 'undefined', '"\\u']) await send('application/json', broken, 400)
    await send('application/json', new Uint8Array([0x22, 0xff, 0x22]), 400)
    await send('application/json', '{"__proto__":{"polluted":true}}', 400)
    await send('application/json', '{"a":[{"\\u005f_proto__":1}]}', 400)
    await send('application/json', JSON.stringify({ connectionId: ann.id, big: 'x'.repeat(2000) }), 413)
    if (!namedInQuery)
      for (const wrong of ['[]', '"text"', '7', 'null']) await send('application/json', wrong, 400)
    if (takes === 'json') await send('text/plain', '{}', 415)
    assert.equal(Reflect.get({}, 'polluted'), undefined)
  })

  test(`${name} refuses a query that is too long`, async (t) => {
    const { app, ann, bob } = await twoPages(t)
    const url = path(ann.id)
    await refuses(app, bob, `${url}${url.includes('?') ? '&' : '?'}x=${'y'.repeat(600)}`, post(ann.id), 413)
  })

  test(`${name} answers 413 to a body without a length, however long it goes on`, async (t) => {
    const { app, ann, bob } = await twoPages(t)
    const head = `POST /sse/hr${path(ann.id)} HTTP/1.1\r\nHost: x\r\nx-user: ${JSON.stringify(ANN)}\r\n`
    const type = takes === 'multipart' ? 'multipart/form-data; boundary=b' : 'application/json'
    const start =
      takes === 'multipart' ? '--b\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n' : '"'
    const chunk = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n`
    const { answer, socket } = await rawRequest(
      app.port,
      `${head}Connection: close\r\nContent-Type: ${type}\r\nTransfer-Encoding: chunked\r\n\r\n${chunk(start)}`,
    )
    for (let i = 0; i < 50; i++) socket.write(chunk('x'.repeat(1000)))
    socket.write('0\r\n\r\n')
    assert.match(await answer, /^HTTP\/1\.1 413 /)
    await assertAlive(app, bob, BOB)
  })

  test(`${name} survives a client that breaks off in the body`, async (t) => {
    const { app, ann, bob } = await twoPages(t)
    const type = takes === 'multipart' ? 'multipart/form-data; boundary=b' : 'application/json'
    const { socket } = await rawRequest(
      app.port,
      `POST /sse/hr${path(ann.id)} HTTP/1.1\r\nHost: x\r\nx-user: ${JSON.stringify(ANN)}\r\nContent-Type: ${type}\r\nContent-Length: 1000\r\n\r\n{"a`,
    )
    socket.destroy()
    await assertAlive(app, bob, BOB)
    assert.equal((await app.call(path(ann.id), post(ann.id))).status, 200)
    assert.deepEqual(app.errors, [], 'that is no failure of ours')
  })
}

test('connect refuses who is not signed in, foreign origins in every method, and absurd parameters', async (t) => {
  const { app, bob } = await twoPages(t)
  await refuses(app, bob, '/connect', {}, 401)
  for (const method of ['GET', 'POST']) {
    await refuses(app, bob, '/connect', { as: ANN, method, headers: { origin: 'https://evil.example' } }, 403)
    await refuses(app, bob, '/connect', { as: ANN, method, headers: { 'sec-fetch-site': 'cross-site' } }, 403)
  }
  const names = (count: number) => Array.from({ length: count }, (_, i) => `n${i}`).join()
  for (const [query, status] of [
    ['keepaliveTime=-1', 400],
    ['keepaliveTime=soon', 400],
    ['listeners=a%0Ab', 400],
    ['listeners=a%00', 400],
    [`listeners=${'x'.repeat(21)}`, 400],
    [`listeners=${names(6)}`, 413],
    [`channel=${'x'.repeat(21)}`, 400],
    ['channel=a%0Db', 400],
    ['channel=a%0Ab', 400],
    ['channel=a%00', 400],
    [`x=${'y'.repeat(600)}`, 413],
    ['__proto__=1', 400],
  ] as const) {
    await refuses(app, bob, `/connect?${query}`, { as: ANN }, status)
  }
  for (const [type, body, status] of [
    ['application/json', '{', 400],
    ['application/json', '[]', 400],
    ['application/xml', '<a/>', 415],
    ['application/json', JSON.stringify({ a: 'x'.repeat(3000) }), 413],
  ] as const) {
    await refuses(app, bob, '/connect', { as: ANN, body, headers: { 'content-type': type } }, status)
  }
  assert.equal(await app.sse.getConnectionCount(), 2)
})

test('strange numbers that only inform keep nobody out', async (t) => {
  const { app } = await twoPages(t)
  const stream = await app.connect(ANN, 'sessionDuration=NaN&accessTime=yesterday&clientInstanceTime=-1')
  const connection = await app.sse.getConnection(stream.id)
  assert.equal(connection?.sessionDuration, 0)
  assert.equal(connection?.accessTime, undefined)
})

test('listeners are refused if they are no names or too many, and then nothing changes', async (t) => {
  const { app, ann, bob } = await twoPages(t)
  const add = (listener: unknown) => ({ as: ANN, json: { connectionId: ann.id, listener } })
  for (const wrong of [
    undefined,
    null,
    'a',
    {},
    [1],
    [''],
    ['a', null],
    ['a,b'],
    ['a\nb'],
    ['a\0'],
    ['x'.repeat(21)],
  ]) {
    await refuses(app, bob, '/connect/addListener.do', add(wrong), 400)
    await refuses(app, bob, '/connect/removeListener.do', add(wrong), 400)
  }
  assert.equal((await app.call('/connect/addListener.do', add(['a', 'b', 'c', 'd']))).status, 200)
  await refuses(app, bob, '/connect/addListener.do', add(['e', 'f']), 413)
  assert.deepEqual((await app.sse.getConnection(ann.id))?.listeners, ['a', 'b', 'c', 'd'])
  for (const id of [7, {}, ['x'], null]) {
    const { status } = await app.call('/connect/addListener.do', {
      as: ANN,
      json: { connectionId: id, listener: [] },
    })
    assert.ok([400, 404].includes(status), `${JSON.stringify(id)}: ${status}`)
  }
})

test('a path that is not properly encoded is refused', async (t) => {
  const { app, ann, bob } = await twoPages(t)
  for (const path of ['%', '%zz', '%ff', '%c3%28']) {
    await refuses(app, bob, `/connect/message/${path}.do?connectionId=${ann.id}`, { as: ANN, json: {} }, 400)
    await refuses(
      app,
      bob,
      `/connect/upload/${path}.do?connectionId=${ann.id}`,
      { as: ANN, body: form() },
      400,
    )
  }
})

test('what is at no path is a 404, also in another method', async (t) => {
  const { app, bob } = await twoPages(t)
  await refuses(app, bob, '/nothing/here', { as: ANN }, 404)
  await refuses(app, bob, '/connect/addListener.do', { as: ANN }, 404)
  await refuses(app, bob, '/sse.js', { as: ANN, method: 'POST' }, 404)
})

test('without handlers there are no messages and no uploads', async (t) => {
  const app = await serve(t)
  const { id } = await app.connect(ANN)
  const bob = await app.connect(BOB)
  const message = await refuses(
    app,
    bob,
    `/connect/message/x.do?connectionId=${id}`,
    { as: ANN, json: {} },
    404,
  )
  assert.equal(message.headers.get('x-sse-error'), null, 'the connection is known')
  await refuses(app, bob, `/connect/upload/x.do?connectionId=${id}`, { as: ANN, body: form() }, 404)
})

test('a handler that fails is a 500 that tells nothing, and the log tells all', async (t) => {
  const secret = 'internal detail'
  const fail: Record<string, () => unknown> = {
    throws: () => {
      throw new Error(secret)
    },
    rejects: () => Promise.reject(new TypeError(secret)),
    odd: () => Promise.reject(secret),
    nothing: () => Promise.reject(undefined),
    router: () => {
      throw 'router'
    },
    route: () => {
      throw 'route'
    },
    foreign: () => Promise.reject(Object.assign(new Error(secret), { status: 404 })),
    hidden: () => Promise.reject(Object.assign(new Error(secret), { status: 404, expose: false })),
    header: () => {
      throw new HttpError(400, secret, { 'X-Broken': 'a\r\nSet-Cookie: b=c' })
    },
    headerName: () => {
      throw new HttpError(400, secret, { 'Not a name': 'x' })
    },
    circle: () => {
      const circle: Record<string, unknown> = { secret }
      circle['self'] = circle
      return circle
    },
    serverStatus: () => Promise.reject(Object.assign(new Error(secret), { status: 502 })),
  }
  const app = await serve(t, { onMessage: (path) => fail[path]?.(), onUpload: (path) => fail[path]?.() })
  const { id } = await app.connect(ANN)
  const bob = await app.connect(BOB)
  for (const path of Object.keys(fail)) {
    const before = app.errors.length
    await refuses(app, bob, `/connect/message/${path}.do?connectionId=${id}`, { as: ANN, json: {} }, 500)
    await refuses(app, bob, `/connect/upload/${path}.do?connectionId=${id}`, { as: ANN, body: form() }, 500)
    assert.equal(app.errors.length, before + 2, path)
    assert.match(app.errors.at(-1)?.where ?? '', new RegExp(`POST /sse/hr/connect/upload/${path}.do$`))
  }
})

test('a handler may refuse with a status and a sentence of its own', async (t) => {
  const refusals: Record<string, unknown> = {
    own: new HttpError(404, 'No such path.'),
    later: new HttpError(503, 'Come back later.', { 'Retry-After': '7' }),
    habit: Object.assign(new Error('Not enough money.'), { status: 402, expose: true }),
  }
  const app = await serve(t, {
    onMessage(path) {
      throw refusals[path]
    },
  })
  const { id } = await app.connect(ANN)
  const send = (path: string) =>
    app.call(`/connect/message/${path}.do?connectionId=${id}`, { as: ANN, json: {} })
  const own = await send('own')
  assert.deepEqual(
    [own.status, own.json.message, own.headers.get('x-sse-error')],
    [404, 'No such path.', null],
  )
  const later = await send('later')
  assert.deepEqual([later.status, later.headers.get('retry-after')], [503, '7'])
  const habit = await send('habit')
  assert.deepEqual([habit.status, habit.json.message], [402, 'Not enough money.'])
  assert.deepEqual(app.errors, [])
  assert.throws(() => new HttpError(200, 'no error'), RangeError)
  assert.throws(() => new HttpError(400, 'Bad.', { 'X-Broken': 'a\nb' }), TypeError)
  assert.throws(() => new HttpError(400, 'Bad.', { 'X-Broken': undefined as unknown as string }), TypeError)
  assert.throws(() => new HttpError(400, 'Bad.', { '': 'x' }), TypeError)
})

test('an onError that fails itself takes nothing down', async (t) => {
  const logged = t.mock.method(console, 'error', () => {})
  const app = await serve(t, {
    onMessage: () => Promise.reject(new Error('first')),
    onError: () => Promise.reject(new Error('second')),
  })
  const stream = await app.connect(ANN)
  assertRefused(await app.call(`/connect/message/x.do?connectionId=${stream.id}`, { as: ANN, json: {} }), 500)
  await assertAlive(app, stream, ANN)
  assert.equal(logged.mock.callCount(), 1)
})

test('every way that getUser can go has its answer', async (t) => {
  const users: Record<string, () => unknown> = {
    null: () => null,
    undefined: () => undefined,
    false: async () => false,
    text: () => 'Ann',
    objectAsId: () => ({ id: { no: 'id' } }),
    noNumberAsId: () => ({ id: Number('Ann') }),
    throws: () => {
      throw new Error('internal detail')
    },
    rejects: () =>
      Promise.reject(Object.assign(new Error('Your session has expired.'), { status: 401, expose: true })),
    route: () => {
      throw 'route'
    },
    router: () => Promise.reject('router'),
    nothing: () => Promise.reject(undefined),
  }
  const app = await serve(t, {
    getUser: (req) => users[String(req.headers['x-case'])]?.() as never,
  })
  for (const [name, status] of [
    ['null', 401],
    ['undefined', 401],
    ['false', 401],
    ['text', 500],
    ['objectAsId', 500],
    ['noNumberAsId', 500],
    ['throws', 500],
    ['rejects', 401],
    ['route', 500],
    ['router', 500],
    ['nothing', 500],
  ] as const) {
    assertRefused(await app.call('/connect', { headers: { 'x-case': name } }), status)
  }
  assert.match(String(app.errors[0]?.error), /getUser must return an object/)
  assert.match(String(app.errors[1]?.error), /id must be a string or a number/)
  assert.match(String(app.errors[2]?.error), /id must be a string or a number/)
  assert.deepEqual(
    app.errors.slice(4).map(({ error }) => error),
    ['route', 'router', undefined],
  )
})

test('a request head that is no HTTP hurts nobody', async (t) => {
  const { app, bob } = await twoPages(t)
  const { answer } = await rawRequest(app.port, 'GET /sse/hr/connect?x=\0 HTTP/1.1\r\nHost: x\r\n\r\n')
  assert.match(await answer, /^HTTP\/1\.1 400 /)
  await assertAlive(app, bob, BOB)
})

test('operators see who is here, page by page, and never a token', async (t) => {
  const app = await serve(t, { admin: async (user) => user.id === 1 })
  await app.connect(ANN, 'clientId=c1&token=query-secret&listeners=a')
  await app.connect(BOB, 'clientId=c2')
  for (const path of ['/users', '/connect/users.json']) {
    const { text, json } = await app.call(`${path}?pageSize=1&pageNum=2`, { as: ANN })
    assert.deepEqual(json.data, {
      list: [{ id: 2, name: 'Bob', tenantId: 3 }],
      total: 2,
      pageNum: 2,
      pageSize: 1,
    })
    assert.doesNotMatch(text, /secret/)
  }
  assert.equal((await app.call('/users?name=AN', { as: ANN })).json.data.list[0].name, 'Ann')
  for (const path of ['/connections', '/connect/connections.json']) {
    const { text, json } = await app.call(path, { as: ANN })
    assert.equal(json.data.total, 2)
    assert.deepEqual(json.data.list[0].listeners, ['a'])
    assert.doesNotMatch(text, /secret/)
    const { list } = (await app.call(`${path}?clientId=c2`, { as: ANN })).json.data
    assert.equal(list.length, 1)
    assert.equal((await app.call(`${path}?id=${list[0].id}`, { as: ANN })).json.data.list[0].userName, 'Bob')
  }
  for (const path of ['/repositoryMessages', '/connect/repositoryMessages.json']) {
    assert.deepEqual((await app.call(path, { as: ANN })).json.data, {
      list: [],
      total: 0,
      pageNum: 1,
      pageSize: 100,
    })
  }
})

test('the lists are closed to everybody else, and to absurd pages', async (t) => {
  const closed = await serve(t)
  const app = await serve(t, { admin: (user) => user.id === 1 })
  const bob = await app.connect(BOB)
  for (const path of ['/users', '/connections', '/repositoryMessages', '/connect/users.json']) {
    assertRefused(await closed.call(path, { as: ANN }), 403)
    await refuses(app, bob, path, {}, 401)
    await refuses(app, bob, path, { as: BOB }, 403)
    for (const query of [
      'pageNum=0',
      'pageNum=x',
      'pageSize=1001',
      'pageSize=-1',
      'pageSize=1.5',
      'pageNum=1e99',
    ]) {
      await refuses(app, bob, `${path}?${query}`, { as: ANN }, 400)
    }
  }
})

test('an operator disconnects a user; others, foreign pages and nonsense do not', async (t) => {
  const app = await serve(t, { admin: (user) => user.id === 1 })
  const bob = await app.connect(BOB)
  const kick = (options: CallOptions, status: number) => refuses(app, bob, '/disconnectUser', options, status)
  await kick({ json: { userId: 2 } }, 401)
  await kick({ as: BOB, json: { userId: 2 } }, 403)
  await kick({ as: ANN, json: { userId: 2 }, headers: { origin: 'https://evil.example' } }, 403)
  await kick({ as: ANN, json: {} }, 400)
  await kick({ as: ANN, json: { userId: { a: 1 } } }, 400)
  await kick({ as: ANN, json: { userId: [1, 2] } }, 400)
  await kick({ as: ANN, body: new URLSearchParams('userId=1&userId=2') }, 400)
  await kick({ as: ANN, body: '{', headers: { ...as(ANN), 'content-type': 'application/json' } }, 400)
  assert.deepEqual((await app.call('/disconnectUser', { as: ANN, json: { userId: 99 } })).json.data, {
    count: 0,
  })
  assert.deepEqual((await app.call('/disconnectUser', { as: ANN, json: { userId: 2 } })).json.data, {
    count: 1,
  })
  assert.equal((await bob.json('connect-close'))['reason'], 'server-close')
})
