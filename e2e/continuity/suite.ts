import assert from 'node:assert/strict'
import { after, before, describe, it, type TestContext } from 'node:test'
import type { Page } from 'playwright'
import type { StateChange } from 'tabwire'
import { createPublisher } from 'tabwire/server'
import { redisStore } from 'tabwire/stores/redis'
import { startRedis } from '../../scripts/redis-server.mjs'
import {
  type Browser,
  startBrowser,
  startNginx,
  startProxy,
  startServer,
  startServerProcess,
  until,
} from '../harness'

/** ms from one event to the next. */
const PERIOD = 20

const numbers = (from: number, to: number): number[] =>
  Array.from({ length: to - from }, (_, index) => from + index)
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** What the page has got so far, in the order in which it came. */
const received = (page: Page): Promise<number[]> =>
  page.evaluate(() => window.came.filter(({ type }) => type === 'test').map(({ data }) => Number(data)))

const countOf = (page: Page, name: string): Promise<number> =>
  page.evaluate((type) => window.came.filter((event) => event.type === type).length, name)

/** How often the page left a stream because nothing came. */
const silences = (page: Page): Promise<number> =>
  page.evaluate(() => {
    const changes = window.came
      .filter(({ type }) => type === 'sse-state')
      .map(({ data }) => data as StateChange)
    return changes.filter(({ reason, newState }) => reason === 'silent' && newState === 2).length
  })

const isOpen = (page: Page): Promise<boolean> => page.evaluate(() => window.sse?.state === 1)

/** Sends the numbers at an even pace. */
async function push(send: (n: number) => Promise<unknown>, from: number, to: number): Promise<void> {
  const started = Date.now()
  for (let n = from; n < to; n++) {
    await send(n)
    await pause(started + (n - from + 1) * PERIOD - Date.now())
  }
}

/** Each event once, in order, and no word of a gap. */
async function assertWhole(page: Page, t: TestContext, count: number): Promise<void> {
  await until(async () => (await received(page)).at(-1) === count - 1, 'the last event', 30_000)
  assert.deepEqual(await received(page), numbers(0, count))
  assert.equal(await countOf(page, 'sse-gap'), 0)
  const replayed = await page.evaluate(
    () => window.came.filter((event) => event.type === 'test' && event.replayed).length,
  )
  const streams = await countOf(page, 'connect-finish')
  t.diagnostic(`${count} of ${count} in order, ${replayed} of them caught up on, over ${streams} streams`)
}

