import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { type TestContext, test } from 'node:test'
import { HttpError, type SseOptions, type UploadedFile } from 'tabwire/server'
import { memoryStore } from 'tabwire/stores/memory'
import { Gate } from './gate'
import {
  ANN,
  type Answer,
  type App,
  assertAlive,
  assertRefused,
  BOB,
  type CallOptions,
  rawRequest,
  serve,
  type TestUser,
  until,
} from './helpers'

const QUICK = '0190a3f2-quick'

const keyed = (key: string): Record<string, string> => ({ 'idempotency-key': `"${key}"` })

function post(
  app: App,
  id: string,
  key: string,
  { as: user = ANN, ...options }: CallOptions = {},
  path = 'x',
) {
  const content = options.body === undefined ? { json: { n: 1 } } : {}
  return app.call(`/connect/message/${path}.do?connectionId=${id}`, {
    as: user,
    ...content,
    ...options,
    headers: { ...keyed(key), ...options.headers },
  })
}

const replayed = ({ headers }: Answer) => headers.get('idempotent-replayed')
const echo = ({ headers }: Answer) => headers.get('idempotency-key')

/** Counts the runs of the handler, which then does as it is told. */
async function counting(
  t: TestContext,
  handle: (run: number) => unknown,
  options?: Partial<SseOptions<TestUser>>,
) {
  const count = { runs: 0 }
  const run = () => handle(++count.runs)
  const app = await serve(t, { onMessage: run, onUpload: run, ...options })
  const { id } = await app.connect(ANN)
  return { app, id, count }
}

test('a repeat gets the answer of the first, and the handler runs once', async (t) => {
  const { app, id, count } = await counting(t, (run) => ({ run }))
  const first = await post(app, id, QUICK)
  assert.equal(first.status, 200)
  assert.deepEqual([echo(first), replayed(first)], [`"${QUICK}"`, null])
  for (let n = 0; n < 3; n++) {
    const again = await post(app, id, QUICK)
    assert.equal(again.text, first.text)
    assert.deepEqual([again.status, echo(again), replayed(again)], [200, `"${QUICK}"`, 'true'])
    assert.equal(again.headers.get('content-type'), first.headers.get('content-type'))
    assert.equal(again.headers.get('cache-control'), 'no-store')
  }
  assert.equal(count.runs, 1)
  assert.equal((await app.sse.getConnection(id))?.requestMessageCount, 1, 'it is one message')
  assert.equal((await post(app, id, 'another')).json.data.run, 2)
})

test('what has no key runs as often as it comes, and says nothing of keys', async (t) => {
  const { app, id, count } = await counting(t, (run) => run)
  for (let n = 1; n <= 2; n++) {
    const answer = await app.call(`/connect/message/x.do?connectionId=${id}`, { as: ANN, json: {} })
    assert.deepEqual([answer.json.data, echo(answer), replayed(answer)], [n, null, null])
  }
  assert.equal(count.runs, 2)
})

test('a repeat is known after another connect, from another node with the same store, and by another spelling', async (t) => {
  const store = memoryStore()
  const { app, id, count } = await counting(t, (run) => run, { store })
  await post(app, id, QUICK)
  await app.sse.disconnectByUserId(1)
  const { id: later } = await app.connect(ANN)
  assert.equal(replayed(await post(app, later, QUICK)), 'true')
  const bare = await post(app, later, QUICK, { headers: { 'idempotency-key': QUICK } })
  assert.deepEqual([replayed(bare), echo(bare)], ['true', `"${QUICK}"`])
  const elsewhere = await serve(t, { store, onMessage: () => 'elsewhere' })
  const there = await post(elsewhere, (await elsewhere.connect(ANN)).id, QUICK)
  assert.deepEqual([there.json.data, replayed(there)], [1, 'true'])
  const otherService = await serve(t, { store, name: 'shop', onMessage: () => 'shop' })
  assert.equal((await post(otherService, (await otherService.connect(ANN)).id, QUICK)).json.data, 'shop')
  assert.equal(count.runs, 1)
})

