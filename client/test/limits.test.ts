import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { SseEvent } from '../index'
import type { SseOptions } from '../options'
import { FakePage, json, type SeenRequest, settle, watch } from './fake'
import { answer, FakeInbox } from './fake-inbox'

const isMessage = ({ path }: SeenRequest): boolean => path.includes('/message/')
const HOUR = 3_600_000

async function start(options: Partial<SseOptions> = {}, visibility: 'visible' | 'hidden' = 'visible') {
  const page = new FakePage()
  page.visibility = visibility
  const inbox = new FakeInbox(page)
  const heard: unknown[] = []
  const onOutbox = ({ data }: SseEvent<unknown>): void => void heard.push(data)
  const sse = await page.createOpen({ eventListeners: { 'sse-outbox': onOutbox as never }, ...options })
  return { page, inbox, sse, heard }
}
function form(size: number): FormData {
  const data = new FormData()
  data.set('file', new Blob([new Uint8Array(size)]), 'f')
  return data
}

describe('what may wait', () => {
  it('are maxQueued requests, messages and uploads together; one that is settled makes room', async () => {
    const { page, inbox, sse } = await start({ maxQueued: 3 }, 'hidden')
    const controller = new AbortController()
    const sent = [
      sse.send('x', { n: 0 }),
      sse.upload('x', form(1), {}, {}, { signal: controller.signal }),
      sse.send('x', { n: 2 }),
      sse.send('x', { n: 3 }),
      sse.upload('y', form(1)),
    ].map(watch)
    await settle()
    assert.deepEqual(
      sent.map(({ error }) => error?.name),
      [undefined, undefined, undefined, 'OutboxFullError', 'OutboxFullError'],
    )
    assert.match(String(sent[3]?.error?.message), /maxQueued/)
    controller.abort()
    sent.push(watch(sse.send('x', { n: 5 })))
    await page.show()
    assert.deepEqual(inbox.numbers, [0, 2, 5])
    for (const n of [6, 7, 8]) assert.equal((await sse.send('x', { n })).status, 200)
  })

  it('listening does not fail because much waits, and takes nobody’s place', async () => {
    const { page, sse } = await start({ maxQueued: 2 })
    page.server.behaviour = (request) => (request.path.endsWith('/connect') ? null : new Promise(() => {}))
    const told = [1, 2, 3].map((n) => watch(sse.addListener(`bell${n}`, () => {})))
    const sent = [1, 2].map((n) => watch(sse.send('x', { n })))
    await settle()
    for (const { state } of [...told, ...sent]) assert.equal(state, 'pending')
  })

  it('are maxQueuedBytes of bodies: text as UTF-8, and files; one that is settled makes room', async () => {
    const { page, sse } = await start({ maxQueuedBytes: 100 })
    page.server.behaviour = (request) => (request.path.endsWith('/connect') ? null : new Promise(() => {}))
    const controller = new AbortController()
    const { signal } = controller
    const sent = [
      sse.send('a', 'ä'.repeat(20), {}, {}, { signal }),
      sse.upload('b', form(50)),
      sse.send('c', 'x'.repeat(9)),
      sse.upload('d', form(9)),
    ].map(watch)
    await settle()
    assert.deepEqual(
      sent.map(({ error }) => error?.name),
      [undefined, undefined, 'OutboxFullError', undefined].map((name, n) =>
        n === 3 ? sent[3]?.error?.name : name,
      ),
    )
    assert.match(String(sent[2]?.error?.message), /maxQueuedBytes/)
    controller.abort()
    const later = watch(sse.send('c', 'x'.repeat(30)))
    await settle()
    assert.equal(later.state, 'pending')
  })

  it('bytes that were answered count no more, also when hundreds were', async () => {
    const { sse } = await start({ maxQueuedBytes: 100 })
    for (let n = 0; n < 20; n++) {
      const sent = [sse.send('x', 'x'.repeat(40)), sse.send('x', 'x'.repeat(40))]
      for (const { status } of await Promise.all(sent)) assert.equal(status, 200)
    }
    await assert.rejects(sse.send('x', 'x'.repeat(99)), { name: 'OutboxFullError' })
  })

  for (const visibility of ['visible', 'hidden'] as const)
    it(`waits for maxQueuedAge and no longer, without a timeout of its own: ${visibility}`, async () => {
      const { page, sse } = await start({ maxQueuedAge: HOUR }, visibility)
      if (visibility === 'visible') await sse.send('x')
      page.server.behaviour = (request) =>
        request.path.endsWith('/connect') ? null : json({}, 503, { 'Retry-After': '1000' })
      const first = watch(sse.send('x'))
      await page.tick(HOUR / 2)
      const second = watch(sse.send('y'))
      const short = watch(sse.send('z', {}, {}, {}, { timeout: 1000 }))
      const long = watch(sse.send('z', {}, {}, {}, { timeout: 5 * HOUR }))
      await page.tick(HOUR / 2 - 1)
      assert.equal(first.state, 'pending')
      assert.equal(short.error?.name, 'ExpiredError')
      await page.tick(1)
      assert.equal(first.error?.name, 'ExpiredError')
      assert.equal(second.state, 'pending')
      await page.tick(HOUR / 2)
      assert.equal(second.error?.name, 'ExpiredError')
      assert.equal(long.error?.name, 'ExpiredError')
    })

  it('does not go out after its time, although the timers stood still while the machine slept', async () => {
    const { page, inbox, sse } = await start({ maxQueuedAge: HOUR })
    await sse.send('x', { n: 0 })
    await page.hide()
    const old = watch(sse.send('x', { n: 1 }))
    await settle()
    page.clock.setSystemTime(page.clock.now + 72 * HOUR)
    const young = watch(sse.send('x', { n: 2 }))
    await page.show()
    await page.tick(1)
    assert.equal(old.error?.name, 'ExpiredError')
    assert.equal(young.value?.status, 200)
    assert.deepEqual(inbox.numbers, [0, 2])
  })

  it('is tried maxAttempts times: then the last answer is the answer', async () => {
    const { page, sse, heard } = await start({ maxAttempts: 3 })
    let n = 0
    page.server.behaviour = (request) => (isMessage(request) ? json({ n: ++n }, 503) : null)
    const sent = watch(sse.send('x'))
    await page.tick(60_000)
    assert.equal(sent.value?.status, 503)
    assert.deepEqual(await sent.value.json(), { n: 3 })
    assert.deepEqual(
      heard.map((change) => (change as { status: number }).status),
      [503],
    )
  })

  it('is tried maxAttempts times: without any answer it is rejected, with the cause', async () => {
    const { page, inbox, sse } = await start({ maxAttempts: 2 })
    page.server.behaviour = (request) => {
      if (String(request.body).includes('bad')) throw new TypeError('blocked')
      return inbox.take(request)
    }
    const bad = watch(sse.send('x', 'bad'))
    const next = watch(sse.send('x', { n: 1 }))
    await page.tick(60_000)
    assert.equal(bad.error?.name, 'ExpiredError')
    assert.match(String(bad.error?.cause), /blocked/)
    assert.equal(next.value?.status, 200)
    assert.deepEqual(inbox.numbers, [1])
    assert.equal(page.server.posts('.do').length, 3)
  })

  it('is not tried in vain while there is no connection, however long', async () => {
    const { page, sse } = await start({ maxAttempts: 2 })
    await sse.send('x')
    page.server.isDown = true
    page.server.stream.fail()
    const sent = watch(sse.send('x'))
    await page.tick(HOUR)
    page.server.isDown = false
    await page.tick(60_000)
    assert.equal(sent.value?.status, 200)
  })
})