/** @param events how many of them a page is to get; the faults meanwhile are as close together in a long run as in a short one */
export function continuity(events: number): void {
  /** How often in this run. */
  const timesOf = (perThousand: number): number => Math.ceil((perThousand * events) / 1000)

  describe(`of ${events} events, one per ${PERIOD} ms, a page misses nothing`, () => {
    let browser: Browser
    before(async () => {
      browser = await startBrowser()
    })
    after(() => browser.close())

    async function open(t: TestContext, url: string): Promise<Page> {
      const page = await browser.newPage(url)
      t.after(() => page.close())
      await until(() => isOpen(page), 'the page to be connected', 30_000)
      return page
    }

    async function hideAndShow(page: Page, times: number): Promise<void> {
      const whole = events * PERIOD * 0.9
      for (let n = 0; n < times; n++) {
        await pause(whole / times / 2)
        await browser.hide(page)
        await pause(whole / times / 2)
        await browser.show(page)
      }
    }

    it('while its tab is hidden and shown again and again', async (t) => {
      const server = await startServer()
      t.after(() => server.close())
      const page = await open(t, server.page(1))
      await Promise.all([
        push((n) => server.sse.sendByUserId(1, 'test', n), 0, events),
        hideAndShow(page, timesOf(10)),
      ])
      await assertWhole(page, t, events)
    })

    it('while the line is cut at a random byte again and again', async (t) => {
      const server = await startServer()
      t.after(() => server.close())
      const proxy = await startProxy(server.port)
      t.after(() => proxy.close())
      const page = await open(t, proxy.page(1, { reconnectTime: 100 }))
      const times = timesOf(50)
      let cuts = 0
      const cutAll = async (): Promise<void> => {
        for (; cuts < times; cuts++) {
          const before = server.count('/connect')
          proxy.cutAfter(Math.floor(Math.random() * 1000), { streams: true })
          await until(() => server.count('/connect') > before, 'the page to dial anew')
        }
      }
      let n = 0
      const send = (): Promise<number> => server.sse.sendByUserId(1, 'test', n++)
      await Promise.all([push(send, 0, events), cutAll()])
      assert.equal(cuts, times)
      await assertWhole(page, t, events)
    })

    it('while the line is silently dead now and then: it notices by itself', async (t) => {
      const heartbeatInterval = 400
      const server = await startServer(() => ({ heartbeatInterval }))
      t.after(() => server.close())
      const proxy = await startProxy(server.port)
      t.after(() => proxy.close())
      const page = await open(t, proxy.page(1, { reconnectTime: 100 }))
      const noticed: number[] = []
      const stallOften = async (): Promise<void> => {
        for (let n = 0; n < timesOf(5); n++) {
          await pause(1000)
          const stalledAt = Date.now()
          proxy.stall('down')
          await until(async () => (await silences(page)) > n, 'the page to notice')
          noticed.push(Date.now() - stalledAt)
          proxy.resume()
          proxy.cut()
          await until(() => isOpen(page), 'the page to be back')
        }
      }
      await Promise.all([push((n) => server.sse.sendByUserId(1, 'test', n), 0, events), stallOften()])
      t.diagnostic(`noticed after ${noticed.join(', ')} ms, at a heartbeat of ${heartbeatInterval} ms`)
      await assertWhole(page, t, events)
    })

    it('behind nginx with HTTP/2, while its tab is hidden and shown', async (t) => {
      const server = await startServer()
      t.after(() => server.close())
      const nginx = await startNginx({ targetPort: server.port, http2: true })
      t.after(() => nginx.close())
      const page = await open(t, nginx.page(1))
      await Promise.all([
        push((n) => server.sse.sendByUserId(1, 'test', n), 0, events),
        hideAndShow(page, timesOf(5)),
      ])
      await assertWhole(page, t, events)
    })

    it('behind nginx with HTTP/2 and three nodes in turn, while its tab is hidden and shown', async (t) => {
      const redis = await startRedis()
      const stores = Array.from({ length: 4 }, () => redisStore(redis.url))
      const [own, ...ofNodes] = stores
      assert.ok(own)
      const nodes = await Promise.all(ofNodes.map((store) => startServer(() => ({ store }))))
      const publisher = createPublisher({ name: 'test', store: own })
      t.after(async () => {
        await Promise.all([...nodes, publisher].map((each) => each.close()))
        for (const store of stores) store.close()
        await redis.close()
      })
      const nginx = await startNginx({ targetPort: nodes.map(({ port }) => port), http2: true })
      t.after(() => nginx.close())
      const page = await open(t, nginx.page(1))
      await Promise.all([
        push((n) => publisher.sendByUserId(1, 'test', n), 0, events),
        hideAndShow(page, timesOf(10)),
      ])
      await assertWhole(page, t, events)
      const streams = nodes.map((node) => node.count('/connect'))
      t.diagnostic(`streams at the nodes: ${streams.join(', ')}`)
      assert.ok(streams.filter((count) => count > 0).length > 1, 'it came to several nodes')
    })

    it('behind nginx that holds every answer back until it is complete: it polls', async (t) => {
      const server = await startServer()
      t.after(() => server.close())
      const nginx = await startNginx({ targetPort: server.port, buffering: true })
      t.after(() => nginx.close())
      const page = await open(t, nginx.page(1))
      await Promise.all([
        push((n) => server.sse.sendByUserId(1, 'test', n), 0, events),
        hideAndShow(page, timesOf(3)),
      ])
      await assertWhole(page, t, events)
      const response = await page.evaluate(() =>
        window.sse.send('still', { there: true }).then((r) => r.status),
      )
      assert.equal(response, 200)
      const polls = server.requests.filter(({ query }) => query['mode'] === 'poll').length
      t.diagnostic(`${polls} polls`)
      assert.ok(polls > 0)
    })

    it('and has the first of them about as soon as a bare EventSource has its own', async (t) => {
      const server = await startServer()
      t.after(() => server.close())
      server.app.get('/plain', (_req, res) => {
        res.set('Content-Type', 'text/event-stream').write('data: first\n\n')
      })
      const page = await open(t, server.page(1))
      await page.evaluate(() => {
        const times: { own: number[]; bare: number[] } = { own: [], bare: [] }
        let source: EventSource | undefined
        let shownAt = 0
        document.addEventListener(
          'visibilitychange',
          () => {
            source?.close()
            if (document.visibilityState === 'hidden') return
            shownAt = performance.now()
            source = new EventSource('/plain')
            source.onmessage = () => times.bare.push(performance.now() - shownAt)
          },
          // Before the client hears of it: the bare one has the start.
          { capture: true },
        )
        window.sse.on('test', () => times.own.push(performance.now() - shownAt))
        Object.assign(window, { times })
      })
      const take = (): Promise<{ own: number[]; bare: number[] }> =>
        page.evaluate(() => Reflect.get(window, 'times'))
      const times = timesOf(20)
      for (let n = 0; n < times; n++) {
        await browser.hide(page)
        await until(async () => !(await server.sse.isOnline(1)), 'the server to know')
        await server.sse.sendByUserId(1, 'test', n)
        await browser.show(page)
        await until(async () => {
          const { own, bare } = await take()
          return own.length > n && bare.length > n
        }, 'both to have an event')
      }
      const { own, bare } = await take()
      const median = (list: number[]): string => (list.sort((a, b) => a - b)[times >> 1] ?? 0).toFixed(1)
      t.diagnostic(
        `visible to the first event, medians of ${times}: ${median(own)} ms, bare EventSource ${median(bare)} ms`,
      )
      assert.deepEqual(await received(page), numbers(0, times))
    })

    it('or is told so, when the server was killed and has forgotten everything', async (t) => {
      const server = await startServerProcess()
      t.after(() => server.close())
      const page = await open(t, server.page(1, { reconnectTime: 100 }))
      const half = events / 5
      let isUp = true
      const send = async (n: number): Promise<void> => {
        if (isUp) await server.call('sendByUserId', 1, 'test', n)
      }
      await push(send, 0, half)
      await until(async () => (await received(page)).length === half, 'the events before')
      isUp = false
      await server.kill()
      await server.restart()
      isUp = true
      await push(send, half, 2 * half)
      // What was sent before it is back is behind the gap.
      await until(() => isOpen(page), 'the page to be back')
      await send(2 * half)
      await until(async () => (await received(page)).at(-1) === 2 * half, 'the last event')
      assert.equal(await countOf(page, 'sse-gap'), 1)
      const order = await page.evaluate(() =>
        window.came
          .filter(({ type }) => type === 'sse-gap' || type === 'test')
          .map(({ type, data }) => [type, data]),
      )
      const gap = order.findIndex(([type]) => type === 'sse-gap')
      assert.deepEqual(JSON.parse(String(order[gap]?.[1])), { reason: 'epoch' })
      const after = order.slice(gap + 1).map(([, data]) => Number(data))
      assert.deepEqual(
        order.slice(0, gap).map(([, data]) => Number(data)),
        numbers(0, half),
      )
      assert.deepEqual(after, numbers(after[0] ?? 0, 2 * half + 1), 'all from the gap on')
    })
  })
}