test('many repeats at once, on two nodes, run the handler once and all get its answer', async (t) => {
  const gate = new Gate()
  const store = memoryStore()
  const nodes = [
    await serve(t, { store, onMessage: gate.pass }),
    await serve(t, { store, onMessage: gate.pass }),
  ]
  const ids = await Promise.all(nodes.map(async (node) => (await node.connect(ANN)).id))
  const calls = Array.from({ length: 20 }, (_, n) => post(nodes[n % 2] as App, ids[n % 2] as string, QUICK))
  await gate.begun()
  gate.runs[0]?.('done')
  const answers = await Promise.all(calls)
  assert.deepEqual(new Set(answers.map(({ json }) => json.data)), new Set(['done']))
  assert.equal(answers.filter((answer) => replayed(answer) === null).length, 1)
  assert.ok(answers.every((answer) => echo(answer) === `"${QUICK}"`))
  assert.equal(gate.runs.length, 1)
})

test("a key belongs to its user: another's same key is another key", async (t) => {
  const app = await serve(t, { onMessage: (_path, { userName }) => userName })
  const [ann, bob] = [await app.connect(ANN), await app.connect(BOB)]
  assert.equal((await post(app, ann.id, QUICK)).json.data, 'Ann')
  const bobs = await post(app, bob.id, QUICK, { as: BOB })
  assert.deepEqual([bobs.json.data, replayed(bobs)], ['Bob', null])
  assert.equal((await post(app, ann.id, QUICK, { as: BOB })).status, 403, 'nor by way of her connection')
})

test('where users are not told apart, a key belongs to the browser', async (t) => {
  const { app, count } = await counting(t, (run) => run)
  const nobody = {}
  const [one, other] = [
    await app.connect(nobody, 'clientId=one'),
    await app.connect(nobody, 'clientId=other'),
  ]
  const again = await app.connect(nobody, 'clientId=one')
  const runs = [one, other, again].map(async ({ id }) => (await post(app, id, 'k', { as: nobody })).json.data)
  assert.deepEqual((await Promise.all(runs)).sort(), [1, 1, 2])
  assert.equal(count.runs, 2)
})

test('the same key with another path, query, body or kind of request is a 422, while the first runs and after', async (t) => {
  const gate = new Gate()
  const app = await serve(t, { onMessage: gate.pass, onUpload: () => 'never' })
  const { id } = await app.connect(ANN)
  const form = new FormData()
  form.set('n', '1')
  const others = () => [
    post(app, id, QUICK, {}, 'y'),
    post(app, `${id}&n=2&m=1`, QUICK),
    post(app, id, QUICK, { json: { n: 2 } }),
    post(app, id, QUICK, { json: { n: '1' } }),
    app.call(`/connect/upload/x.do?connectionId=${id}`, { as: ANN, headers: keyed(QUICK), body: form }),
  ]
  const first = post(app, id, QUICK)
  await gate.begun()
  for (const answer of await Promise.all(others())) {
    assertRefused(answer, 422)
    assert.equal(echo(answer), null)
  }
  gate.runs[0]?.('done')
  assert.equal((await first).json.data, 'done')
  for (const answer of await Promise.all(others())) assertRefused(answer, 422)
  assert.equal(replayed(await post(app, id, QUICK)), 'true', 'the right one is answered all the same')
  assert.equal(gate.runs.length, 1)
})

test('a refusal that the handler means is its answer, and is remembered with its headers', async (t) => {
  const { app, id, count } = await counting(t, (run) => {
    throw new HttpError(run === 1 ? 409 : 500, `Run ${run} refuses.`, { 'X-Why': 'taken' })
  })
  const first = await post(app, id, QUICK)
  assertRefused(first, 409)
  assert.equal(echo(first), `"${QUICK}"`)
  const again = await post(app, id, QUICK)
  assert.equal(again.text, first.text)
  assert.deepEqual([again.status, replayed(again), again.headers.get('x-why')], [409, 'true', 'taken'])
  assert.equal(count.runs, 1)
  assert.deepEqual(app.errors, [])
})

test("401 of the handler, and another library's error for clients, are answers like others", async (t) => {
  const errors = [
    new HttpError(401, 'Sign in first.'),
    Object.assign(new Error('Not enough money.'), { status: 402, expose: true }),
  ]
  const { app, id, count } = await counting(t, (run) => {
    throw errors[run - 1]
  })
  for (const status of [401, 402]) {
    for (const isRepeat of [null, 'true']) {
      const answer = await post(app, id, `key-${status}`)
      assert.deepEqual([answer.status, echo(answer), replayed(answer)], [status, `"key-${status}"`, isRepeat])
    }
  }
  assert.equal(count.runs, 2)
})