describe('clearOutbox()', () => {
  it('rejects what waits and what is under way, and nothing that is sent after it', async () => {
    const { page, inbox, sse, heard } = await start()
    inbox.handler = () => new Promise((resolve) => page.clock.setTimeout(() => resolve(answer(null)), 100))
    const sent = [0, 1, 2].map((n) => watch(sse.send('x', { n }, {}, {}, { key: `k${n}` })))
    sent.push(watch(sse.upload('y', form(1), {}, {}, { key: 'k3' })))
    await settle()
    const cleared = watch(sse.clearOutbox())
    const after = watch(sse.send('x', { n: 9 }, {}, {}, { key: 'k9' }))
    await settle()
    assert.equal(cleared.state, 'resolved')
    assert.ok(sent.every(({ error }) => error?.name === 'AbortError'))
    await page.tick(1000)
    assert.equal(after.value?.status, 200)
    assert.deepEqual(
      heard.map((change) => (change as { key: string; type: string }).key),
      ['k0', 'k1', 'k2', 'k3', 'k9'],
    )
  })

  it('does not take back what the page listens to', async () => {
    const { page, sse } = await start()
    await sse.send('x')
    sse.on('bell', () => {})
    const told = watch(sse.addListener('chime', () => {}))
    void sse.clearOutbox()
    await settle()
    assert.equal(told.value?.status, 200)
    assert.deepEqual(
      page.server.posts('addListener').map(({ body }) => JSON.parse(String(body)).listener),
      [['bell'], ['chime']],
    )
  })

  it('rejects also what was sent before the first connection', async () => {
    const { page, inbox, sse } = await start({}, 'hidden')
    const sent = watch(sse.send('x'))
    await sse.clearOutbox()
    assert.equal(sent.error?.name, 'AbortError')
    await page.show()
    assert.equal(inbox.calls.length, 0)
  })
})

