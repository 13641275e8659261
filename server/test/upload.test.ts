import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { basename, dirname } from 'node:path'
import { text } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import type { UploadedFile } from 'tabwire/server'
import { ANN, assertAlive, assertRefused, rawRequest, serve, until } from './helpers'

const formOf = (...files: [name: string, content: string][]) => {
  const form = new FormData()
  for (const [name, content] of files) form.append('file', new Blob([content], { type: 'text/plain' }), name)
  return form
}

/** Who asks with `wait` is kept waiting in getUser until the test lets it in. */
async function withGate(t: TestContext) {
  const waiting: (() => void)[] = []
  const answers: ServerResponse[] = []
  const app = await serve(
    t,
    {
      async getUser(req) {
        if (req.url.includes('wait')) await new Promise<void>((resolve) => waiting.push(resolve))
        return ANN
      },
      onMessage: () => 'never',
      onUpload: () => 'never',
    },
    (host) =>
      host.use((req, res, next) => {
        if (req.url.includes('wait')) answers.push(res)
        next()
      }),
  )
  return {
    app,
    asked: () => until(() => waiting.length > 0, 'getUser'),
    letIn: () => waiting.forEach((resolve) => void resolve()),
    answers: () => answers,
  }
}

/** Folders of uploads that are there now; other processes have theirs, so a test compares. */
const folders = () => readdirSync(tmpdir()).filter((name) => name.startsWith('tabwire-upload-'))

test('files arrive with their names, their bytes and the texts of the form, and are gone afterwards', async (t) => {
  const paths: string[] = []
  const app = await serve(t, {
    async onUpload(path, connection, message, files) {
      const [first, second] = files
      assert.ok(first && second)
      paths.push(first.path, second.path)
      return {
        path,
        user: connection.userId,
        message,
        first: [first.field, first.name, first.type, first.size, await first.text()],
        second: [second.name, (await second.buffer()).length, (await text(second.stream())).length],
      }
    },
  })
  const { id } = await app.connect(ANN)
  const form = formOf(['Übersicht 表.txt', 'größe'])
  form.append('empty', new Blob([]), 'empty.bin')
  form.append('note', 'hällo')
  form.append('x', 'over')
  const url = `/connect/upload/my%2Fpath.do?token=t&connectionId=${id}&x=1&y=2`
  const { status, json } = await app.call(url, { as: ANN, body: form })
  assert.equal(status, 200)
  assert.deepEqual(json.data, {
    path: 'my/path',
    user: 1,
    message: { x: 'over', y: '2', note: 'hällo' },
    first: ['file', 'Übersicht 表.txt', 'text/plain', 7, 'größe'],
    second: ['empty.bin', 0, 0],
  })
  assert.equal(paths.length, 2)
  for (const path of paths) assert.equal(existsSync(dirname(path)), false)
  assert.equal((await app.sse.getConnection(id))?.requestUploadCount, 1)
})

test('a name that would climb out of the folder is data, and no path', async (t) => {
  const seen: UploadedFile[] = []
  const app = await serve(t, { onUpload: (_path, _connection, _message, files) => void seen.push(...files) })
  const { id } = await app.connect(ANN)
  const names = ['../../../evil.txt', '/etc/passwd', '..\\evil.txt', '~/.ssh/config']
  const body = formOf(...names.map((name): [string, string] => [name, 'x']))
  const { status } = await app.call(`/connect/upload/x.do?connectionId=${id}`, { as: ANN, body })
  assert.equal(status, 200)
  assert.equal(seen.length, names.length)
  for (const { path, name } of seen) {
    assert.match(path, /tabwire-upload-\w+[/\\][0-9a-f]+$/)
    assert.notEqual(basename(path), basename(name))
  }
  assert.equal(existsSync(`${tmpdir()}/evil.txt`), false)
})

test('too much is a 413, whatever is too much, and leaves nothing behind', async (t) => {
  const before = folders()
  let calls = 0
  const app = await serve(t, { uploadLimit: 1000, maxFiles: 2, bodyLimit: 100, onUpload: () => ++calls })
  const stream = await app.connect(ANN)
  const url = `/connect/upload/x.do?connectionId=${stream.id}`
  const longText = new FormData()
  longText.set('note', 'x'.repeat(101))
  const manyTexts = new FormData()
  for (let i = 0; i < 3; i++) manyTexts.append('note', 'x'.repeat(34))
  for (const body of [
    formOf(['a', 'x'.repeat(1001)]),
    formOf(['a', '1'], ['b', '2'], ['c', '3']),
    formOf(['a', 'x'.repeat(100_000)]),
    longText,
    manyTexts,
  ]) {
    assertRefused(await app.call(url, { as: ANN, body }), 413)
  }
  assert.equal(calls, 0)
  assert.equal(
    (await app.call(url, { as: ANN, body: formOf(['a', 'x'.repeat(1000)], ['b', '']) })).status,
    200,
  )
  const justEnough = new FormData()
  for (let i = 0; i < 2; i++) justEnough.append('note', 'x'.repeat(50))
  assert.equal((await app.call(url, { as: ANN, body: justEnough })).status, 200)
  assert.deepEqual(folders(), before)
  await assertAlive(app, stream, ANN)
})

test('what the form does to objects stays in the form', async (t) => {
  const app = await serve(t, { onUpload: (_path, _connection, message) => message })
  const { id } = await app.connect(ANN)
  const url = `/connect/upload/x.do?connectionId=${id}`
  for (const name of [
    '__proto__',
    '__proto__[polluted]',
    'a[__proto__][polluted]',
    'constructor[prototype][polluted]',
  ]) {
    const body = new FormData()
    body.set(name, 'yes')
    const { status } = await app.call(url, { as: ANN, body })
    assert.ok([200, 400].includes(status), `${name}: ${status}`)
    assert.equal(Reflect.get({}, 'polluted'), undefined)
    if (name === '__proto__') assert.equal(status, 400)
  }
})

