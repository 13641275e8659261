import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { test } from 'node:test'
import { HttpError } from 'tabwire/server'
import { Gate } from './gate'
import {
  ANN,
  type Answer,
  type App,
  as,
  assertAlive,
  assertRefused,
  BOB,
  type CallOptions,
  rawRequest,
  serve,
  until,
} from './helpers'

interface Entry {
  key?: unknown
  path?: unknown
  query?: unknown
  body?: unknown
  lane?: unknown
}

interface EntryAnswer {
  status: number
  headers: Record<string, string>
  body: string
}

const url = (id: string) => `/connect/batch.do?connectionId=${id}`

const entry = (key: string, rest: Entry = {}): Entry => ({ key, path: 'x', lane: 'x', ...rest })

async function post(app: App, id: string, entries: unknown, options: CallOptions = {}): Promise<Answer> {
  return app.call(url(id), { as: ANN, json: { entries }, ...options })
}

async function answersTo(app: App, id: string, entries: readonly unknown[]): Promise<(EntryAnswer | null)[]> {
  return answersIn(await post(app, id, entries), entries.length)
}

/** One for each entry, in their order; `null` for what was not answered. */
function answersIn({ status, text, headers }: Answer, count: number): (EntryAnswer | null)[] {
  assert.equal(status, 200, text)
  assert.equal(headers.get('content-type'), 'application/x-ndjson')
  const answers: (EntryAnswer | null)[] = Array(count).fill(null)
  for (const line of text.split('\n').slice(0, -1)) {
    const { index, ...answer } = JSON.parse(line)
    assert.equal(answers[index], null, 'there is a place for it, and no other answer in it')
    answers[index] = answer
  }
  return answers
}

/** The data of each answer, or its status if it is no success. */
const told = (answers: (EntryAnswer | null)[]) =>
  answers.map((answer) =>
    answer === null ? null : answer.status === 200 ? JSON.parse(answer.body).data : answer.status,
  )

test('each message of a batch is answered as a request by itself would be', async (t) => {
  const app = await serve(t, {
    onMessage(path, { userName }, message, request) {
      if (path === 'no') throw new HttpError(409, 'No.', { 'X-Why': 'taken' })
      return { path, userName, message, key: request.key }
    },
    wrapOk: (data) => ({ wrapped: data }),
  })
  const { id } = await app.connect(ANN)
  const entries = [
    entry('a', { path: 'my/päth', query: 'x=1&y=1&y=2', body: { x: 2, z: null } }),
    entry('b', { path: 'no', query: '' }),
    entry('c', { body: [1, '2'], lane: '' }),
    entry('d', { path: '', body: null }),
    entry('e'),
  ]
  const answers = await answersTo(app, id, entries)
  for (const [index, { key, path, query, body }] of entries.entries()) {
    const answer = await app.call(
      `/connect/message/${encodeURIComponent(String(path))}.do?connectionId=${id}&${query ?? ''}`,
      {
        as: ANN,
        method: 'POST',
        headers: { 'idempotency-key': `"${key}"` },
        ...(body === undefined ? {} : { json: body }),
      },
    )
    const inBatch = answers[index]
    assert.ok(inBatch)
    assert.deepEqual([inBatch.status, inBatch.body], [answer.status, answer.text])
    assert.equal(answer.headers.get('idempotent-replayed'), 'true', 'it is the same request')
    for (const [name, value] of Object.entries(inBatch.headers)) assert.equal(answer.headers.get(name), value)
    assert.equal(inBatch.headers['Idempotency-Key'], `"${key}"`)
    assert.equal(inBatch.headers['Idempotent-Replayed'], undefined)
  }
  assert.equal(answers[1]?.headers['X-Why'], 'taken')
  assert.deepEqual(JSON.parse(answers[0]?.body ?? '').wrapped.message, {
    x: 2,
    y: ['1', '2'],
    z: null,
  })
  assert.equal((await app.sse.getConnection(id))?.requestMessageCount, 5)
})

test('messages of one lane go one after the other, the lanes side by side', async (t) => {
  const gate = new Gate()
  const app = await serve(t, { onMessage: gate.pass })
  const { id } = await app.connect(ANN)
  const inLane = (lane: string, ...paths: string[]) => paths.map((path) => entry(path, { path, lane }))
  const [a1, a2] = inLane('a', 'a1', 'a2')
  const [b1, b2] = inLane('b', 'b1', 'b2')
  const paths = () => gate.calls.map(([path]) => path)
  const answers = answersTo(app, id, [a1, b1, a2, b2])
  await gate.begun(2)
  assert.deepEqual(paths(), ['a1', 'b1'])
  gate.runs[1]?.('from b1')
  await gate.begun(3)
  assert.deepEqual(paths(), ['a1', 'b1', 'b2'])
  gate.runs[0]?.('from a1')
  await gate.begun(4)
  gate.runs[2]?.('from b2')
  gate.runs[3]?.('from a2')
  assert.deepEqual(told(await answers), ['from a1', 'from b1', 'from a2', 'from b2'])
})

