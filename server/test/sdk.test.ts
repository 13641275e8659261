import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import http from 'node:http'
import { test } from 'node:test'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import { ANN, serve } from './helpers'

const built = (name: string) => readFileSync(new URL(`../../dist/${name}`, import.meta.url))

/** Node's own client: fetch would decompress, and would not let us say what we accept. */
function get(url: string, headers: Record<string, string> = {}, method = 'GET') {
  return new Promise<{ status: number; headers: http.IncomingHttpHeaders; body: Buffer }>(
    (resolve, reject) => {
      const req = http.request(url, { method, headers, agent: false }, (res) => {
        const chunks: Buffer[] = []
        res.on('data', (chunk) => chunks.push(chunk))
        res.on('end', () =>
          resolve({ status: res.statusCode ?? 0, headers: res.headers, body: Buffer.concat(chunks) }),
        )
      })
      req.on('error', reject).end()
    },
  )
}

test('the base and sse.js are the built module, for everybody and with any query', async (t) => {
  const { base } = await serve(t, { serverId: 'node-1' })
  for (const path of [
    '',
    '/',
    '/sse.js',
    '?token=%00&x[]=1',
    '/sse.js?script-type=module',
    `?x=${'y'.repeat(9000)}`,
  ]) {
    const { status, headers, body } = await get(base + path)
    assert.equal(status, 200, path)
    assert.equal(headers['content-type'], 'text/javascript; charset=utf-8')
    assert.equal(headers['cache-control'], 'no-cache')
    assert.equal(headers['x-content-type-options'], 'nosniff')
    assert.match(String(headers.vary), /Accept-Encoding/)
    assert.match(String(headers['x-sse-version']), /^\d/)
    assert.equal(headers['x-sse-server-id'], 'node-1')
    assert.equal(headers['sourcemap'], '/sse/hr/sse.js.map')
    assert.match(String(headers.etag), /^"[\w-]{20,}"$/)
    assert.deepEqual(body, built('sse.js'))
  }
})

test('another script type is the classic script', async (t) => {
  const { base } = await serve(t)
  for (const query of ['script-type=text/javascript', 'script-type=']) {
    const { headers, body } = await get(`${base}?${query}`)
    assert.equal(headers['content-type'], 'text/javascript; charset=utf-8')
    assert.deepEqual(body, built('sse.classic.js'))
  }
})

test('the source map and the types lie beside it', async (t) => {
  const { base } = await serve(t)
  const map = await get(`${base}/sse.js.map`)
  assert.deepEqual(map.body, built('sse.js.map'))
  assert.match(String(map.headers['content-type']), /^application\/json/)
  const types = await get(`${base}/sse.d.ts`)
  assert.deepEqual(types.body, built('sse.d.ts'))
  assert.doesNotMatch(String(types.body), /from '\.|NodeJS/, 'it needs nothing beside it')
})

test('the part that sends lies beside it, served in the same way, and connect-finish says where', async (t) => {
  const { base, connect } = await serve(t)
  const { status, headers, body } = await get(`${base}/outbox.js?v=1&t=2`, { 'accept-encoding': 'br' })
  assert.equal(status, 200)
  assert.equal(headers['content-type'], 'text/javascript; charset=utf-8')
  assert.equal(headers['cache-control'], 'no-cache')
  assert.equal(headers['content-encoding'], 'br')
  assert.equal(headers['sourcemap'], '/sse/hr/outbox.js.map')
  assert.deepEqual(brotliDecompressSync(body), built('outbox.js'))
  const again = { 'accept-encoding': 'br', 'if-none-match': String(headers.etag) }
  assert.equal((await get(`${base}/outbox.js`, again)).status, 304)
  assert.deepEqual((await get(`${base}/outbox.js.map`)).body, built('outbox.js.map'))
  const stream = await connect(ANN)
  const finish = JSON.parse(stream.events[0]?.data ?? '{}')
  assert.equal(finish.outbox, `/outbox.js?v=${finish.version}`)
})

test('the parts that only some pages need lie beside it too, for everybody', async (t) => {
  const { base, errors } = await serve(t)
  for (const name of ['outbox-store.js', 'outbox-store.js.map', 'upload.js', 'upload.js.map']) {
    const { status, headers, body } = await get(`${base}/${name}?v=1`)
    // As with the module itself: where the client was not built, that is told to the operator.
    if (!existsSync(new URL(`../../dist/${name}`, import.meta.url))) {
      assert.equal(status, 500, name)
      assert.match(String(errors.pop()?.error), new RegExp(`ENOENT.*${name}`))
      continue
    }
    assert.equal(status, 200, name)
    assert.deepEqual(body, built(name))
    assert.equal(headers['cache-control'], 'no-cache')
    assert.equal(headers['sourcemap'], name.endsWith('.js') ? `/sse/hr/${name}.map` : undefined)
  }
  assert.deepEqual(errors, [])
})

test('nothing else of the folder is served', async (t) => {
  const { base } = await serve(t)
  for (const name of ['server.js', 'sse.js.map.map', 'sse.js%00', '..%2fpackage.json', 'SSE.JS']) {
    assert.equal((await get(`${base}/${name}`)).status, 404, name)
  }
})

test('who has it already is told so, by tag', async (t) => {
  const { base } = await serve(t)
  const { headers } = await get(base)
  const etag = String(headers.etag)
  for (const match of [etag, `W/${etag}`, `"old", ${etag}`, '*']) {
    const { status, headers: again, body } = await get(base, { 'if-none-match': match })
    assert.equal(status, 304, match)
    assert.equal(body.length, 0)
    assert.equal(again.etag, etag)
    assert.match(String(again.vary), /Accept-Encoding/)
  }
  assert.equal((await get(base, { 'if-none-match': '"old"' })).status, 200)
})

test('it is compressed as the client accepts it, each form with its own tag', async (t) => {
  const { base } = await serve(t)
  const forms = [
    ['br, gzip', 'br', brotliDecompressSync],
    ['gzip, deflate, br', 'br', brotliDecompressSync],
    ['gzip', 'gzip', gunzipSync],
    ['br;q=0, gzip;q=0.5', 'gzip', gunzipSync],
    ['*', 'br', brotliDecompressSync],
    ['identity', undefined, (bytes: Buffer) => bytes],
    ['br;q=0, *;q=0', undefined, (bytes: Buffer) => bytes],
  ] as const
  const tags = new Map<string | undefined, unknown>()
  for (const [accepted, coding, decompress] of forms) {
    const { headers, body } = await get(base, { 'accept-encoding': accepted })
    assert.equal(headers['content-encoding'], coding, accepted)
    assert.equal(Number(headers['content-length']), body.length)
    assert.deepEqual(decompress(body), built('sse.js'))
    assert.equal(tags.get(coding) ?? headers.etag, headers.etag)
    tags.set(coding, headers.etag)
  }
  assert.equal(new Set(tags.values()).size, 3)
  const br = { 'accept-encoding': 'br', 'if-none-match': String(tags.get('br')) }
  assert.equal((await get(base, br)).status, 304)
})

test('HEAD gives the head alone', async (t) => {
  const { base } = await serve(t)
  const { status, headers, body } = await get(`${base}/sse.js`, {}, 'HEAD')
  assert.equal(status, 200)
  assert.equal(Number(headers['content-length']), built('sse.js').length)
  assert.equal(body.length, 0)
})
