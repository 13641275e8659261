import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { SseOptions } from '../options'
import { FakePage, json, settle, watch } from './fake'
import { answer, FakeInbox } from './fake-inbox'

const never = (): Promise<never> => new Promise(() => {})
/** Of a batch, what it brings. */
const entriesOf = ({ body }: RequestInit = {}): { key: string; path: string; body: { n: number } }[] =>
  JSON.parse(String(body)).entries

/** A page whose requests are under way; and what leaves with `keepalive`. */
async function busy(options: Partial<SseOptions> = {}) {
  const page = new FakePage()
  const inbox = new FakeInbox(page)
  const log: string[] = []
  const kept: RequestInit[] = []
  const { fetch, navigator } = page.env
  const env = Object.assign(page.env, {
    fetch: (url: string, init: RequestInit) => {
      if (init.keepalive && url.includes('/batch')) {
        log.push('keepalive')
        kept.push(init)
      }
      return fetch(url, init)
    },
  })
  const { sendBeacon } = navigator
  Object.defineProperty(env.navigator, 'sendBeacon', {
    value: (url: string, body: URLSearchParams) => {
      log.push('goodbye')
      return sendBeacon(url, body)
    },
  })
  const sse = await page.createOpen(options)
  await sse.send('first')
  /** Nothing is answered but a batch that leaves last. */
  page.server.behaviour = (request) => {
    if (request.path.endsWith('/connect')) return null
    return request.path.endsWith('/batch.do') && kept.length ? inbox.take(request) : never()
  }
  return { page, inbox, sse, log, kept }
}

describe('when the person goes on to another page', () => {
  it('what is small goes with keepalive, on the connection that it has left; what is under way too, with the same keys', async () => {
    const { page, inbox, sse, log, kept } = await busy()
    const sent = [0, 1, 2].map((n) => watch(sse.send('x', { n }, {}, {}, { key: `k${n}` })))
    sent.push(watch(sse.send('y', { n: 3 }, {}, {}, { key: 'k3' })))
    await settle()
    sent.push(watch(sse.send('x', { n: 4 }, {}, {}, { key: 'k4' })))
    await page.leave()
    assert.deepEqual(log, ['goodbye', 'keepalive'])
    const keys = entriesOf(kept[0]).map(({ key }) => key)
    assert.deepEqual(keys, ['k0', 'k1', 'k2', 'k4', 'k3'])
    assert.deepEqual(inbox.numbers.slice(1), [0, 3, 1, 2, 4])
  })

  it('its promises are settled when it comes back, and nothing was run twice', async () => {
    const { page, inbox, sse } = await busy()
    const sent = [0, 1, 2].map((n) => watch(sse.send('x', { n })))
    await settle()
    await page.leave()
    page.server.behaviour = (request) => inbox.take(request)
    await page.tick(3_600_000)
    await page.comeBack()
    await page.tick(120_000)
    assert.ok(sent.every(({ value }) => value?.status === 200))
    assert.equal(sent[0]?.value?.headers.get('Idempotent-Replayed'), 'true')
    assert.deepEqual(inbox.numbers.slice(1), [0, 1, 2])
  })

  it('no more than 60 kB go, and nothing that is larger', async () => {
    const { page, sse, kept } = await busy()
    const text = 'ä'.repeat(10_000)
    for (const n of [0, 1, 2, 3]) void sse.send('x', { n, text }).catch(() => {})
    await page.leave()
    assert.deepEqual(
      entriesOf(kept[0]).map(({ body }) => body.n),
      [0, 1],
    )
    assert.ok(new Blob([String(kept[0]?.body)]).size <= 60_000)
    sse.destroy()
  })

  it('what is larger stays', async () => {
    const { page, sse, log } = await busy()
    void sse.send('x', 'x'.repeat(60_000)).catch(() => {})
    await page.leave()
    assert.deepEqual(log, ['goodbye'])
    sse.destroy()
  })

  it('nothing passes what can not go: a form, or a request with headers of its own', async () => {
    const { page, sse, kept } = await busy()
    void sse.upload('x', new FormData()).catch(() => {})
    void sse.send('x', { n: 1 }).catch(() => {})
    void sse.send('y', { n: 2 }).catch(() => {})
    void sse.send('y', { n: 3 }, {}, { 'X-Own': '1' }).catch(() => {})
    void sse.send('y', { n: 4 }).catch(() => {})
    await page.leave()
    assert.deepEqual(
      entriesOf(kept[0]).map(({ body }) => body.n),
      [2],
    )
    sse.destroy()
  })

  it('what was taken back does not go', async () => {
    const { page, sse, log, kept } = await busy()
    const controller = new AbortController()
    void sse.send('x', { n: 1 }, {}, {}, { signal: controller.signal }).catch(() => {})
    void sse.send('x', { n: 2 }).catch(() => {})
    await settle()
    controller.abort()
    await page.leave()
    assert.equal(log[1], 'keepalive')
    assert.deepEqual(
      entriesOf(kept[0]).map(({ body }) => body.n),
      [2],
    )
    sse.destroy()
  })

  it('nothing goes while the server asked to wait, knows no user, or takes no batches', async () => {
    const cases: [string, (page: FakePage) => unknown][] = [
      ['429', (page) => (page.server.behaviour = () => json({}, 429, { 'Retry-After': '60' }))],
      ['401', (page) => (page.server.behaviour = () => json({}, 401))],
      [
        'no batches',
        (page) => {
          page.server.finish = { outbox: '/outbox.js' }
          page.server.stream.fail()
        },
      ],
    ]
    for (const [what, change] of cases) {
      const { page, sse, log } = await busy()
      await change(page)
      await page.tick(5000)
      for (const n of [1, 2]) void sse.send('x', { n }).catch(() => {})
      await page.tick(1000)
      await page.leave()
      assert.deepEqual(log, ['goodbye'], what)
      sse.destroy()
    }
  })

  it('an event of the backend’s that is called pagehide is none', async () => {
    const { page, sse, log } = await busy({ eventListeners: { pagehide: null } })
    const sent = watch(sse.send('x'))
    await settle()
    page.server.stream.event('pagehide', 'x')
    await settle()
    assert.deepEqual(log, [])
    assert.equal(sent.state, 'pending')
    assert.ok(sse.isActive())
    sse.destroy()
  })

  it('nothing goes from a page that was destroyed, or that has nothing to send', async () => {
    for (const end of [false, true]) {
      const { page, sse, log } = await busy()
      if (end) {
        void sse.send('x').catch(() => {})
        await settle()
        sse.destroy()
      }
      await page.leave()
      assert.deepEqual(log, ['goodbye'])
    }
  })

  it('the answer that comes to what left last harms nothing', async () => {
    const { page, inbox, sse } = await busy()
    inbox.handler = () => new Promise((resolve) => page.clock.setTimeout(() => resolve(answer(null)), 1000))
    const sent = watch(sse.send('x', { n: 1 }))
    await page.leave()
    await page.comeBack()
    page.server.behaviour = (request) => inbox.take(request)
    await page.tick(120_000)
    assert.equal(sent.value?.status, 200)
    assert.deepEqual(inbox.numbers.slice(1), [1])
    sse.destroy()
    assert.equal(page.clock.countTimers(), 0)
  })
})