test('what may be otherwise later is not remembered: a repeat runs the handler again, and succeeds', async (t) => {
  const failures = [
    ...[408, 425, 429, 500, 503].map((status) => new HttpError(status, 'Try again later.')),
    new Error('broken'),
    'thrown text',
    undefined,
  ]
  const { app, id, count } = await counting(t, (run) => {
    if (run <= failures.length) throw failures[run - 1]
    return run
  })
  for (const failure of failures) {
    const answer = await post(app, id, QUICK)
    assertRefused(answer, failure instanceof HttpError ? failure.status : 500)
    assert.deepEqual([echo(answer), replayed(answer)], [null, null])
  }
  const success = await post(app, id, QUICK)
  assert.deepEqual([success.json.data, replayed(success)], [failures.length + 1, null])
  assert.equal(replayed(await post(app, id, QUICK)), 'true')
  assert.equal(count.runs, failures.length + 1)
  assert.equal(app.errors.length, 3, 'failures are reported, refusals are not')
  assert.match(app.errors[0]?.where ?? '', /^POST \/sse\/hr\/connect\/message\/x\.do$/)
})

test('all that wait for a handler that fails hear of it, it is reported once, and it runs again', async (t) => {
  const gate = new Gate()
  const app = await serve(t, { onMessage: gate.pass })
  const { id } = await app.connect(ANN)
  const first = post(app, id, QUICK)
  await gate.begun()
  const second = post(app, id, QUICK)
  // It has been read, and waits, when another request that came later was answered.
  await app.call(`/connect/message/x.do?connectionId=unknown`, { as: ANN, json: {} })
  gate.runs[0]?.(new Error('broken'))
  assertRefused(await first, 500)
  const answer = await Promise.race([second, gate.begun(2)])
  if (answer) assertRefused(answer, 500)
  else gate.runs[1]?.(new Error('broken'))
  await second
  const before = gate.runs.length
  assert.equal(app.errors.length, before)
  const third = post(app, id, QUICK)
  await gate.begun(before + 1)
  gate.runs[before]?.('done')
  assert.equal((await third).json.data, 'done')
})

/** The head of a message by Ann, with a body of so many bytes still to come. */
const head = (id: string, length: number) =>
  `POST /sse/hr/connect/message/x.do?connectionId=${id} HTTP/1.1\r\nHost: x\r\nx-user: ${JSON.stringify(ANN)}\r\n` +
  `Content-Type: application/json\r\nContent-Length: ${length}\r\nIdempotency-Key: "${QUICK}"\r\n\r\n`
const BODY = '{"n":1}'

test('an error that cannot even be looked at is a failure like others, and holds no key', async (t) => {
  const { app, id, count } = await counting(t, (run) => {
    if (run > 2) return 'done'
    throw Object.defineProperty(Object.assign(new Error('internal detail'), { expose: true }), 'status', {
      get() {
        throw new Error('internal detail')
      },
    })
  })
  const without = { as: ANN, json: {} }
  assertRefused(await app.call(`/connect/message/x.do?connectionId=${id}`, without), 500)
  assertRefused(await post(app, id, 'k'), 500)
  assert.equal((await post(app, id, 'k')).json.data, 'done')
  assert.deepEqual([count.runs, app.errors.length], [3, 2])
})

test('a request that is cut in its body has not run; its repeat runs, and is the first', async (t) => {
  const { app, id, count } = await counting(t, (run) => run)
  const left: Promise<unknown>[] = []
  app.http.on('request', (_req, res) => left.push(once(res, 'close')))
  for (const part of ['', '{', BODY.slice(0, -1)]) {
    const { socket } = await rawRequest(app.port, head(id, BODY.length) + part)
    await until(() => left.length > 0, 'the request to come')
    socket.destroy()
    await Promise.all(left.splice(0))
  }
  assert.equal(count.runs, 0)
  const answer = await post(app, id, QUICK)
  assert.deepEqual([answer.json.data, replayed(answer)], [1, null])
  assert.deepEqual(app.errors, [])
})

