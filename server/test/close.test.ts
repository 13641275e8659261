import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { ANN, assertRefused, BOB, type Stream, serve, until } from './helpers'

test('closing tells every page to come back, and takes nobody in any more', async (t) => {
  const app = await serve(t, { reconnectTime: 2500 })
  const reasons: string[] = []
  app.sse.onDisconnect((_, reason) => reasons.push(reason))
  const streams = [await app.connect(ANN), await app.connect(BOB)]
  await app.sse.close()
  for (const stream of streams) {
    assert.deepEqual(await stream.json('connect-close'), {
      connectionId: stream.id,
      reason: 'server-shutdown',
      reconnect: true,
    })
    await stream.ended()
  }
  assert.deepEqual(reasons, ['server-shutdown', 'server-shutdown'])
  assert.equal(await app.sse.getConnectionCount(), 0)
  const refused = await app.call('/connect', { as: ANN })
  assertRefused(refused, 503)
  assert.equal(refused.headers.get('retry-after'), '3')
  await app.sse.close()
})

test('closing within a time spreads the ends over it, and the open pages are served meanwhile', async (t) => {
  const app = await serve(t, { onMessage: () => 'served' })
  const ends: number[] = []
  const start = Date.now()
  app.sse.onDisconnect(() => ends.push(Date.now() - start))
  const streams: Stream[] = []
  for (let i = 0; i < 40; i++) streams.push(await app.connect({ id: i }))
  const closing = app.sse.close({ within: 400 })
  await until(async () => {
    const [open] = await app.sse.getConnections()
    assert.ok(open, 'all were gone before one was served')
    const url = `/connect/message/x.do?connectionId=${open.id}`
    return (await app.call(url, { as: open.user, json: {} })).json.data === 'served'
  }, 'a page to be served')
  await closing
  assert.equal(ends.length, 40)
  // That 40 random moments of 400 ms all lie within 100 ms happens about once in 10²² runs.
  assert.ok(Math.max(...ends) - Math.min(...ends) > 100, String(ends))
})

test('a page that does not read any more does not hold up the closing', { timeout: 10_000 }, async (t) => {
  const app = await serve(t)
  const stream = await app.connect(ANN)
  stream.stall()
  await app.sse.sendAll('flood', 'x'.repeat(20_000_000))
  await app.sse.close()
  assert.equal(await app.sse.getConnectionCount(), 0)
})

test('a connection lost just before is reported before the closing is done', async (t) => {
  const app = await serve(t)
  const reasons: string[] = []
  app.sse.onDisconnect((_, reason) => reasons.push(reason))
  const stream = await app.connect(ANN)
  stream.leave()
  await until(async () => (await app.sse.getConnectionCount()) === 0, 'the connection to be gone')
  await app.sse.close()
  assert.deepEqual(reasons, ['lost'])
})

test('a process that has closed its service and its server ends by itself', async () => {
  const script = `
    import http from 'node:http'
    import express from 'express'
    import { createSse } from 'tabwire/server'
    const sse = createSse({ getUser: () => ({ id: 1 }) })
    const server = http.createServer(express().use('/sse', sse.router))
    server.listen(0, '127.0.0.1', async () => {
      const { port } = server.address()
      const response = await fetch('http://127.0.0.1:' + port + '/sse/connect')
      const reader = response.body.getReader()
      await reader.read()
      await sse.close()
      while (!(await reader.read()).done);
      server.close()
      server.closeIdleConnections()
    })`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    cwd: new URL('../..', import.meta.url),
    stdio: 'inherit',
  })
  const timer = setTimeout(() => child.kill('SIGKILL'), 8000)
  const [code, signal] = await once(child, 'exit')
  clearTimeout(timer)
  assert.deepEqual([code, signal], [0, null])
})
