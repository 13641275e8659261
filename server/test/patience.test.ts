import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { test } from 'node:test'
import { ANN, assertAlive, assertRefused, rawRequest, until } from './helpers'
import { begin, complete, create, final, formOf, offsetOf, serveUploads } from './pieces'
import { startTimer } from './stream-reader'

const folders = () => readdirSync(tmpdir()).filter((name) => name.startsWith('tabwire-upload-'))

const request = (path: string, type: string, sent: string) =>
  `POST /sse/hr${path} HTTP/1.1\r\nHost: x\r\nX-User: ${JSON.stringify(ANN)}\r\n` +
  `Content-Type: ${type}\r\nContent-Length: 10000\r\n\r\n${sent}`

const FORM = 'multipart/form-data; boundary=b'
const FILE = '--b\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n'

/** One byte every few milliseconds, until the other side has had enough. */
function drip(socket: { write(text: string): unknown; destroyed: boolean }) {
  if (socket.destroyed) return
  socket.write('x')
  startTimer(() => drip(socket), 20)
}

const slow = (id: string) =>
  [
    [`/connect/message/x.do?connectionId=${id}`, 'application/json', '{"a":'],
    ['/connect/addListener.do', 'application/json', ''],
    ['/connect/disconnect.do', 'application/x-www-form-urlencoded', 'a=b'],
    ['/connect', 'application/json', '{'],
    [`/connect/upload/x.do?connectionId=${id}`, FORM, ''],
    [`/connect/upload/x.do?connectionId=${id}`, FORM, `${FILE}some of it`],
  ] as const

test('a body that brings nothing is answered 408 after a while, and its connection is cut', async (t) => {
  const before = folders()
  const { app } = await serveUploads(t, { bodyIdleTimeout: 150, onMessage: () => 'never' })
  const stream = await app.connect(ANN)
  await Promise.all(
    slow(stream.id).map(async ([path, type, sent]) => {
      const { answer } = await rawRequest(app.port, request(path, type, sent))
      assert.match(await answer, /^HTTP\/1.1 408 .*\r\nconnection: close\r\n/is, path)
    }),
  )
  await until(() => folders().length === before.length, 'all folders to be gone')
  assert.deepEqual(app.errors, [])
  await assertAlive(app, stream, ANN)
})

test('a body that comes byte by byte is not waited for to its end', async (t) => {
  const before = folders()
  const { app } = await serveUploads(t, {
    bodyIdleTimeout: 5000,
    bodyTimeout: 200,
    uploadTimeout: 300,
    onMessage: () => 'never',
  })
  const stream = await app.connect(ANN)
  await Promise.all(
    slow(stream.id).map(async ([path, type, sent]) => {
      const { socket, answer } = await rawRequest(app.port, request(path, type, sent))
      drip(socket)
      assert.match(await answer, /^HTTP\/1.1 408 /, path)
    }),
  )
  await until(() => folders().length === before.length, 'all folders to be gone')
  assert.deepEqual(app.errors, [])
  await assertAlive(app, stream, ANN)
})

test('a piece that stalls is answered 408, what came of it is kept, and the upload is free again', async (t) => {
  const { app } = await serveUploads(t, { bodyIdleTimeout: 150 })
  const path = await create(app, ANN, 100)
  const { answer } = await begin(app, ANN, path, { length: 100, sent: Buffer.alloc(30) })
  assert.match(await answer, /^HTTP\/1.1 408 .*\r\nconnection: close\r\n/is)
  assert.equal(await offsetOf(app, ANN, path), 30)
  assert.deepEqual(app.errors, [])
})

test('a piece that comes byte by byte is cut off in the end, and what came of it is kept', async (t) => {
  const { app } = await serveUploads(t, { uploadTimeout: 300 })
  const path = await create(app, ANN, 10_000)
  const { socket, answer } = await begin(app, ANN, path, { length: 10_000, sent: Buffer.alloc(30) })
  drip(socket)
  assert.match(await answer, /^HTTP\/1.1 408 /)
  assert.ok((await offsetOf(app, ANN, path)) > 30)
})

test('a body that is slow, but steady and in time, is taken; and a slow handler is no slow body', async (t) => {
  const { app } = await serveUploads(t, {
    bodyIdleTimeout: 500,
    bodyTimeout: 600,
    async onMessage(_path, _connection, message) {
      await new Promise((resolve) => startTimer(resolve, 700))
      return message
    },
  })
  const { id } = await app.connect(ANN)
  const head = request(`/connect/message/x.do?connectionId=${id}`, 'application/json', '').replace(
    '10000\r\n',
    '5\r\nConnection: close\r\n',
  )
  const { socket, answer } = await rawRequest(app.port, head)
  for (const byte of '[1,2]') {
    socket.write(byte)
    await new Promise((resolve) => startTimer(resolve, 30))
  }
  assert.match(await answer, /^HTTP\/1.1 200 .*\[1,2\]/s)
})

test('an upload has a limit for all that is in it, whether it comes at once or in pieces', async (t) => {
  const { app } = await serveUploads(t, { uploadTotal: 1000 })
  const { id } = await app.connect(ANN)
  const url = `/connect/upload/x.do?connectionId=${id}`
  const withFiles = (...sizes: number[]) => {
    const form = new FormData()
    for (const size of sizes) form.append('file', new Blob(['x'.repeat(size)]), 'f')
    form.append('text', 'x'.repeat(100))
    return { as: ANN, body: form }
  }
  assert.equal((await app.call(url, withFiles(500, 400))).status, 200)
  assertRefused(await app.call(url, withFiles(500, 401)), 413)
  assertRefused(await app.call(url, withFiles(901)), 413)
  const form = formOf(996)
  assertRefused(await final(app, ANN, id, await complete(app, ANN, form), form), 413)
  const fitting = formOf(995)
  assert.equal((await final(app, ANN, id, await complete(app, ANN, fitting), fitting)).status, 200)
  assert.deepEqual(app.errors, [])
})

test('a part of a form whose head is huge is refused, and holds nothing up', async (t) => {
  const before = folders()
  const { app } = await serveUploads(t)
  const stream = await app.connect(ANN)
  const url = `/connect/upload/x.do?connectionId=${stream.id}`
  for (const head of [
    `X: ${'x'.repeat(80_000)}\r\n\r\n`,
    `${'X: y\r\n'.repeat(10_000)}\r\n`,
    `Content-Disposition: form-data; name="${'n'.repeat(80_000)}"\r\n\r\n`,
  ]) {
    const body = `--b\r\n${head}x\r\n--b--\r\n`
    const answer = await app.call(url, { as: ANN, method: 'POST', headers: { 'content-type': FORM }, body })
    assertRefused(answer, 400)
    const bytes = Buffer.from(body)
    const path = await complete(app, ANN, { bytes, type: FORM, digest: '' })
    assertRefused(await final(app, ANN, stream.id, path, { type: FORM }), 400)
  }
  assert.deepEqual(folders(), before)
  await assertAlive(app, stream, ANN)
})
