import assert from 'node:assert/strict'
import { existsSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname } from 'node:path'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import type { UploadedFile } from 'tabwire/server'
import { ANN, assertAlive, assertRefused, rawRequest, serve, until } from './helpers'

const formOf = (...files: [name: string, content: string][]) => {
  const form = new FormData()
  for (const [name, content] of files) form.append('file', new Blob([content], { type: 'text/plain' }), name)
  return form
}

/** Folders of uploads that are there now; other processes have theirs, so a test compares. */
const folders = () => readdirSync(tmpdir()).filter((name) => name.startsWith('tabwire-'))

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
    assert.match(path, /tabwire-\w+[/\\][0-9a-f]+$/)
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
  for (const body of [
    formOf(['a', 'x'.repeat(1001)]),
    formOf(['a', '1'], ['b', '2'], ['c', '3']),
    formOf(['a', 'x'.repeat(100_000)]),
    longText,
  ]) {
    assertRefused(await app.call(url, { as: ANN, body }), 413)
  }
  assert.equal(calls, 0)
  assert.equal(
    (await app.call(url, { as: ANN, body: formOf(['a', 'x'.repeat(1000)], ['b', '']) })).status,
    200,
  )
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
    if (name.includes('__proto__')) assert.equal(status, 400)
  }
})

test('the files of a handler that fails, and of a client that breaks off, are removed too', async (t) => {
  const before = folders()
  const app = await serve(t, { onUpload: () => Promise.reject(new Error('no')) })
  const stream = await app.connect(ANN)
  const url = `/connect/upload/x.do?connectionId=${stream.id}`
  assertRefused(await app.call(url, { as: ANN, body: formOf(['a', 'x']) }), 500)
  assert.deepEqual(folders(), before)
  const { socket } = await rawRequest(
    app.port,
    `POST /sse/hr${url} HTTP/1.1\r\nHost: x\r\nx-user: ${JSON.stringify(ANN)}\r\nContent-Length: 100000\r\n` +
      'Content-Type: multipart/form-data; boundary=b\r\n\r\n' +
      '--b\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\nsome of it',
  )
  await until(() => folders().length > before.length, 'the upload to begin')
  socket.destroy()
  await until(() => folders().length === before.length, 'its folder to be gone')
  assert.equal(app.errors.length, 1, 'breaking off is no failure of ours')
  await assertAlive(app, stream, ANN)
})
