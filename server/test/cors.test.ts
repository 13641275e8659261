import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ANN, assertRefused, serve } from './helpers'

const FRIEND = 'https://app.example.org'
const STRANGER = 'https://evil.example'

test('a page of an allowed origin may do everything, with cookies', async (t) => {
  const app = await serve(t, { origins: [FRIEND], onMessage: () => 'ok' })
  const headers = { origin: FRIEND, 'sec-fetch-site': 'cross-site' }
  const stream = await app.connect(ANN, '', { headers })
  assert.equal(stream.headers['access-control-allow-origin'], FRIEND)
  assert.equal(stream.headers['access-control-allow-credentials'], 'true')
  const url = `/connect/message/x.do?connectionId=${stream.id}`
  const answer = await app.call(url, { as: ANN, headers, json: {} })
  assert.equal(answer.json.data, 'ok')
  const refused = await app.call(url, { headers, json: {} })
  assert.equal(refused.status, 401)
  for (const { headers: got } of [
    answer,
    refused,
    await app.call('', { headers }),
    await app.call('/sse.js', { headers }),
  ]) {
    assert.equal(got.get('access-control-allow-origin'), FRIEND)
    assert.equal(got.get('access-control-allow-credentials'), 'true')
    assert.match(got.get('vary') ?? '', /Origin/)
    const exposed = got.get('access-control-expose-headers') ?? ''
    for (const name of ['X-Sse-Version', 'X-Sse-Server-Id', 'X-Sse-Error', 'Retry-After'])
      assert.ok(exposed.includes(name))
    for (const name of ['Idempotency-Key', 'Idempotent-Replayed']) assert.ok(exposed.includes(name))
  }
})

test('a preflight of an allowed origin is answered without a user', async (t) => {
  const app = await serve(t, { origins: [FRIEND] })
  const headers = {
    origin: FRIEND,
    'access-control-request-method': 'POST',
    'access-control-request-headers': 'content-type,x-my-own',
  }
  const answer = await app.call('/connect/message/x.do', { method: 'OPTIONS', headers })
  assert.equal(answer.status, 204)
  assert.equal(answer.headers.get('access-control-allow-origin'), FRIEND)
  assert.equal(answer.headers.get('access-control-allow-headers'), 'content-type,x-my-own')
  assert.match(answer.headers.get('access-control-allow-methods') ?? '', /POST/)
  assert.ok(Number(answer.headers.get('access-control-max-age')) > 0)
})

test('a stranger gets no leave, neither in a preflight nor in an answer', async (t) => {
  const app = await serve(t, { origins: [FRIEND] })
  const headers = { origin: STRANGER }
  const preflight = await app.call('/connect', { method: 'OPTIONS', headers })
  assertRefused(preflight, 403)
  const connect = await app.call('/connect', { as: ANN, headers })
  assertRefused(connect, 403)
  const module = await app.call('', { headers })
  assert.equal(module.status, 200)
  for (const answer of [preflight, connect, module]) {
    assert.equal(answer.headers.get('access-control-allow-origin'), null)
    assert.match(answer.headers.get('vary') ?? '', /Origin/, 'a cache must not give it to the friend')
  }
})

test("the service's own pages need no leave: by host, by Sec-Fetch-Site, or as no browser at all", async (t) => {
  const app = await serve(t)
  for (const headers of [
    {},
    { origin: `http://127.0.0.1:${app.port}` },
    { origin: `https://127.0.0.1:${app.port}` },
    { 'sec-fetch-site': 'same-origin', origin: 'http://localhost:5173' },
    { 'sec-fetch-site': 'none' },
  ]) {
    const stream = await app.connect(ANN, '', { headers: headers as Record<string, string> })
    assert.equal(stream.status, 200)
    assert.equal(stream.headers['access-control-allow-origin'], undefined)
  }
})

test("the service's own page is known by host and port where Express, as in version 4, leaves the port out", async (t) => {
  const app = await serve(t, {}, (host) =>
    host.use((req, _res, next) => {
      Object.defineProperty(req, 'host', { value: '127.0.0.1' })
      next()
    }),
  )
  await app.connect(ANN, '', { headers: { origin: `http://127.0.0.1:${app.port}` } })
  const stranger = { origin: 'http://127.0.0.1' }
  assertRefused(await app.call('/connect', { as: ANN, headers: stranger }), 403)
})

test('behind a proxy the host that the page asked counts, if the application trusts the proxy', async (t) => {
  const headers = { origin: 'https://hr.example.org:8443', 'x-forwarded-host': 'hr.example.org:8443, inner' }
  const trusting = await serve(t, {}, (host) => host.set('trust proxy', true))
  await trusting.connect(ANN, '', { headers })
  const direct = await serve(t)
  assertRefused(await direct.call('/connect', { as: ANN, headers }), 403)
})