test('a request whose client is gone before the answer runs to its end, and its repeat gets that answer', async (t) => {
  const gate = new Gate()
  const app = await serve(t, { onMessage: gate.pass })
  const stream = await app.connect(ANN)
  const { id } = stream
  const { socket } = await rawRequest(app.port, head(id, BODY.length) + BODY)
  await gate.begun()
  socket.destroy()
  const joined = post(app, id, QUICK)
  await rawRequest(app.port, head(id, BODY.length) + BODY).then(({ socket }) => socket.destroy())
  gate.runs[0]?.('done')
  assert.equal((await joined).json.data, 'done')
  assert.equal(replayed(await joined), 'true')
  const later = await post(app, id, QUICK)
  assert.deepEqual([later.json.data, replayed(later)], ['done', 'true'])
  assert.equal(gate.runs.length, 1)
  await assertAlive(app, stream, ANN)
})

test('a client that is gone, and comes back only when the handler has ended, gets its answer', async (t) => {
  const gate = new Gate()
  const app = await serve(t, { onMessage: gate.pass })
  const stream = await app.connect(ANN)
  const { socket } = await rawRequest(app.port, head(stream.id, BODY.length) + BODY)
  await gate.begun()
  socket.destroy()
  stream.leave()
  await until(async () => !(await app.sse.isOnline(1)), 'the user to be offline')
  gate.runs[0]?.('done')
  const answer = await post(app, (await app.connect(ANN)).id, QUICK)
  assert.deepEqual([answer.json.data, replayed(answer)], ['done', 'true'])
})

test('the handler learns the key, so that it can write it with the effect', async (t) => {
  const requests: unknown[] = []
  const app = await serve(t, {
    onMessage: (_path, _connection, _message, request) => void requests.push(request),
    onUpload: (_path, _connection, _message, _files, request) => void requests.push(request),
  })
  const { id } = await app.connect(ANN)
  await post(app, id, 'a')
  const body = new FormData()
  body.set('n', '1')
  const upload = `/connect/upload/x.do?connectionId=${id}`
  await app.call(upload, { as: ANN, headers: keyed('b'), body })
  await app.call(upload, { as: ANN, body })
  assert.deepEqual(requests, [{ key: 'a' }, { key: 'b' }, {}])
})

