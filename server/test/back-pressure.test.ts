import assert from 'node:assert/strict'
import { test } from 'node:test'
import { memoryStore } from 'tabwire/stores/memory'
import { ANN, type App, BOB, type Stream, serve, until } from './helpers'

const roomy = () => memoryStore({ maxBytes: 1e9, maxEvents: 1e6, maxTotalBytes: 1e9 })

const hearing = ({ sse }: App) => {
  const left: string[] = []
  sse.onDisconnect((connection, reason) => left.push(`${connection.id} ${reason}`))
  return left
}

const BIG = 'x'.repeat(100_000)
const numbersOf = (stream: Stream) => stream.dataOf('n').map((data) => Number.parseInt(data, 10))
const upTo = (count: number) => Array.from({ length: count }, (_, n) => n)

async function send(app: App, from: number, to: number, filling = BIG): Promise<void> {
  for (let n = from; n < to; n++) await app.sse.sendAll('n', `${n} ${filling}`)
}

test('a page that does not read is let go, the others get everything, and it goes on where it was', async (t) => {
  const app = await serve(t, { store: roomy(), bufferLimit: 1_000_000 })
  const left = hearing(app)
  const [slow, healthy] = [await app.connect(ANN), await app.connect(BOB)]
  await send(app, 0, 3)
  await slow.until(() => numbersOf(slow).length === 3, 'three events')
  slow.stall()
  let sent = 3
  for (; left.length === 0 && sent < 2000; sent++) {
    await send(app, sent, sent + 1)
    // In step with the one that reads, so that it never has much to wait for.
    await healthy.until(() => numbersOf(healthy).length === sent + 1, `event ${sent}`)
  }
  assert.deepEqual(left, [`${slow.id} slow-reader`])
  assert.equal(await app.sse.isOnline(1), false)
  await send(app, sent, sent + 5)
  await healthy.until(() => numbersOf(healthy).length === sent + 5, 'the last event')
  assert.deepEqual(numbersOf(healthy), upTo(sent + 5))
  slow.go()
  await slow.ended()
  const again = await app.connect(ANN, `lastEventId=${slow.cursor}`)
  assert.equal(again.finish['recovered'], true)
  await again.until(() => numbersOf(again).at(-1) === sent + 4, 'the rest')
  assert.ok(numbersOf(again).length > 5)
  assert.deepEqual([...numbersOf(slow), ...numbersOf(again)], upTo(sent + 5))
})

test('a page that reads again in time is told why it was let go', async (t) => {
  const app = await serve(t, { bufferLimit: 1_000_000 })
  const left = hearing(app)
  const slow = await app.connect(ANN)
  slow.stall()
  for (let sent = 0; left.length === 0 && sent < 2000; sent++) await send(app, sent, sent + 1)
  slow.go()
  await slow.ended()
  assert.deepEqual(JSON.parse(slow.dataOf('connect-close')[0] ?? '{}'), {
    connectionId: slow.id,
    reason: 'slow-reader',
    reconnect: true,
  })
  assert.equal(slow.names.at(-1), 'connect-close')
})

test('a page that reads survives a burst of 100,000 small events in one turn, and gets them all', async (t) => {
  const app = await serve(t)
  const left = hearing(app)
  const stream = await app.connect(ANN)
  const sending = upTo(100_000).map((n) => app.sse.sendAll('n', n))
  assert.ok((await Promise.all(sending)).every((count) => count === 1))
  await stream.until(() => stream.events.length > 100_000, 'all events')
  assert.deepEqual(numbersOf(stream), upTo(100_000))
  assert.deepEqual(left, [])
})

test('an event that is larger than what may wait comes all the same: by coming back', async (t) => {
  const app = await serve(t, { bufferLimit: 1000 })
  const stream = await app.connect(ANN)
  await app.sse.sendAll('n', '0 small')
  await app.sse.sendAll('n', `1 ${BIG}`)
  await app.sse.sendAll('n', '2 small')
  await stream.ended()
  const again = await app.connect(ANN, `lastEventId=${stream.cursor}`)
  await again.until(() => numbersOf(again).at(-1) === 2, 'the last event')
  assert.deepEqual([...numbersOf(stream), ...numbersOf(again)], [0, 1, 2])
})

test('a catch-up far larger than what may wait comes as fast as the page reads it, then what is live', async (t) => {
  const app = await serve(t, { store: roomy(), bufferLimit: 50_000 })
  const left = hearing(app)
  const before = await app.connect(ANN)
  before.leave()
  await until(async () => (await app.sse.getConnectionCount()) === 0, 'the connection to be gone')
  await send(app, 0, 300)
  const after = await app.connect(ANN, `lastEventId=${before.cursor}`)
  after.stall()
  assert.equal(after.finish['replayed'], 300)
  await send(app, 300, 400, '')
  assert.ok(numbersOf(after).length < 300)
  // Read in bits: what is read lets more be made.
  for (let count = 50; count <= 400; count += 50) {
    after.go()
    await after.until(() => numbersOf(after).length >= count, `event ${count}`)
    after.stall()
  }
  after.go()
  await send(app, 400, 410, '')
  await after.until(() => numbersOf(after).at(-1) === 409, 'the last event')
  assert.deepEqual(numbersOf(after), upTo(410))
  assert.equal(after.isEnded, false)
  assert.ok(!left.some((line) => line.includes('slow-reader')), String(left))
})

test('a page that does not even read its catch-up is let go when too much is live behind it, and loses nothing', async (t) => {
  const app = await serve(t, { store: roomy(), bufferLimit: 50_000 })
  const left = hearing(app)
  const before = await app.connect(ANN)
  before.leave()
  await until(() => left.length === 1, 'the connection to be gone')
  await send(app, 0, 300)
  const slow = await app.connect(ANN, `lastEventId=${before.cursor}`)
  slow.stall()
  await send(app, 300, 400, 'x'.repeat(1000))
  assert.equal(left.at(-1), `${slow.id} slow-reader`)
  slow.go()
  await slow.ended()
  const again = await app.connect(ANN, `lastEventId=${slow.cursor}`)
  await again.until(() => numbersOf(again).at(-1) === 399, 'the last event')
  assert.deepEqual([...numbersOf(slow), ...numbersOf(again)], upTo(400))
})

test('with the defaults, a page that was let go finds all that it missed', async (t) => {
  for (const [size, step] of [
    [100_000, 1],
    [100, 1000],
  ] as const) {
    const app = await serve(t)
    const left = hearing(app)
    const slow = await app.connect(ANN)
    slow.stall()
    let sent = 0
    for (; left.length === 0; sent += step) await send(app, sent, sent + step, 'x'.repeat(size))
    slow.go()
    await slow.ended()
    const again = await app.connect(ANN, `lastEventId=${slow.cursor}`)
    assert.equal(again.finish['recovered'], true, `events of ${size}`)
    await again.until(() => numbersOf(again).at(-1) === sent - 1, 'the rest')
    assert.deepEqual([...numbersOf(slow), ...numbersOf(again)], upTo(sent))
  }
})

test('a page that reads gets many megabytes that are sent without a pause', async (t) => {
  const app = await serve(t)
  const left = hearing(app)
  const healthy = await app.connect(ANN)
  await send(app, 0, 3000, 'x'.repeat(10_000))
  await healthy.until(() => numbersOf(healthy).length === 3000, 'all')
  assert.deepEqual(numbersOf(healthy), upTo(3000))
  assert.deepEqual(left, [])
})
