import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import Sse from '../index'
import createOutbox from '../outbox'
import type { OutboxModule } from '../part'
import { BASE, FakePage, json, settle, watch } from './fake'

const numbers = (page: FakePage): unknown[] =>
  page.server.posts('/message/').map(({ body }) => JSON.parse(String(body)).n)

/** A client whose part is loaded as the test says; and from where it was asked for. */
function lazy(page: FakePage, load: (times: number) => Promise<OutboxModule>) {
  const addresses: string[] = []
  const sse = new Sse({ url: BASE }, page.env, (address) => load(addresses.push(address)))
  return { sse, addresses }
}
const never = (): Promise<OutboxModule> => new Promise(() => {})
const broken = (): Promise<OutboxModule> => Promise.reject(new TypeError('Failed to fetch'))
const there = async (): Promise<OutboxModule> => ({ default: createOutbox })

describe('the part that sends', () => {
  it('is not loaded for a page that only listens', async () => {
    const page = new FakePage()
    const { addresses } = lazy(page, there)
    await page.tick(60_000)
    assert.deepEqual(addresses, [])
  })

  it('is loaded once, where connect-finish says; what was sent before goes out in order', async () => {
    const page = new FakePage()
    let arrive = (_: OutboxModule): void => {}
    const { sse, addresses } = lazy(page, () => new Promise((resolve) => (arrive = resolve)))
    const sent = [0, 1, 2].map((n) => watch(sse.send('x', { n })))
    await settle()
    sent.push(watch(sse.send('x', { n: 3 })))
    assert.deepEqual(numbers(page), [])
    arrive({ default: createOutbox })
    await settle()
    sent.push(watch(sse.send('x', { n: 4 })))
    await settle()
    assert.ok(sent.every(({ state }) => state === 'resolved'))
    assert.deepEqual(numbers(page), [0, 1, 2, 3, 4])
    assert.deepEqual(addresses, [`http://localhost${BASE}/outbox.js?v=9&t=0`])
  })

  it('may fail to load twice: nothing is lost, and each try has another address', async () => {
    const page = new FakePage()
    const { sse, addresses } = lazy(page, (times) => (times < 3 ? broken() : there()))
    const sent = [0, 1].map((n) => watch(sse.send('x', { n })))
    await page.tick(10_000)
    assert.ok(sent.every(({ state }) => state === 'resolved'))
    assert.deepEqual(numbers(page), [0, 1])
    assert.equal(new Set(addresses).size, 3)
  })

  it('that is slow is waited for, however often somebody flushes meanwhile', async () => {
    const page = new FakePage()
    // As a browser does it: what is asked for again while it loads is the same module.
    const modules = new Map<string, Promise<OutboxModule>>()
    const load = (address: string): Promise<OutboxModule> => {
      const slow = (): Promise<OutboxModule> =>
        new Promise((resolve) => page.clock.setTimeout(() => resolve({ default: createOutbox }), 1500))
      const module = modules.get(address) ?? slow()
      modules.set(address, module)
      return module
    }
    const sse = new Sse({ url: BASE }, page.env, load)
    const sent = watch(sse.send('x', { n: 0 }))
    await settle()
    for (let n = 0; n < 4; n++) {
      await page.tick(500)
      sse.flush()
      await settle()
    }
    assert.equal(sent.state, 'resolved')
    assert.equal(modules.size, 1)
    assert.deepEqual(numbers(page), [0])
  })

  it('that hangs is loaded anew with the next connection', async () => {
    const page = new FakePage()
    const { sse, addresses } = lazy(page, (times) => (times < 2 ? never() : there()))
    const sent = watch(sse.send('x', { n: 0 }))
    await settle()
    page.server.stream.fail()
    await page.tick(10_000)
    assert.equal(sent.state, 'resolved')
    assert.equal(addresses.length, 2)
  })

  for (const [what, load] of [
    ['is being loaded', never],
    ['is not to be had', broken],
  ] as const)
    it(`keeps no promise waiting while it ${what}: abort, timeout and destroy() settle it and leave nothing`, async () => {
      const page = new FakePage()
      const { sse } = lazy(page, load)
      const controller = new AbortController()
      const aborted = watch(sse.send('x', {}, {}, {}, { signal: controller.signal }))
      const expired = watch(sse.send('x', {}, {}, {}, { timeout: 5000 }))
      const destroyed = watch(sse.send('x'))
      await settle()
      controller.abort('why')
      await page.tick(5000)
      assert.equal(aborted.error?.name, 'AbortError')
      assert.equal(aborted.error?.cause, 'why')
      assert.equal(expired.error?.name, 'ExpiredError')
      assert.equal(destroyed.state, 'pending')
      sse.destroy()
      await settle()
      assert.equal(destroyed.error?.name, 'DestroyedError')
      assert.equal(page.clock.countTimers(), 0)
      assert.equal(page.listenerCount, 0)
      assert.equal(page.server.openRequests, 0)
    })

  it('that arrives after destroy() does nothing', async () => {
    const page = new FakePage()
    let arrive = (_: OutboxModule): void => {}
    const { sse } = lazy(page, () => new Promise((resolve) => (arrive = resolve)))
    const sent = watch(sse.send('x'))
    await settle()
    sse.destroy()
    arrive({ default: createOutbox })
    await settle()
    assert.equal(sent.error?.name, 'DestroyedError')
    assert.equal(page.clock.countTimers(), 0)
    assert.equal(page.listenerCount, 0)
  })
})

