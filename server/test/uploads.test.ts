import assert from 'node:assert/strict'
import { once } from 'node:events'
import {
  chmodSync,
  existsSync,
  lstatSync,
  readdirSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { Upload } from 'tus-js-client'
import { ANN, as, assertRefused, BOB, rawRequest, serve, until } from './helpers'
import {
  begin,
  complete,
  create,
  creation,
  final,
  folderFor,
  formOf,
  head,
  idOf,
  offsetOf,
  patch,
  serveUploads,
  TUS,
} from './pieces'

const DAY = 24 * 60 * 60 * 1000

const sizeOf = (folder: string, path: string) => lstatSync(join(folder, idOf(path))).size

/** As if the last piece had come so many ms ago. */
function age(folder: string, path: string, ms: number) {
  const then = new Date(Date.now() - ms)
  for (const name of readdirSync(folder)) {
    if (name.startsWith(idOf(path))) utimesSync(join(folder, name), then, then)
  }
}

test('a form sent in pieces is answered as if it had come at once, and is gone then', async (t) => {
  const { app, folder } = await serveUploads(t)
  const { id } = await app.connect(ANN)
  const form = formOf(300_000)
  const created = await creation(app, ANN, form.bytes.length, '?token=t&x=%2F')
  assert.equal(created.status, 201)
  assert.equal(created.headers.get('tus-resumable'), '1.0.0')
  assert.ok(Date.parse(created.headers.get('upload-expires') ?? '') > Date.now() + DAY - 5000)
  const url = new URL(created.headers.get('location') ?? '', `${app.base}/connect/uploads?token=t`)
  assert.match(url.href, /\/sse\/hr\/connect\/uploads\/[\w-]{20,}\?token=t&x=%2F$/)
  const path = url.pathname.replace('/sse/hr', '')

  const first = await patch(app, ANN, path, 0, form.bytes.subarray(0, 100_000))
  assert.equal(first.status, 204)
  assert.equal(first.headers.get('upload-offset'), '100000')
  assert.ok(first.headers.has('upload-expires'))
  const half = await head(app, ANN, path)
  assert.equal(half.headers.get('upload-offset'), '100000')
  assert.equal(half.headers.get('upload-length'), String(form.bytes.length))
  assert.equal(half.headers.get('cache-control'), 'no-store')
  assert.equal(half.headers.get('upload-metadata'), null)
  assert.equal((await patch(app, ANN, path, 100_000, form.bytes.subarray(100_000))).status, 204)

  const { status, json } = await final(app, ANN, id, path, form)
  assert.equal(status, 200)
  assert.deepEqual(json.data, { path: 'x', message: { q: '1', note: 'hello' }, files: [form.digest] })
  assertRefused(await final(app, ANN, id, path, form), 404)
  assert.equal((await head(app, ANN, path)).status, 404)
  await until(() => readdirSync(folder).length === 0, 'the folder to be empty')
})

test('the service announces pieces only if it takes uploads', async (t) => {
  const { app } = await serveUploads(t, { uploadChunk: 5000 })
  assert.deepEqual((await app.connect(ANN)).finish['uploads'], { chunk: 5000 })
  const without = await serve(t)
  assert.equal('uploads' in (await without.connect(ANN)).finish, false)
  assertRefused(await creation(without, ANN, 10), 404)
})

test('a tus client sends a form in pieces, and goes on where its line was cut', async (t) => {
  const { app } = await serveUploads(t)
  const form = formOf(200_000)
  let cuts = 0
  const url = await new Promise<string>((resolve, reject) => {
    const upload: Upload = new Upload(form.bytes, {
      endpoint: `${app.base}/connect/uploads?token=t`,
      headers: as(ANN),
      chunkSize: 30_000,
      retryDelays: [0, 0, 0],
      onError: reject,
      onSuccess: () => resolve(upload.url ?? ''),
      onChunkComplete: () => {
        if (cuts++ === 2) app.http.closeAllConnections()
      },
    })
    upload.start()
  })
  assert.match(url, /\?token=t$/)
  const { id } = await app.connect(ANN)
  const answer = await final(app, ANN, id, new URL(url).pathname.replace('/sse/hr', ''), form)
  assert.deepEqual(answer.json.data.files, [form.digest])
  assert.deepEqual(app.errors, [])
})

test('a piece that is cut at any byte keeps what arrived, and the rest completes it', async (t) => {
  const { app, folder } = await serveUploads(t)
  const { id } = await app.connect(ANN)
  const form = formOf(500_000)
  const path = await create(app, ANN, form.bytes.length)
  let offset = 0
  let sent = 0
  for (let cut = 0; cut < 8; cut++) {
    const rest = form.bytes.length - offset
    const some = 1 + Math.floor(Math.random() * (rest / 3))
    const sending = await begin(app, ANN, path, {
      offset,
      length: rest,
      sent: form.bytes.subarray(offset, offset + some),
    })
    // Cut without a word, with all that was written on its way.
    sending.socket.end()
    await sending.answer
    offset += some
    sent += some
    await until(() => sizeOf(folder, path) === offset, 'what arrived to be kept')
    assert.equal(await offsetOf(app, ANN, path), offset)
  }
  assert.equal((await patch(app, ANN, path, offset, form.bytes.subarray(offset))).status, 204)
  assert.equal(sent + form.bytes.length - offset, form.bytes.length, 'no byte is sent twice')
  const answer = await final(app, ANN, id, path, form)
  assert.deepEqual(answer.json.data.files, [form.digest])
  assert.deepEqual(app.errors, [])
})

test('a piece whose socket is reset keeps a true beginning of it', async (t) => {
  const { app } = await serveUploads(t)
  const { id } = await app.connect(ANN)
  const form = formOf(3_000_000)
  const path = await create(app, ANN, form.bytes.length)
  let offset = 0
  for (let cut = 0; cut < 5; cut++) {
    const some = Math.floor(Math.random() * 500_000)
    const { socket, answer } = await begin(app, ANN, path, {
      offset,
      sent: Buffer.concat([Buffer.from('f4240\r\n'), form.bytes.subarray(offset, offset + some)]),
    })
    socket.resetAndDestroy()
    await answer
    const now = await offsetOf(app, ANN, path)
    assert.ok(now >= offset)
    offset = now
  }
  // A piece that the reset overtook may still come to its turn: then the place is another one.
  await until(async () => {
    offset = await offsetOf(app, ANN, path)
    return (await patch(app, ANN, path, offset, form.bytes.subarray(offset))).status === 204
  }, 'the rest to be taken')
  assert.deepEqual((await final(app, ANN, id, path, form)).json.data.files, [form.digest])
  assert.deepEqual(app.errors, [])
})

test('an upload goes on after a restart of the service, and counts there from the start', async (t) => {
  const before = await serveUploads(t, { maxUnfinished: 2 })
  const form = formOf(50_000)
  const path = await create(before.app, ANN, form.bytes.length)
  await patch(before.app, ANN, path, 0, form.bytes.subarray(0, 20_000))
  await create(before.app, ANN, 10)
  await before.app.sse.close()

  const { app } = await serveUploads(t, { uploadFolder: before.folder, maxUnfinished: 2 })
  assertRefused(await creation(app, ANN, 10), 429)
  assert.equal(await offsetOf(app, ANN, path), 20_000)
  await patch(app, ANN, path, 20_000, form.bytes.subarray(20_000))
  const { id } = await app.connect(ANN)
  assert.deepEqual((await final(app, ANN, id, path, form)).json.data.files, [form.digest])
})

test("another user's upload is out of reach, and what nobody has is not there", async (t) => {
  const { app, folder } = await serveUploads(t)
  const form = formOf(100)
  const path = await complete(app, ANN, form)
  const bob = await app.connect(BOB)
  assert.equal((await head(app, BOB, path)).status, 403)
  assertRefused(await patch(app, BOB, path, form.bytes.length, Buffer.alloc(0)), 403)
  assertRefused(await app.call(path, { as: BOB, method: 'DELETE', headers: TUS }), 403)
  assertRefused(await final(app, BOB, bob.id, path, form), 403)

  writeFileSync(join(folder, 'secret'), 'x')
  const id = idOf(path)
  for (const forged of [
    '..%2Fsecret',
    '%2e%2e%2fsecret',
    'secret',
    `${id}.json`,
    `${id}%00`,
    `.%2F${id}`,
    id.toUpperCase().replace(/^\d*$/, 'X'),
    id.slice(1),
    id.replace(/.$/, (last) => (last === '0' ? '1' : '0')),
    'a'.repeat(3000),
    '%',
  ]) {
    const there = `/connect/uploads/${forged}`
    assert.equal((await head(app, ANN, there)).status, 404, forged)
    assertRefused(await patch(app, ANN, there, 0, Buffer.from('x')), 404)
    assertRefused(await app.call(there, { as: ANN, method: 'DELETE', headers: TUS }), 404)
    const ann = await app.connect(ANN)
    const unknown = await final(app, ANN, ann.id, `/connect/uploads/${forged}`, form)
    assertRefused(unknown, 404)
    assert.equal(unknown.headers.get('x-sse-error'), null, 'the connection is known')
  }
  assert.ok(existsSync(join(folder, 'secret')))
  assert.equal(await offsetOf(app, ANN, path), form.bytes.length, "nothing happened to Ann's")
  const ann = await app.connect(ANN)
  assert.equal((await final(app, ANN, ann.id, path, form)).status, 200)
})

test('who is not signed in, and a page of a foreign origin, may not send pieces', async (t) => {
  const { app } = await serveUploads(t)
  const path = await create(app, ANN, 10)
  const signedOut = { method: 'POST', headers: { ...TUS, 'upload-length': '10' } }
  assertRefused(await app.call('/connect/uploads', signedOut), 401)
  for (const method of ['HEAD', 'DELETE', 'PATCH']) {
    assert.equal((await app.call(path, { method, headers: TUS })).status, 401)
    const headers = { ...TUS, origin: 'https://evil.example' }
    assert.equal((await app.call(path, { as: ANN, method, headers })).status, 403)
  }
  assertRefused(await creation(app, ANN, 10, '', { origin: 'https://evil.example' }), 403)
  assert.equal(await offsetOf(app, ANN, path), 0)
})

test('a session that ends in the middle keeps what was there', async (t) => {
  const { app } = await serveUploads(t)
  const path = await create(app, ANN, 100)
  await patch(app, ANN, path, 0, Buffer.alloc(40))
  const signedOut = await app.call(path, {
    method: 'PATCH',
    headers: { ...TUS, 'upload-offset': '40', 'content-type': 'application/offset+octet-stream' },
    body: new Uint8Array(60),
  })
  assertRefused(signedOut, 401)
  assert.equal(await offsetOf(app, ANN, path), 40)
})

test('lengths and places that cannot be are refused, and change nothing', async (t) => {
  const { app, folder } = await serveUploads(t, { uploadTotal: 1000, maxFiles: 1 })
  const most = 1000 + 16 * 1024 * 201
  for (const [length, status] of [
    [most + 1, 413],
    ['9'.repeat(30), 400],
    ['-1', 400],
    ['1.5', 400],
    ['1e3', 400],
    ['', 400],
  ] as const)
    assertRefused(await creation(app, ANN, length), status)
  const headers = { ...TUS, 'upload-defer-length': '1' }
  assertRefused(await app.call('/connect/uploads', { as: ANN, method: 'POST', headers }), 400)
  assert.deepEqual(readdirSync(folder), [])
  assert.equal((await creation(app, ANN, most)).status, 201)

  const path = await create(app, ANN, 100)
  await patch(app, ANN, path, 0, Buffer.alloc(10))
  for (const offset of [0, 9, 11, 1000]) {
    assertRefused(await patch(app, ANN, path, offset, Buffer.alloc(5)), 409)
  }
  for (const offset of ['', '-1', 'x'])
    assertRefused(await patch(app, ANN, path, offset, Buffer.alloc(5)), 400)
  assertRefused(await patch(app, ANN, path, 10, Buffer.alloc(91)), 413)
  assertRefused(await patch(app, ANN, path, 10, Buffer.alloc(5), { 'content-type': 'text/plain' }), 415)
  for (const version of ['0.2.2', '']) {
    const refused = await patch(app, ANN, path, 10, Buffer.alloc(5), { 'tus-resumable': version })
    assertRefused(refused, 412)
    assert.equal(refused.headers.get('tus-version'), '1.0.0')
  }
  assert.equal(await offsetOf(app, ANN, path), 10)
  assert.deepEqual(app.errors, [])
})

test('a piece without a length cannot write beyond the end of its upload', async (t) => {
  const { app, folder } = await serveUploads(t)
  const path = await create(app, ANN, 100)
  const chunk = Buffer.from(`3e8\r\n${'x'.repeat(1000)}\r\n0\r\n\r\n`)
  const { socket } = await begin(app, ANN, path, { sent: chunk })
  const [answer] = await once(socket, 'data', { signal: AbortSignal.timeout(5000) })
  assert.match(String(answer), /^HTTP\/1.1 413 /)
  socket.destroy()
  assert.ok(lstatSync(join(folder, idOf(path))).size <= 100)
  assert.deepEqual(app.errors, [])
})

test('a line that broke unseen does not keep the client waiting: who comes back takes over', async (t) => {
  const { app, folder } = await serveUploads(t)
  const { id } = await app.connect(ANN)
  const form = formOf(100_000)
  const path = await create(app, ANN, form.bytes.length)
  const stalled = await begin(app, ANN, path, {
    length: form.bytes.length,
    sent: form.bytes.subarray(0, 40_000),
  })
  await until(() => sizeOf(folder, path) === 40_000, 'the piece to be at work')
  const started = Date.now()
  assert.equal(await offsetOf(app, ANN, path), 40_000)
  assert.ok(Date.now() - started < 2000, 'promptly')
  assert.match(await stalled.answer, /^HTTP\/1.1 204 .*\r\nconnection: close/is)
  assert.equal((await patch(app, ANN, path, 40_000, form.bytes.subarray(40_000))).status, 204)
  assert.deepEqual((await final(app, ANN, id, path, form)).json.data.files, [form.digest])
})

test('who comes back need not wait for all its lines that broke unseen', async (t) => {
  const { app, folder } = await serveUploads(t)
  const path = await create(app, ANN, 1000)
  const first = await begin(app, ANN, path, { length: 1000, sent: Buffer.alloc(50) })
  await until(() => sizeOf(folder, path) === 50, 'the first to be at work')
  const stalled = await Promise.all(
    Array.from({ length: 100 }, () =>
      begin(app, ANN, path, { offset: 50, length: 950, sent: Buffer.alloc(0) }),
    ),
  )
  let answered = 0
  for (const { answer } of [first, ...stalled]) {
    void answer.then((text) => {
      assert.match(text, /^HTTP\/1.1 (?:204|423) /)
      answered++
    })
  }
  await until(() => answered === 100, 'all but the latest to be answered')
  assert.equal(await offsetOf(app, ANN, path), 50)
  assert.equal((await patch(app, ANN, path, 50, Buffer.alloc(950))).status, 204)
  await until(() => answered === 101, 'the latest to be answered')
  assert.deepEqual(app.errors, [])
})

test('a piece, too, takes over from one that stalls, and a deletion does', async (t) => {
  const { app, folder } = await serveUploads(t)
  const path = await create(app, ANN, 1000)
  const one = await begin(app, ANN, path, { length: 1000, sent: Buffer.alloc(50) })
  await until(() => sizeOf(folder, path) === 50, 'the first to be at work')
  assert.equal((await patch(app, ANN, path, 50, Buffer.alloc(50))).status, 204)
  await one.answer
  const two = await begin(app, ANN, path, { offset: 100, length: 900, sent: Buffer.alloc(10) })
  await until(() => sizeOf(folder, path) === 110, 'the second to be at work')
  const removed = await app.call(path, { as: ANN, method: 'DELETE', headers: TUS })
  assert.equal(removed.status, 204)
  await two.answer
  assert.equal((await head(app, ANN, path)).status, 404)
  assert.deepEqual(readdirSync(folder), [])
})

test('of many pieces at once for one place, one counts, and no byte is written twice', async (t) => {
  const { app } = await serveUploads(t)
  const { id } = await app.connect(ANN)
  const form = formOf(50_000)
  const path = await create(app, ANN, form.bytes.length)
  const answers = await Promise.all(
    Array.from({ length: 6 }, () => patch(app, ANN, path, 0, form.bytes).catch(() => undefined)),
  )
  for (const answer of answers)
    if (answer !== undefined) assert.ok([204, 409, 423].includes(answer.status), String(answer.status))
  const offset = await offsetOf(app, ANN, path)
  await patch(app, ANN, path, offset, form.bytes.subarray(offset))
  assert.deepEqual((await final(app, ANN, id, path, form)).json.data.files, [form.digest])
  assert.deepEqual(app.errors, [])
})

test('a form is taken when all of it is there, not before', async (t) => {
  const { app } = await serveUploads(t)
  const { id } = await app.connect(ANN)
  const form = formOf(1000)
  const path = await create(app, ANN, form.bytes.length)
  await patch(app, ANN, path, 0, form.bytes.subarray(0, 999))
  assertRefused(await final(app, ANN, id, path, form), 409)
  await patch(app, ANN, path, 999, form.bytes.subarray(999))
  assert.equal((await final(app, ANN, id, path, form)).status, 200)
})

test('two requests for one upload at the same time do not break one another', async (t) => {
  const { app, folder } = await serveUploads(t)
  const { id } = await app.connect(ANN)
  for (let round = 0; round < 5; round++) {
    const form = formOf(400_000)
    const path = await complete(app, ANN, form)
    const answers = await Promise.all([0, 1, 2].map(() => final(app, ANN, id, path, form)))
    const done = answers.filter(({ status }) => status === 200)
    assert.ok(done.length > 0)
    for (const { json } of done) assert.deepEqual(json.data.files, [form.digest])
    for (const answer of answers) if (!done.includes(answer)) assertRefused(answer, 404)
  }
  await until(() => readdirSync(folder).length === 0, 'the folder to be empty')
  assert.deepEqual(app.errors, [])
})

test('an upload stays for the repeat of what failed, and goes with a refusal for good', async (t) => {
  let status = 500
  const { app } = await serveUploads(t, {
    onUpload() {
      throw Object.assign(new Error('internal detail'), status < 500 ? { status, expose: true } : {})
    },
  })
  const { id } = await app.connect(ANN)
  const form = formOf(1000)
  const path = await complete(app, ANN, form)
  for (status of [500, 429, 408, 425]) {
    assert.equal((await final(app, ANN, id, path, form)).status, status)
    assert.equal(await offsetOf(app, ANN, path), form.bytes.length)
  }
  status = 422
  assert.equal((await final(app, ANN, id, path, form)).status, 422)
  assert.equal((await head(app, ANN, path)).status, 404)
  const other = await complete(app, ANN, form)
  assertRefused(await final(app, ANN, id, other, { type: 'text/plain' }), 415)
  assert.equal((await head(app, ANN, other)).status, 404)
})

test('the limits of a form hold when it comes in pieces', async (t) => {
  const { app } = await serveUploads(t, { uploadLimit: 1000 })
  const { id } = await app.connect(ANN)
  const form = formOf(1001)
  assertRefused(await final(app, ANN, id, await complete(app, ANN, form), form), 413)
  const broken = { ...formOf(100), type: 'multipart/form-data; boundary=another' }
  assertRefused(await final(app, ANN, id, await complete(app, ANN, broken), broken), 400)
})

test('a user has so many unfinished uploads and no more, also when many begin at once', async (t) => {
  const { app, folder } = await serveUploads(t, { maxUnfinished: 3 })
  const answers = await Promise.all(Array.from({ length: 10 }, () => creation(app, ANN, 10)))
  assert.equal(answers.filter(({ status }) => status === 201).length, 3)
  const refused = answers.find(({ status }) => status !== 201)
  assert.ok(refused)
  assertRefused(refused, 429)
  assert.ok(Number(refused.headers.get('retry-after')) > 0)
  assert.equal((await creation(app, BOB, 10)).status, 201)
  const [oldest = ''] = readdirSync(folder)
  await app.call(`/connect/uploads/${oldest}`, { as: ANN, method: 'DELETE', headers: TUS })
  const bobs = (await app.call(`/connect/uploads/${oldest}`, { as: BOB, method: 'DELETE', headers: TUS }))
    .status
  assert.ok([204, 404].includes(bobs))
  await Promise.all([creation(app, ANN, 10), creation(app, BOB, 10)])
  assertRefused(await creation(app, ANN, 10), 429)
})

test('an upload is gone a day after its last piece, not after its beginning', async (t) => {
  const { app, folder } = await serveUploads(t, { maxUnfinished: 2 })
  const path = await create(app, ANN, 100)
  age(folder, path, DAY - 60_000)
  assert.equal((await patch(app, ANN, path, 0, Buffer.alloc(10))).status, 204)
  const other = await create(app, ANN, 100)
  age(folder, other, DAY + 60_000)
  assert.equal((await head(app, ANN, other)).status, 404)
  assertRefused(await patch(app, ANN, other, 0, Buffer.alloc(10)), 404)
  assert.equal((await creation(app, ANN, 10)).status, 201, 'it does not count any more')
  assert.equal(await offsetOf(app, ANN, path), 10)
})

test('what is left over is removed when the service starts, and nothing else', async (t) => {
  const { app, folder } = await serveUploads(t)
  const old = await create(app, ANN, 100)
  const young = await create(app, ANN, 100)
  writeFileSync(join(folder, 'not-ours'), 'x')
  writeFileSync(join(folder, `${'0'.repeat(68)}.json`), '{')
  for (const path of [old, '/connect/uploads/not-ours', `/connect/uploads/${'0'.repeat(68)}`])
    age(folder, path, DAY + 60_000)
  const { app: next } = await serveUploads(t, { uploadFolder: folder })
  await until(() => readdirSync(folder).length === 3, 'the old to be gone')
  assert.ok(existsSync(join(folder, 'not-ours')))
  assert.equal(await offsetOf(next, ANN, young), 0)
})

test('a folder that is a link or a file is not used, and the client is told nothing of it', async (t) => {
  const folder = folderFor(t)
  const elsewhere = folderFor(t)
  symlinkSync(elsewhere, join(folder, 'link'))
  writeFileSync(join(folder, 'file'), '')
  for (const name of ['link', 'link/', 'file']) {
    const { app } = await serveUploads(t, { uploadFolder: join(folder, name) })
    assertRefused(await creation(app, ANN, 10), 500)
    assert.ok(app.errors.length > 0)
  }
  assert.deepEqual(readdirSync(elsewhere), [])
  const { app } = await serveUploads(t, { uploadFolder: join(folder, 'new', 'one') })
  assert.equal((await creation(app, ANN, 10)).status, 201)
  assert.equal(lstatSync(join(folder, 'new', 'one')).mode & 0o777, 0o700)
})

test('a folder that everybody may write in is not used', {
  skip: process.platform === 'win32',
}, async (t) => {
  const folder = folderFor(t)
  chmodSync(folder, 0o777)
  const { app } = await serveUploads(t, { uploadFolder: folder })
  assertRefused(await creation(app, ANN, 10), 500)
  assert.match(String(app.errors.at(-1)?.error), /uploadFolder/)
  chmodSync(folder, 0o775)
  assert.equal((await creation(app, ANN, 10)).status, 201)
})

test('a folder that was emptied while the service runs is made again', async (t) => {
  const { app, folder } = await serveUploads(t)
  const path = await create(app, ANN, 10)
  rmSync(folder, { recursive: true })
  assert.equal((await head(app, ANN, path)).status, 404)
  assert.equal((await creation(app, ANN, 10)).status, 201)
  assert.equal(lstatSync(folder).mode & 0o777, 0o700)
})

test('a page of an allowed origin may send pieces, and read what they are answered', async (t) => {
  const origin = 'https://app.example.org'
  const { app } = await serveUploads(t, { origins: [origin] })
  const preflight = await app.call('/connect/uploads', {
    method: 'OPTIONS',
    headers: { origin, 'access-control-request-method': 'PATCH' },
  })
  const methods = preflight.headers.get('access-control-allow-methods') ?? ''
  for (const method of ['HEAD', 'POST', 'PATCH', 'DELETE']) assert.ok(methods.includes(method))
  const { headers } = await creation(app, ANN, 10, '', { origin })
  assert.equal(headers.get('access-control-allow-origin'), origin)
  const exposed = headers.get('access-control-expose-headers') ?? ''
  for (const name of ['Location', 'Upload-Offset', 'Upload-Length', 'Upload-Expires', 'Tus-Resumable'])
    assert.ok(exposed.includes(name), name)
  const path = await create(app, ANN, 10)
  const piece = await patch(app, ANN, path, 0, Buffer.alloc(10), { origin })
  assert.equal(piece.headers.get('access-control-allow-origin'), origin)
  assert.match(piece.headers.get('access-control-expose-headers') ?? '', /^X-Sse-Version/)
})

const KEY = { 'idempotency-key': '"k1"' }

test('a repeat of a form that was answered, and has gone, gets the same answer; the handler ran once', async (t) => {
  let runs = 0
  const { app, folder } = await serveUploads(t, { onUpload: () => ++runs })
  const { id } = await app.connect(ANN)
  const form = formOf(1000)
  const path = await complete(app, ANN, form)
  const first = await final(app, ANN, id, path, form, KEY)
  await until(() => !existsSync(join(folder, idOf(path))), 'the form to be gone')
  const repeat = await final(app, ANN, id, path, form, KEY)
  assert.equal(repeat.text, first.text)
  assert.equal(repeat.headers.get('idempotent-replayed'), 'true')
  // Sent once more, in new pieces, it is the same form.
  const again = await final(app, ANN, id, await complete(app, ANN, form), form, KEY)
  assert.equal(again.text, first.text)
  assert.equal(again.headers.get('idempotent-replayed'), 'true')
  const another = formOf(1000)
  assertRefused(await final(app, ANN, id, await complete(app, ANN, another), another, KEY), 422)
  assert.equal(runs, 1)
  assertRefused(await final(app, ANN, id, path, form), 404)
  const bob = await app.connect(BOB)
  assertRefused(await final(app, BOB, bob.id, path, form, KEY), 404)
})

test('a form that has gone with its answer is asked for again: the 404 is no answer of its key', async (t) => {
  let runs = 0
  const uploadFolder = folderFor(t)
  const onUpload = () => ++runs
  const form = formOf(1000)
  const before = (await serveUploads(t, { uploadFolder, onUpload })).app
  const path = await complete(before, ANN, form)
  assert.equal((await final(before, ANN, (await before.connect(ANN)).id, path, form, KEY)).status, 200)
  await until(() => !existsSync(join(uploadFolder, idOf(path))), 'the form to be gone')
  // A memory store forgets with its process what was answered.
  const { app } = await serveUploads(t, { uploadFolder, onUpload })
  const { id } = await app.connect(ANN)
  for (let n = 0; n < 2; n++) {
    const answer = await final(app, ANN, id, path, form, KEY)
    assertRefused(answer, 404)
    assert.equal(answer.headers.get('idempotency-key'), null)
  }
  const anew = await final(app, ANN, id, await complete(app, ANN, form), form, KEY)
  assert.deepEqual([anew.status, anew.json.data], [200, 2])
})

test('repeats at the same time are answered alike; after a failure the handler runs again', async (t) => {
  let runs = 0
  const { app } = await serveUploads(t, {
    onUpload() {
      if (++runs === 1) throw new Error('internal detail')
      return runs
    },
  })
  const { id } = await app.connect(ANN)
  const form = formOf(100_000)
  const path = await complete(app, ANN, form)
  assertRefused(await final(app, ANN, id, path, form, KEY), 500)
  const answers = await Promise.all([1, 2, 3].map(() => final(app, ANN, id, path, form, KEY)))
  for (const { status, json } of answers) assert.deepEqual([status, json.data], [200, 2])
  assert.equal(runs, 2)
})

test('forms that were answered do not count as unfinished, and leave nothing after a day', async (t) => {
  const { app, folder } = await serveUploads(t, { maxUnfinished: 1 })
  const { id } = await app.connect(ANN)
  for (const key of ['a', 'b', 'c']) {
    const form = formOf(100)
    const path = await complete(app, ANN, form)
    assert.equal((await final(app, ANN, id, path, form, { 'idempotency-key': key })).status, 200)
    await until(() => !existsSync(join(folder, idOf(path))), 'the form to be gone')
    age(folder, path, DAY + 60_000)
  }
  await serveUploads(t, { uploadFolder: folder })
  await until(() => readdirSync(folder).length === 0, 'the folder to be empty')
})

test('a form stays when its answer did not arrive, and the repeat brings that answer', async (t) => {
  let finish = () => {}
  let runs = 0
  const closed: boolean[] = []
  const { app } = await serveUploads(
    t,
    {
      async onUpload() {
        await new Promise<void>((resolve) => {
          finish = resolve
          runs++
        })
        return 'done'
      },
    },
    (host) =>
      host.use((req, res, next) => {
        if (req.url.includes('/upload/')) res.once('close', () => closed.push(res.writableFinished))
        next()
      }),
  )
  const { id } = await app.connect(ANN)
  const form = formOf(1000)
  const path = await complete(app, ANN, form)
  const head = [
    `POST /sse/hr/connect/upload/x.do?connectionId=${id}&q=1 HTTP/1.1`,
    'Host: x',
    `X-User: ${JSON.stringify(ANN)}`,
    `Content-Type: ${form.type}`,
    `X-Sse-Upload: ${idOf(path)}`,
    'Idempotency-Key: k1',
    'Content-Length: 0',
  ]
  const { socket } = await rawRequest(app.port, `${head.join('\r\n')}\r\n\r\n`)
  await until(() => runs === 1, 'the handler')
  socket.destroy()
  await until(() => closed.length === 1, 'the line to be cut')
  finish()
  const repeat = await final(app, ANN, id, path, form, KEY)
  assert.equal(repeat.json.data, 'done')
  assert.equal(repeat.headers.get('idempotent-replayed'), 'true')
  assert.equal(runs, 1)
  assert.equal((await app.call(path, { as: ANN, method: 'HEAD', headers: TUS })).status, 404)
  assert.deepEqual(app.errors, [])
})
