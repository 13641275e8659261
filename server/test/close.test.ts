import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { gatedStore } from './gated-store'
import { ANN, as, assertRefused, BOB, openStream, type Stream, serve, until } from './helpers'

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
      reconnectDelay: 0,
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
  const closing = app.sse.close({ within: 1000 })
  await until(async () => {
    const [open] = await app.sse.getConnections()
    assert.ok(open, 'all were gone before one was served')
    const url = `/connect/message/x.do?connectionId=${open.id}`
    return (await app.call(url, { as: open.user, json: {} })).json.data === 'served'
  }, 'a page to be served')
  await closing
  assert.equal(ends.length, 40)
  // That 40 random moments of a second all lie within 100 ms happens about once in 10³⁷ runs.
  assert.ok(Math.max(...ends) - Math.min(...ends) > 100, String(ends))
})

test('each page is told of a drain at a moment of its own, and may come back at once', async (t) => {
  const app = await serve(t)
  const streams: Stream[] = []
  for (let i = 0; i < 40; i++) streams.push(await app.connect({ id: i }))
  const told: number[] = []
  for (const stream of streams) void stream.next('connect-close').then(() => told.push(Date.now()))
  await app.sse.close({ within: 400 })
  for (const stream of streams) await stream.ended()
  for (const stream of streams) {
    assert.deepEqual(JSON.parse(stream.dataOf('connect-close')[0] ?? ''), {
      connectionId: stream.id,
      reason: 'server-shutdown',
      reconnect: true,
      reconnectDelay: 0,
    })
  }
  assert.ok(Math.max(...told) - Math.min(...told) > 100, String(told))
})

test('messages that are being handled are answered before the closing is done, however long the streams are gone', async (t) => {
  const handling: (() => void)[] = []
  const app = await serve(t, {
    onMessage: (path) => new Promise((resolve) => handling.push(() => resolve(`done ${path}`))),
  })
  const stream = await app.connect(ANN)
  const answers = ['a', 'b'].map((path) =>
    app.call(`/connect/message/${path}.do?connectionId=${stream.id}`, { as: ANN, json: {} }),
  )
  await until(() => handling.length === 2, 'both messages')
  const done: string[] = []
  const closing = app.sse.close().then(() => void done.push('closed'))
  await stream.ended()
  await until(async () => (await app.call('/connect', { as: ANN })).status === 503, 'the door to be shut')
  assert.equal(done.length, 0, 'not closed while messages are handled')
  for (const [index, answer] of answers.entries()) {
    handling[index]?.()
    done.push((await answer).json.data)
  }
  await closing
  assert.deepEqual(done.toSorted(), ['closed', 'done a', 'done b'])
  assert.equal(done[0], 'done a', 'the first was answered while the second was still handled')
})

test('who comes during a drain is sent to another node, while those who are there go on', async (t) => {
  const app = await serve(t, { onMessage: () => 'served' })
  const streams = [await app.connect(ANN), await app.connect(BOB)]
  const closing = app.sse.close({ within: 1000 })
  for (const path of ['/connect', '/connect?mode=poll', '/connect?mode=poll&lastEventId=x']) {
    const refused = await app.call(path, { as: ANN })
    assertRefused(refused, 503)
    assert.equal(refused.headers.get('retry-after'), '2')
  }
  const left = await app.sse.getConnectionCount()
  assert.equal(await app.sse.sendAll('meanwhile'), left)
  await closing
  for (const stream of streams) {
    await stream.ended()
    assert.equal(stream.names.at(-1), 'connect-close')
  }
})

test('a client that came just before the drain, and whose history is still being read, is let go too', async (t) => {
  const { store, reads } = gatedStore()
  const app = await serve(t, { store })
  const opening = openStream(`${app.base}/connect`, { headers: as(ANN) })
  await until(() => reads.length === 1, 'the read')
  await app.sse.close()
  reads[0]?.()
  const stream = await opening
  await stream.ended()
  assert.deepEqual(
    stream.names.filter((name) => name !== 'connect-close'),
    [],
  )
  assert.equal(await app.sse.getConnectionCount(), 0)
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

const HEAD_OF_SCRIPT = `
  import http from 'node:http'
  import express from 'express'
  import { createSse } from 'tabwire/server'
  import { memoryStore } from 'tabwire/stores/memory'`

/** Runs a module in a process of its own, which has to end by itself. */
async function endsByItself(script: string): Promise<void> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', HEAD_OF_SCRIPT + script], {
    cwd: new URL('../..', import.meta.url),
    stdio: 'inherit',
  })
  const timer = setTimeout(() => child.kill('SIGKILL'), 8000)
  const [code, signal] = await once(child, 'exit')
  clearTimeout(timer)
  assert.deepEqual([code, signal], [0, null])
}

test('a process that has closed its service and its server ends by itself', async () => {
  await endsByItself(`
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
    })`)
})

test('a process ends by itself also when a poll was refused or has not come again', async () => {
  await endsByItself(`
    let isBroken = true
    const inner = memoryStore()
    const read = async (...args) => {
      if (isBroken) throw new Error('broken')
      return inner.read(...args)
    }
    const sse = createSse({ getUser: () => ({ id: 1 }), store: { ...inner, read }, onError() {} })
    const server = http.createServer(express().use('/sse', sse.router))
    server.listen(0, '127.0.0.1', async () => {
      const url = 'http://127.0.0.1:' + server.address().port + '/sse/connect?mode=poll'
      await (await fetch(url)).text()
      isBroken = false
      await (await fetch(url)).text()
      await sse.close()
      server.close()
      server.closeIdleConnections()
    })`)
})