test('each answer comes as soon as there is one, and what is slow holds up nobody else', async (t) => {
  const gate = new Gate()
  const app = await serve(t, { onMessage: gate.pass })
  const { id } = await app.connect(ANN)
  const entries = ['slow', 'quick'].map((path) => entry(path, { path, lane: path }))
  const headers = { ...as(ANN), 'content-type': 'application/json' }
  const response = await fetch(app.base + url(id), {
    method: 'POST',
    headers,
    body: JSON.stringify({ entries }),
  })
  await gate.begun(2)
  gate.runs[1]?.('from quick')
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
  const first = await reader?.read()
  assert.match(first?.value ?? '', /^\{"index":1,.*from quick/)
  gate.runs[0]?.('from slow')
  const second = await reader?.read()
  assert.match(second?.value ?? '', /^\{"index":0,.*from slow/)
  assert.equal((await reader?.read())?.done, true)
})

test('an answer that may be otherwise later ends its lane; a refusal does not', async (t) => {
  const ran: string[] = []
  const failures: Record<string, unknown> = {
    conflict: new HttpError(409, 'Taken.'),
    busy: new HttpError(429, 'Slow down.', { 'Retry-After': '7' }),
    broken: new Error('broken'),
  }
  const app = await serve(t, {
    onMessage(path) {
      ran.push(path)
      if (path in failures) throw failures[path]
      return path
    },
  })
  const { id } = await app.connect(ANN)
  const lanes = [
    ['conflict', 'after'],
    ['busy', 'after'],
    ['broken', 'after'],
  ]
  const entries = lanes.flatMap((paths, lane) =>
    paths.map((path) => entry(`${lane}-${path}`, { path, lane: `lane ${lane}` })),
  )
  const answers = await answersTo(app, id, entries)
  assert.deepEqual(told(answers), [409, 'after', 429, null, 500, null])
  assert.equal(answers[2]?.headers['Retry-After'], '7')
  assert.equal(answers[2]?.headers['Idempotency-Key'], undefined, 'it is not the last word')
  assert.equal(answers[0]?.headers['Idempotency-Key'], '"0-conflict"')
  assert.deepEqual(ran.toSorted(), ['after', 'broken', 'busy', 'conflict'])
  assert.equal(app.errors.length, 1)
  delete failures['busy']
  delete failures['broken']
  const again = await answersTo(app, id, entries)
  assert.deepEqual(told(again), [409, 'after', 'busy', 'after', 'broken', 'after'])
  assert.deepEqual(
    again.map((answer) => answer?.headers['Idempotent-Replayed']),
    ['true', 'true', undefined, undefined, undefined, undefined],
  )
  assert.equal(ran.length, 8)
})

test('a bad entry has its 400 in its place, and harms no other, also of its lane', async (t) => {
  const app = await serve(t, { onMessage: (path) => path, bodyLimit: 200, queryLimit: 300 })
  const { id } = await app.connect(ANN)
  const bad: [number, unknown][] = [
    [400, null],
    [400, 'text'],
    [400, []],
    [400, {}],
    [400, { path: 'x', lane: 'x' }],
    [400, entry('')],
    [400, entry('with space')],
    [400, entry('"quoted"')],
    [400, entry('x'.repeat(201))],
    [400, { key: 7, path: 'x', lane: 'x' }],
    [400, { key: 'k', lane: 'x' }],
    [400, entry('k', { path: 7 })],
    [400, entry('k', { lane: undefined })],
    [400, entry('k', { lane: {} })],
    [400, entry('k', { query: { x: 1 } })],
    [400, entry('k', { query: null })],
    [400, entry('k', { query: '__proto__=1' })],
    [400, JSON.parse('{"key":"k","path":"x","lane":"x","body":{"a":[{"__proto__":1}]}}')],
    [400, JSON.parse('{"key":"k","path":"x","lane":"x","__proto__":{}}')],
    [400, JSON.parse(`{"key":"k","path":"x","lane":"x","body":${'['.repeat(30_000)}${']'.repeat(30_000)}}`)],
    [413, entry('k', { body: 'x'.repeat(199) })],
    [413, entry('k', { query: 'x'.repeat(301) })],
  ]
  const good = (index: number) => entry(`good-${index}`, { path: `good ${index}` })
  const text = JSON.stringify({ entries: bad.flatMap((_bad, index) => [null, good(index)]) })
  // Node's own JSON.stringify cannot write what is nested so deeply, nor the name __proto__ of a literal.
  const parts = bad.map(([, value]) => write(value))
  let next = 0
  const body = text.replace(/null/g, () => parts[next++] ?? '')
  const answer = await app.call(url(id), {
    as: ANN,
    headers: { 'content-type': 'application/json' },
    body,
  })
  const answers = answersIn(answer, 2 * bad.length)
  for (const [index, [status, value]] of bad.entries()) {
    const [refused, after] = answers.slice(index * 2)
    assert.equal(refused?.status, status, write(value).slice(0, 80))
    const { message, ...rest } = JSON.parse(refused?.body ?? '')
    assert.deepEqual(rest, { success: false, code: status, data: null, errorMessage: message })
    assert.match(message, /^[A-Z_a-z].{5,200}\.$/)
    assert.equal(refused?.headers['Idempotency-Key'], undefined)
    assert.equal(JSON.parse(after?.body ?? '').data, `good ${index}`)
  }
  assert.equal(Reflect.get({}, 'a'), undefined)
  assert.deepEqual(app.errors, [])
})

/** JSON of what is too deep for JSON.stringify too. */
function write(value: unknown): string {
  const body = typeof value === 'object' && value !== null ? Reflect.get(value, 'body') : undefined
  if (!Array.isArray(body)) return JSON.stringify(value)
  return `{"key":"k","path":"x","lane":"x","body":${'['.repeat(30_000)}${']'.repeat(30_000)}}`
}

test('what is wrong with the batch as a whole is refused as a whole', async (t) => {
  const app = await serve(t, { onMessage: () => 'never', origins: ['https://app.example.org'] })
  const stream = await app.connect(ANN)
  const { id } = stream
  const json = { 'content-type': 'application/json' }
  const many = (count: number, body = '') => Array.from({ length: count }, (_, n) => entry(`k${n}`, { body }))
  const cases: [number, Promise<Answer>][] = [
    [400, app.call(url(id), { as: ANN, headers: json, body: '{' })],
    [400, app.call(url(id), { as: ANN, method: 'POST' })],
    [400, app.call(url(id), { as: ANN, json: [] })],
    [400, app.call(url(id), { as: ANN, json: {} })],
    [400, post(app, id, 'text')],
    [400, app.call(url(id), { as: ANN, headers: json, body: '{"entries":[],"__proto__":{}}' })],
    [400, app.call('/connect/batch.do', { as: ANN, json: { entries: [] } })],
    [401, app.call(url(id), { json: { entries: [] } })],
    [403, post(app, id, [], { as: BOB })],
    [403, post(app, id, [], { headers: { origin: 'https://evil.example' } })],
    [404, post(app, 'unknown', [])],
    [404, app.call(url(id), { as: ANN })],
    [413, post(app, id, many(101))],
    [413, post(app, id, many(4, 'x'.repeat(100_000)))],
    [415, app.call(url(id), { as: ANN, body: 'entries' })],
  ]
  for (const [index, [status, call]] of cases.entries()) {
    const answer = await call
    assert.equal(answer.status, status, `case ${index}: ${answer.text}`)
    assertRefused(answer, status)
  }
  const unknown = await post(app, 'unknown', [])
  assert.equal(unknown.headers.get('x-sse-error'), 'unknown-connection')
  await assertAlive(app, stream, ANN)
})

test('as much as is announced goes through, and nothing as well', async (t) => {
  const app = await serve(t, { onMessage: (_path, _connection, message) => String(message).length })
  const { id, finish } = await app.connect(ANN)
  assert.deepEqual(await answersTo(app, id, []), [])
  const { entries, bytes } = finish['batch'] as { entries: number; bytes: number }
  const size = Math.floor(bytes / entries)
  const full = Array.from({ length: entries }, (_, n) =>
    entry(`${n}-${'k'.repeat(100)}`, { body: 'x'.repeat(size - 2), lane: String(n % 7) }),
  )
  assert.deepEqual(told(await answersTo(app, id, full)), Array(entries).fill(size - 2))
})

test('a client that does not read its answers is left to ask again, and fills no memory', async (t) => {
  let runs = 0
  const onMessage = () => {
    runs++
    return 'x'.repeat(1024 * 1024)
  }
  const responses: ServerResponse[] = []
  const app = await serve(t, { onMessage }, (host) =>
    host.use((req, res, next) => {
      if (req.url.includes('batch.do')) responses.push(res)
      next()
    }),
  )
  const { id } = await app.connect(ANN)
  const body = JSON.stringify({ entries: Array.from({ length: 60 }, (_, n) => entry(String(n))) })
  const { socket, answer } = await rawRequest(
    app.port,
    `POST /sse/hr${url(id)} HTTP/1.1\r\nHost: x\r\nX-User: ${JSON.stringify(ANN)}\r\n` +
      `Connection: close\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`,
  )
  socket.pause()
  socket.write(body)
  await until(() => responses[0]?.writableEnded === true, 'the answer to end')
  assert.ok(runs < 40, `${runs} of 60`)
  socket.resume()
  assert.equal((await answer).match(/"index":/g)?.length, runs)
})

test('a service that takes no messages says so to each', async (t) => {
  const app = await serve(t)
  const { id } = await app.connect(ANN)
  assert.deepEqual(told(await answersTo(app, id, [entry('a'), entry('b')])), [404, 404])
})

test('the same key twice in a batch runs once; with another message it is a 422', async (t) => {
  let runs = 0
  const app = await serve(t, { onMessage: () => ++runs })
  const { id } = await app.connect(ANN)
  const answers = await answersTo(app, id, [
    entry('a'),
    entry('a'),
    entry('a', { lane: 'y' }),
    entry('a', { body: { other: true } }),
    entry('b'),
  ])
  assert.deepEqual(told(answers), [1, 1, 1, 422, 2])
})

test('what takes long is left to the next batch: it goes on, and what was not begun is not begun', async (t) => {
  const gate = new Gate()
  const app = await serve(t, {
    onMessage: (path, ...args) => (path === 'slow' ? gate.pass(path, ...args) : path),
  })
  const { id } = await app.connect(ANN)
  const entries = [
    entry('quick', { path: 'quick', lane: 'a' }),
    entry('slow', { path: 'slow', lane: 'b' }),
    entry('behind', { path: 'behind', lane: 'b' }),
  ]
  const started = performance.now()
  assert.deepEqual(told(await answersTo(app, id, entries)), ['quick', null, null])
  assert.ok(performance.now() - started < 4000)
  const again = answersTo(app, id, entries)
  gate.runs[0]?.('at last')
  const answers = await again
  assert.deepEqual(told(answers), ['quick', 'at last', 'behind'])
  assert.deepEqual(
    answers.map((answer) => answer?.headers['Idempotent-Replayed']),
    ['true', 'true', undefined],
  )
  assert.equal(gate.runs.length, 1)
})

test('closing waits for what a batch has left running', async (t) => {
  const gate = new Gate()
  const app = await serve(t, { onMessage: gate.pass })
  const { id } = await app.connect(ANN)
  assert.deepEqual(await answersTo(app, id, [entry('a'), entry('b')]), [null, null])
  let isClosed = false
  const closed = app.sse.close().then(() => {
    isClosed = true
  })
  await until(async () => !(await app.sse.isOnline(1)), 'the streams to end')
  assert.equal(isClosed, false)
  gate.runs[0]?.('done')
  await closed
  assert.equal(gate.runs.length, 1, 'the second was not begun')
})

/** A batch as a client sends it that does not stay for the answer. */
async function cut(app: App, id: string, entries: unknown, when: () => Promise<unknown>, share = 1) {
  const body = JSON.stringify({ entries })
  const head =
    `POST /sse/hr${url(id)} HTTP/1.1\r\nHost: x\r\nx-user: ${JSON.stringify(ANN)}\r\n` +
    `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`
  const { socket, answer } = await rawRequest(app.port, head + body.slice(0, body.length * share))
  await when()
  socket.destroy()
  await answer
}

test('a batch that is cut off before its answer, and sent again, has run each message once and in order', async (t) => {
  const gate = new Gate()
  const app = await serve(t, { onMessage: gate.pass })
  const { id } = await app.connect(ANN)
  const entries = ['1', '2', '3'].map((path) => entry(path, { path }))
  const arrived: unknown[] = []
  app.http.on('request', (req) => arrived.push(req))
  await cut(app, id, entries, () => until(() => arrived.length === 1, 'the first part'), 0.5)
  await cut(app, id, entries, () => gate.begun(1))
  await cut(app, id, entries, () => until(() => arrived.length === 3, 'the repeat'))
  gate.runs[0]?.('one')
  await gate.begun(2)
  const again = answersTo(app, id, entries)
  gate.runs[1]?.('two')
  await gate.begun(3)
  gate.runs[2]?.('three')
  assert.deepEqual(told(await again), ['one', 'two', 'three'])
  assert.deepEqual(
    gate.calls.map(([path]) => path),
    ['1', '2', '3'],
  )
  assert.deepEqual(app.errors, [])
})