describe('a server that announces no part', () => {
  function original() {
    const page = new FakePage()
    page.server.finish = {}
    return page
  }

  it('gets messages one at a time and in order, also after a broken line', async () => {
    const page = original()
    const { sse, addresses } = lazy(page, there)
    const sent = [0, 1, 2].map((n) => watch(sse.send('x', { n })))
    await settle()
    page.server.isDown = true
    page.server.stream.fail()
    await settle()
    for (const n of [3, 4]) sent.push(watch(sse.send('x', { n })))
    await page.tick(20_000)
    page.server.isDown = false
    await page.tick(60_000)
    assert.ok(sent.every(({ state }) => state === 'resolved'))
    assert.deepEqual(numbers(page), [0, 1, 2, 3, 4])
    assert.deepEqual(addresses, [])
  })

  it('is tried again when the network fails, and with the new connection when it knows the old one no more', async () => {
    const page = original()
    const sse = await page.createOpen()
    let failures = 1
    page.server.behaviour = (request) => {
      if (!request.path.includes('/message/')) return null
      if (failures-- > 0) throw new TypeError('Failed to fetch')
      if (request.query.get('connectionId') !== 'c1') return null
      return json({}, 404, { 'X-Sse-Error': 'unknown-connection' })
    }
    const sent = [0, 1].map((n) => watch(sse.send('x', { n })))
    await page.tick(30_000)
    assert.ok(sent.every(({ value }) => value?.status === 200))
    assert.deepEqual(numbers(page), [0, 0, 0, 1])
  })

  it('has the last word with any answer; what is taken back lets the next go', async () => {
    const page = original()
    const sse = await page.createOpen()
    page.server.behaviour = (request) => (request.path.includes('bad') ? json({}, 500) : null)
    assert.equal((await sse.send('bad')).status, 500)
    page.server.behaviour = (request) =>
      request.path.includes('slow') ? new Promise<Response>(() => {}) : null
    const controller = new AbortController()
    const slow = watch(sse.send('slow', {}, {}, {}, { signal: controller.signal }))
    const next = watch(sse.send('x'))
    await settle()
    assert.equal(next.state, 'pending')
    controller.abort()
    await settle()
    assert.equal(slow.error?.name, 'AbortError')
    assert.equal(next.value?.status, 200)
  })
})