/** The head of an upload by Ann, of which more is said to come than is ever sent, and then `sent`. */
const begun = (url: string, sent: string) =>
  `POST /sse/hr${url} HTTP/1.1\r\nHost: x\r\nx-user: ${JSON.stringify(ANN)}\r\nContent-Length: 200000\r\n` +
  `Content-Type: multipart/form-data; boundary=b\r\n\r\n${sent}`
const PART = '--b\r\nContent-Disposition: form-data; name="f"'
const FILE = `${PART}; filename="f"\r\n\r\n`

test('too much and malformed are answered at once, while the client still sends, and leave nothing behind', async (t) => {
  const before = folders()
  const app = await serve(t, { uploadLimit: 100_000, maxFiles: 2, bodyLimit: 1000, onUpload: () => 'never' })
  const stream = await app.connect(ANN)
  const url = `/connect/upload/x.do?connectionId=${stream.id}`
  for (const [sent, status] of [
    [FILE + 'x'.repeat(100_001), 413],
    [`${FILE}x\r\n`.repeat(3), 413],
    [`${PART}\r\n\r\n${'x'.repeat(1001)}\r\n--b`, 413],
    [`${PART}\r\n\r\nx\r\n`.repeat(201), 413],
    ['--b\r\nNo header\r\n\r\n\r\n--b\r\nNo header\r\n\r\n\r\n--b', 400],
    ['--b\r\nContent-Disposition: form-data\r\n\r\nnameless\r\n--b', 400],
  ] as const) {
    const { socket } = await rawRequest(app.port, begun(url, sent))
    const [answer] = await once(socket, 'data', { signal: AbortSignal.timeout(5000) })
    assert.match(String(answer), new RegExp(`^HTTP/1.1 ${status} `), sent.slice(0, 80))
    socket.destroy()
  }
  await until(() => folders().length === before.length, 'all folders to be gone')
  assert.deepEqual(app.errors, [])
  await assertAlive(app, stream, ANN)
})

test('an upload without a length is cut off where no form could be that long', async (t) => {
  const app = await serve(t, { uploadLimit: 1000, maxFiles: 0, bodyLimit: 100, onUpload: () => 'never' })
  const stream = await app.connect(ANN)
  const head = begun(`/connect/upload/x.do?connectionId=${stream.id}`, '').replace(
    'Content-Length: 200000',
    'Transfer-Encoding: chunked',
  )
  const { socket } = await rawRequest(app.port, head)
  const chunk = `${(1_000_000).toString(16)}\r\n${' '.repeat(1_000_000)}\r\n`
  for (let i = 0; i < 5; i++) socket.write(chunk)
  const [answer] = await once(socket, 'data', { signal: AbortSignal.timeout(5000) })
  assert.match(String(answer), /^HTTP\/1.1 413 /)
  socket.destroy()
  await assertAlive(app, stream, ANN)
})

test('an answer that holds the files does not tell where they lie', async (t) => {
  const app = await serve(t, { onUpload: (_path, _connection, _message, files) => files })
  const { id } = await app.connect(ANN)
  const body = formOf(['a "b".txt', 'x'])
  const { json } = await app.call(`/connect/upload/x.do?connectionId=${id}`, { as: ANN, body })
  assert.deepEqual(json.data, [{ field: 'file', name: 'a "b".txt', type: 'text/plain', size: 1 }])
})

test('a client that is gone before its upload is read leaves no folder behind', async (t) => {
  const before = folders()
  const { app, asked, letIn, answers } = await withGate(t)
  const stream = await app.connect(ANN)
  const { socket } = await rawRequest(
    app.port,
    begun(`/connect/upload/x.do?connectionId=${stream.id}&wait=1`, `${FILE}some of it`),
  )
  await asked()
  socket.destroy()
  await until(() => answers().every((res) => res.closed), 'the request to be gone')
  letIn()
  await until(() => answers().every((res) => res.statusCode === 400), 'the upload to be given up')
  assert.deepEqual(folders(), before)
  assert.deepEqual(app.errors, [])
  await assertAlive(app, stream, ANN)
})

test('a client that is gone before its message is read is given up, not waited for', async (t) => {
  const { app, asked, letIn, answers } = await withGate(t)
  const stream = await app.connect(ANN)
  const { socket } = await rawRequest(
    app.port,
    begun(`/connect/message/x.do?connectionId=${stream.id}&wait=1`, '{').replace(
      'multipart/form-data; boundary=b',
      'application/json',
    ),
  )
  await asked()
  socket.destroy()
  await until(() => answers().every((res) => res.closed), 'the request to be gone')
  letIn()
  await until(() => answers().every((res) => res.statusCode === 400), 'the message to be given up')
  assert.deepEqual(app.errors, [])
  await assertAlive(app, stream, ANN)
})

test('the files of a handler that fails, and of a client that breaks off, are removed too', async (t) => {
  const before = folders()
  const app = await serve(t, { onUpload: () => Promise.reject(new Error('no')) })
  const stream = await app.connect(ANN)
  const url = `/connect/upload/x.do?connectionId=${stream.id}`
  assertRefused(await app.call(url, { as: ANN, body: formOf(['a', 'x']) }), 500)
  assert.deepEqual(folders(), before)
  const { socket } = await rawRequest(app.port, begun(url, `${FILE}some of it`))
  await until(() => folders().length > before.length, 'the upload to begin')
  socket.destroy()
  await until(() => folders().length === before.length, 'its folder to be gone')
  assert.equal(app.errors.length, 1, 'breaking off is no failure of ours')
  await assertAlive(app, stream, ANN)
})
