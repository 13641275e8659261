import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ANN, assertAlive, assertRefused, serve } from './helpers'

const FORM = { 'content-type': 'application/x-www-form-urlencoded' }
const repeated = (count: number) => 'a&'.repeat(count)

test('a thousand parameters are taken, in the query and in a form; more are refused', async (t) => {
  const app = await serve(t, { onMessage: (_path, _connection, message) => message })
  const stream = await app.connect(ANN)
  const message = (count: number) =>
    app.call(`/connect/message/x.do?connectionId=${stream.id}&${repeated(count)}`, { as: ANN, json: {} })
  assert.equal((await message(1000)).json.data.a.length, 1000)
  assertRefused(await message(1001), 413)
  const goodbye = (count: number) =>
    app.call('/connect/disconnect.do', {
      as: ANN,
      headers: FORM,
      body: `connectionId=unknown&${repeated(count - 1)}`,
    })
  assert.deepEqual((await goodbye(1000)).json.data, { count: 0 })
  for (const count of [1001, 30_000]) assertRefused(await goodbye(count), 413)
  await assertAlive(app, stream, ANN)
})

test('what a page tells when it connects is kept, so it may not be long', async (t) => {
  const app = await serve(t, { bodyLimit: 10_000_000 })
  const form = (size: number) => ({ method: 'POST', headers: FORM, body: `x=${'y'.repeat(size - 2)}` })
  const stream = await app.connect(ANN, '', form(64 * 1024))
  assertRefused(await app.call('/connect', { as: ANN, ...form(64 * 1024 + 1) }), 413)
  await assertAlive(app, stream, ANN)
})