describe('pending()', () => {
  it('tells what is not answered yet: key, path, and the answer to come', async () => {
    const { page, inbox, sse } = await start()
    await sse.send('x')
    await page.hide()
    const own = [
      sse.send('a/b', { n: 1 }, {}, {}, { key: 'k1' }),
      sse.upload('ä', form(1), {}, {}, { key: 'k2' }),
    ]
    void sse.addListener('bell', () => {})
    const pending = await sse.pending()
    assert.deepEqual(
      pending.map(({ key, path }) => [key, path]),
      [
        ['k1', 'a/b'],
        ['k2', 'ä'],
      ],
    )
    const twice = await sse.pending()
    await page.show()
    for (const [n, response] of own.entries()) {
      const texts = [await response, await pending[n]?.response, await twice[n]?.response].map((one) =>
        one?.json(),
      )
      const [first, ...others] = await Promise.all(texts)
      for (const other of others) assert.deepEqual(other, first)
    }
    assert.equal(inbox.calls.length, 3)
    assert.deepEqual(await sse.pending(), [])
  })

  it('rejects its promise as that of the request: taken back, expired, destroyed', async () => {
    const { page, sse } = await start()
    await sse.send('x')
    page.server.behaviour = (request) => (request.path.endsWith('/connect') ? null : new Promise(() => {}))
    const controller = new AbortController()
    const { signal } = controller
    for (const options of [{ signal }, { timeout: 1000 }, {}])
      sse.send('x', {}, {}, {}, options).catch(() => {})
    const pending = (await sse.pending()).map(({ response }) => watch(response))
    controller.abort()
    await page.tick(1000)
    sse.destroy()
    await settle()
    assert.deepEqual(
      pending.map(({ error }) => error?.name),
      ['AbortError', 'ExpiredError', 'DestroyedError'],
    )
    assert.deepEqual(await sse.pending(), [])
  })
})

describe('sse-outbox', () => {
  it('tells what became of each message and upload, not of listeners', async () => {
    const { page, inbox, sse, heard } = await start({}, 'hidden')
    inbox.handler = ({ path }) => answer(null, path === 'b' ? 409 : 200)
    const controller = new AbortController()
    controller.abort()
    const outcomes = [
      sse.send('a', {}, {}, {}, { key: 'k1' }),
      sse.send('b', {}, {}, {}, { key: 'k2', lane: 'a' }),
      sse.upload('c', form(1), {}, {}, { key: 'k3', lane: 'a' }),
    ].map(watch)
    void sse.addListener('bell', () => {})
    await page.show()
    assert.ok(outcomes.every(({ state }) => state === 'resolved'))
    page.server.behaviour = (request) => (request.path.endsWith('/connect') ? null : new Promise(() => {}))
    const late = watch(sse.send('d', {}, {}, {}, { key: 'k4', timeout: 10 }))
    await page.tick(10)
    assert.equal(late.state, 'rejected')
    assert.deepEqual(heard, [
      { type: 'answered', key: 'k1', path: 'a', status: 200 },
      { type: 'answered', key: 'k2', path: 'b', status: 409 },
      { type: 'answered', key: 'k3', path: 'c', status: 200 },
      { type: 'rejected', key: 'k4', path: 'd', reason: 'ExpiredError' },
    ])
  })

  it('tells it after the fact: who hears of an answer may send, clear or destroy', async () => {
    for (const act of ['clearOutbox', 'destroy', 'flush', 'connect', 'close'] as const) {
      const { page, inbox, sse } = await start({}, 'hidden')
      sse.on('sse-outbox', () => void sse[act]())
      const sent = [0, 1, 2, 3].map((n) => watch(sse.send(`p${n % 2}`, { n })))
      await page.show()
      await page.tick(1)
      if (act === 'close') sse.connect()
      await page.tick(60_000)
      assert.ok(
        sent.every(({ state }) => state !== 'pending'),
        act,
      )
      assert.equal(new Set(inbox.numbers).size, inbox.numbers.length, act)
      sse.destroy()
      await settle()
      assert.equal(page.clock.countTimers(), 0, act)
      assert.equal(page.listenerCount, 0, act)
    }
  })
})

describe('destroy()', () => {
  it('rejects what waits, what is under way and what waits after a failure, and leaves nothing', async () => {
    const { page, sse } = await start()
    page.server.behaviour = (request) => {
      if (request.path.endsWith('/connect')) return null
      return request.path.includes('fail') ? json({}, 500) : new Promise(() => {})
    }
    const sent = ['fail', 'fail', 'hang', 'hang'].map((path) => watch(sse.send(path)))
    sent.push(watch(sse.upload('hang2', form(1))))
    await settle()
    sse.destroy()
    await settle()
    assert.ok(sent.every(({ error }) => error?.name === 'DestroyedError'))
    assert.equal(page.clock.countTimers(), 0)
    assert.equal(page.listenerCount, 0)
    assert.equal(page.server.openRequests, 0)
    sse.flush()
    sse.connect()
    await sse.clearOutbox()
    assert.deepEqual(await sse.pending(), [])
    assert.equal(page.clock.countTimers(), 0)
  })
})