test('a key is 1 to 200 visible characters, quoted or bare; anything else is a 400 that says so', async (t) => {
  const { app, id, count } = await counting(t, (run) => run)
  const most = 'x'.repeat(200)
  const all = Array.from({ length: 94 }, (_, n) => String.fromCharCode(33 + n)).join('')
  const visible = all.replace(/["\\]/g, '')
  for (const key of ['"a"', 'b', `"${most}1"`.replace('x1', '1'), most, `"${visible}"`, '!']) {
    const answer = await post(app, id, '', { headers: { 'idempotency-key': key } })
    assert.equal(answer.status, 200, key)
    assert.equal(echo(answer), key.startsWith('"') ? key : `"${key}"`)
  }
  const { runs } = count
  for (const key of [
    '',
    '""',
    '"',
    '"a',
    'a"',
    `"${most}x"`,
    `${most}x`,
    'a b',
    '"a b"',
    '"a\\"b"',
    'a\\b',
    '"ä"',
    '"a";p=1',
    '"a", "b"',
    'a\tb',
  ]) {
    const answer = await post(app, id, '', { headers: { 'idempotency-key': key } })
    assertRefused(answer, 400)
    assert.match(answer.json.message, /Idempotency-Key/)
    assert.equal(echo(answer), null)
  }
  assert.equal(count.runs, runs)
})

test('what is refused before the handler is not remembered', async (t) => {
  const { app, id } = await counting(t, () => 'done', { bodyLimit: 100 })
  const cases: [number, Promise<Answer>][] = [
    [400, post(app, id, QUICK, { headers: { 'content-type': 'application/json' }, body: '{' })],
    [400, post(app, id, QUICK, { json: JSON.parse('{"__proto__":1}') })],
    [401, app.call(`/connect/message/x.do?connectionId=${id}`, { headers: keyed(QUICK), json: { n: 1 } })],
    [403, post(app, id, QUICK, { as: BOB })],
    [404, post(app, 'unknown', QUICK)],
    [413, post(app, id, QUICK, { json: 'x'.repeat(100) })],
    [415, post(app, id, QUICK, { headers: { 'content-type': 'text/plain' }, body: 'x' })],
  ]
  for (const [status, call] of cases) {
    const answer = await call
    assertRefused(answer, status)
    assert.equal(echo(answer), null)
  }
  const silent = await serve(t)
  assertRefused(await post(silent, (await silent.connect(ANN)).id, QUICK), 404)
  const answer = await post(app, id, QUICK)
  assert.deepEqual([answer.json.data, replayed(answer)], ['done', null])
})

test('a message nested more deeply than can be compared is a 400 with a key, and goes through without', async (t) => {
  const { app, id } = await counting(t, () => 'done')
  const body = '['.repeat(50_000) + ']'.repeat(50_000)
  const headers = { 'content-type': 'application/json' }
  assertRefused(await post(app, id, QUICK, { headers, body }), 400)
  const url = `/connect/message/x.do?connectionId=${id}`
  assert.equal((await app.call(url, { as: ANN, headers, body })).status, 200)
})

function upload(app: App, id: string, fields: [string, string | File][], boundary = 'b') {
  const parts = fields.map(async ([name, value]) => {
    const of =
      typeof value === 'string'
        ? ''
        : `; filename="${value.name}"\r\nContent-Type: ${value.type || 'text/plain'}`
    const content = typeof value === 'string' ? value : await value.text()
    return `--${boundary}\r\nContent-Disposition: form-data; name="${name}"${of}\r\n\r\n${content}\r\n`
  })
  const headers = { ...keyed(QUICK), 'content-type': `multipart/form-data; boundary=${boundary}` }
  return Promise.all(parts).then((parts) =>
    app.call(`/connect/upload/x.do?connectionId=${id}`, {
      as: ANN,
      headers,
      body: `${parts.join('')}--${boundary}--\r\n`,
    }),
  )
}

test('the same form is the same upload, whatever its boundary; any other is a 422', async (t) => {
  const { app, id, count } = await counting(t, (run) => run)
  const file = (content: string, name = 'a.txt', type = 'text/plain') => new File([content], name, { type })
  const note: [string, string] = ['note', 'hällo']
  const long = 'x'.repeat(300_000)
  const form: [string, string | File][] = [note, ['f', file(long)], ['g', file('')]]
  const first = await upload(app, id, form)
  assert.deepEqual([first.json.data, echo(first), replayed(first)], [1, `"${QUICK}"`, null])
  const again = await upload(app, id, form, 'another-boundary')
  assert.deepEqual([again.json.data, replayed(again)], [1, 'true'])
  const others: [string, string | File][][] = [
    [
      ['note', 'hallo'],
      ['f', file(long)],
      ['g', file('')],
    ],
    [
      ['n', 'hällo'],
      ['f', file(long)],
      ['g', file('')],
    ],
    [note, ['f', file(`${long.slice(1)}y`)], ['g', file('')]],
    [note, ['f', file(long, 'b.txt')], ['g', file('')]],
    [note, ['f', file(long, 'a.txt', 'text/html')], ['g', file('')]],
    [note, ['e', file(long)], ['g', file('')]],
    [note, ['g', file('')], ['f', file(long)]],
    [note, ['f', file(long)]],
    [note],
    [],
  ]
  for (const [index, other] of others.entries()) {
    const answer = await upload(app, id, other)
    assert.equal(answer.status, 422, `form ${index}: ${answer.text}`)
  }
  assertRefused(await upload(app, `${id}&q=1`, form), 422)
  assert.equal(count.runs, 1)
  assert.equal((await app.sse.getConnection(id))?.requestUploadCount, 1)
})

test('uploads of one key at once run the handler once, on files that stay for as long as it runs', async (t) => {
  let runs = 0
  const waiting: (() => void)[] = []
  const app = await serve(t, {
    async onUpload(_path, _connection, _message, [file]) {
      runs++
      await new Promise<void>((resolve) => waiting.push(resolve))
      return file?.text()
    },
  })
  const { id } = await app.connect(ANN)
  const calls = Array.from({ length: 5 }, () => upload(app, id, [['f', new File(['content'], 'f')]]))
  await until(() => waiting.length > 0, 'the handler')
  waiting[0]?.()
  const answers = await Promise.all(calls)
  assert.deepEqual(new Set(answers.map(({ json }) => json.data)), new Set(['content']))
  assert.equal(runs, 1)
})

test("the application's own wrapping is remembered with the answer", async (t) => {
  let wrapped = 0
  const { app, id } = await counting(t, () => 'done', { wrapOk: (data) => ({ data, wrapped: ++wrapped }) })
  const first = await post(app, id, QUICK)
  assert.deepEqual(first.json, { data: 'done', wrapped: 1 })
  assert.equal((await post(app, id, QUICK)).text, first.text)
})

test('closing waits for a handler that nobody waits for any more', async (t) => {
  const gate = new Gate()
  const store = memoryStore()
  const app = await serve(t, { store, onMessage: gate.pass })
  const { id } = await app.connect(ANN)
  const { socket } = await rawRequest(app.port, head(id, BODY.length) + BODY)
  await gate.begun()
  socket.destroy()
  let isClosed = false
  const closed = app.sse.close().then(() => {
    isClosed = true
  })
  await until(async () => !(await app.sse.isOnline(1)), 'the streams to end')
  assert.equal(isClosed, false)
  gate.runs[0]?.('done')
  await closed
  const next = await serve(t, { store, onMessage: () => 'again' })
  const answer = await post(next, (await next.connect(ANN)).id, QUICK)
  assert.deepEqual([answer.json.data, replayed(answer)], ['done', 'true'])
})

test('the same user is told the same owner everywhere, and others another one', async (t) => {
  const store = memoryStore()
  const [hr, hrToo, shop] = [
    await serve(t, { store }),
    await serve(t, { store }),
    await serve(t, { name: 'shop' }),
  ]
  const ownerAt = async (app: App, user: TestUser) => String((await app.connect(user)).finish['owner'])
  const ann = await ownerAt(hr, ANN)
  assert.match(ann, /^[\w-]{22}$/)
  assert.equal(await ownerAt(hrToo, { ...ANN, name: 'Ann B.', accessToken: 'new' }), ann)
  assert.equal(
    await ownerAt(shop, ANN),
    ann,
    'what waits goes along when the page switches to another service',
  )
  const owners = [ann, await ownerAt(hr, BOB), await ownerAt(hr, { ...ANN, tenantId: 9 })]
  assert.equal(new Set(owners).size, owners.length)
  assert.deepEqual((await hr.connect(ANN)).finish['batch'], { entries: 100, bytes: 262_144 })
})

test('an upload that is cut in its form has not run; cut after it, it runs to its end, and a repeat gets that answer', async (t) => {
  const gate = new Gate()
  const app = await serve(t, { onUpload: gate.pass })
  const { id } = await app.connect(ANN)
  const form =
    '--b\r\nContent-Disposition: form-data; name="f"; filename="f"\r\nContent-Type: text/plain\r\n\r\nx\r\n--b--\r\n'
  const start =
    `POST /sse/hr/connect/upload/x.do?connectionId=${id} HTTP/1.1\r\nHost: x\r\nx-user: ${JSON.stringify(ANN)}\r\n` +
    `Content-Type: multipart/form-data; boundary=b\r\nContent-Length: ${form.length}\r\nIdempotency-Key: ${QUICK}\r\n\r\n`
  const left: Promise<unknown>[] = []
  app.http.on('request', (_req, res) => left.push(once(res, 'close')))
  const early = await rawRequest(app.port, start + form.slice(0, -4))
  await until(() => left.length > 0, 'the request to come')
  early.socket.destroy()
  await Promise.all(left)
  const late = await rawRequest(app.port, start + form)
  await gate.begun()
  late.socket.destroy()
  await until(() => left.length === 2, 'the second request')
  await Promise.all(left)
  gate.runs[0]?.('done')
  const answer = await upload(app, id, [['f', new File(['x'], 'f')]], 'c')
  assert.deepEqual([answer.json.data, replayed(answer)], ['done', 'true'])
  assert.equal(gate.runs.length, 1)
  const [, , , files] = gate.calls[0] ?? []
  const [file] = files as UploadedFile[]
  await until(() => !existsSync(file?.path ?? ''), 'the file to be gone')
  assert.deepEqual(app.errors, [])
})
