import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { SseOptions } from '../options'
import { FakePage, json, type SeenRequest, settle, watch } from './fake'
import { answer, FakeInbox } from './fake-inbox'

const BATCH = '/connect/batch.do'
const isBatch = ({ path }: SeenRequest): boolean => path.endsWith(BATCH)
const upTo = (count: number): number[] => Array.from({ length: count }, (_, n) => n)
const keysOf = ({ body }: SeenRequest): string[] =>
  JSON.parse(String(body)).entries.map(({ key }: { key: string }) => key)
/** Of each request that is no connect, how many messages it brings. */
const sizes = (page: FakePage): number[] =>
  page.server.posts('.do').map((request) => (isBatch(request) ? keysOf(request).length : 1))

/** A page that nobody sees yet. */
async function hidden(options: Partial<SseOptions> = {}) {
  const page = new FakePage()
  page.random = 0
  page.visibility = 'hidden'
  const inbox = new FakeInbox(page)
  return { page, inbox, sse: await page.createOpen(options) }
}
const data = async (response: Response | undefined): Promise<unknown> => (await response?.json())?.data

const lines = (body: string): Response =>
  new Response(body, { headers: { 'Content-Type': 'application/x-ndjson' } })

describe('a backlog', () => {
  for (const [pathCount, requests] of [
    [1, 10],
    [7, 11],
    [1000, 10],
  ] as const)
    it(`of 1000 requests on ${pathCount} paths leaves in ${requests} requests, in order, each with its own answer`, async () => {
      const { page, inbox, sse } = await hidden()
      inbox.handler = ({ body }) => answer({ echo: body }, 200 + ((body as { n: number }).n % 3))
      const sent = upTo(1000).map((n) => watch(sse.send(`p${n % pathCount}`, { n })))
      await page.show()
      await page.tick(1)
      assert.equal(sizes(page).length, requests)
      for (const [n, { value }] of sent.entries()) {
        assert.equal(value?.status, 200 + (n % 3))
        assert.equal(value?.headers.get('Content-Type'), 'application/json')
        assert.deepEqual(await data(value), { echo: { n } })
      }
      for (const path of upTo(pathCount)) {
        const own = inbox.numbers.filter((n) => (n as number) % pathCount === path)
        assert.deepEqual(
          own,
          own.toSorted((a, b) => (a as number) - (b as number)),
        )
      }
      assert.equal(inbox.calls.length, 1000)
    })

  it('that grew while the page was hidden after it had sent leaves together', async () => {
    const { page, inbox, sse } = await hidden()
    await page.show()
    await sse.send('x', { n: -1 })
    await page.hide()
    const sent = upTo(30).map((n) => watch(sse.send(`p${n}`, { n })))
    await page.show()
    assert.ok(sent.every(({ value }) => value?.status === 200))
    assert.deepEqual(sizes(page), [1, 30])
    assert.equal(inbox.calls.length, 31)
  })

  it('is cut by bytes too; what is larger than a batch goes by itself, in its place', async () => {
    const { page, inbox, sse } = await hidden()
    const long = 'ä'.repeat(20_000)
    const tooLong = 'x'.repeat(70_000)
    const texts = [long, long, '', tooLong, '', long]
    const sent = texts.map((text, n) => watch(sse.send('x', { n, text })))
    await page.show()
    assert.ok(sent.every(({ value }) => value?.status === 200))
    assert.deepEqual(inbox.numbers, upTo(6))
    assert.deepEqual(sizes(page), [1, 2, 1, 2])
    for (const request of page.server.posts(BATCH))
      assert.ok(new Blob([String(request.body)]).size <= inbox.limits.bytes)
  })

  it('goes one after the other to a server that announces no batches', async () => {
    const { page, sse } = await hidden()
    page.server.finish = { outbox: '/outbox.js' }
    const sent = upTo(5).map((n) => watch(sse.send('x', { n })))
    await page.show()
    assert.ok(sent.every(({ value }) => value?.status === 200))
    assert.deepEqual(sizes(page), [1, 1, 1, 1, 1])
  })

  it('lets requests go alone that have headers of their own or a form, and keeps the order', async () => {
    const { page, inbox, sse } = await hidden()
    const form = new FormData()
    form.set('n', '3')
    const sent = [
      sse.send('x', { n: 0 }),
      sse.send('x', { n: 1 }),
      sse.send('x', { n: 2 }, {}, { 'X-Own': '1' }),
      sse.upload('x', form),
      sse.send('x', { n: 4 }, { q: 'a b&c' }),
      sse.send('x', { n: 5 }, {}, {}, { lane: 'x' }),
    ].map(watch)
    await page.show()
    assert.ok(sent.every(({ value }) => value?.status === 200))
    assert.deepEqual(sizes(page), [2, 1, 1, 2])
    assert.equal(page.server.posts('/message/')[0]?.headers.get('X-Own'), '1')
    assert.deepEqual(
      inbox.calls.map(({ query }) => query),
      ['', '', '', '', 'q=a+b%26c', ''],
    )
    assert.deepEqual(
      inbox.numbers.filter((n) => n !== undefined),
      [0, 1, 2, 4, 5],
    )
  })

  it('brings any JSON and any path as they are', async () => {
    const { page, inbox, sse } = await hidden()
    const bodies = [null, 0, '', 'ä"\\\u2028', [], { a: [{}] }, 'x'.repeat(1000)]
    const paths = ['', 'a/b?c', 'ä"\\', '%2F', '..', '\n', '日本']
    const sent = bodies.map((body, n) => watch(sse.send(paths[n], body, {}, {}, { lane: 'one' })))
    await page.show()
    assert.ok(sent.every(({ value }) => value?.status === 200))
    assert.deepEqual(
      inbox.calls.map(({ body }) => body),
      bodies,
    )
    assert.deepEqual(
      inbox.calls.map(({ path }) => path),
      paths,
    )
  })
})

describe('a batch', () => {
  it('that was only half answered in time is sent again from there, the slow one alone, in order', async () => {
    const { page, inbox, sse } = await hidden()
    const slow = [2, 4]
    inbox.handler = async ({ body }) => {
      const { n } = body as { n: number }
      if (slow.includes(n)) await new Promise((resolve) => page.clock.setTimeout(resolve, 3500))
      return answer(n)
    }
    const sent = upTo(6).map((n) => watch(sse.send('x', { n })))
    const other = watch(sse.send('y', { n: 9 }))
    await page.show()
    // What has an answer does not wait for the others.
    assert.equal(sent[1]?.state, 'resolved')
    assert.equal(other.state, 'resolved')
    assert.equal(sent[2]?.state, 'pending')
    const next = watch(sse.send('y', { n: 9 }))
    await settle()
    assert.equal(next.state, 'resolved')
    await page.tick(20_000)
    for (const [n, { value }] of sent.entries()) assert.equal(await data(value), n)
    assert.deepEqual(
      inbox.numbers.filter((n) => n !== 9),
      upTo(6),
    )
    assert.equal(page.server.posts('/message/').length, 3)
  })

  it('whose first request is slow lets it go alone, and asks for no more in vain', async () => {
    const { page, inbox, sse } = await hidden()
    inbox.handler = ({ path }) =>
      path === 'slow'
        ? new Promise((resolve) => page.clock.setTimeout(() => resolve(answer(1)), 30_000))
        : answer(2)
    const slow = [watch(sse.send('slow', { n: 0 })), watch(sse.send('slow', { n: 1 }))]
    const quick = upTo(5).map((n) => watch(sse.send(`q${n}`)))
    await page.show()
    await page.tick(2000)
    assert.ok(quick.every(({ state }) => state === 'resolved'))
    await page.tick(60_000)
    assert.ok(slow.every(({ value }) => value?.status === 200))
    assert.equal(inbox.calls.length, 7)
    assert.ok(page.server.posts('.do').length <= 4)
  })

  it('with a request that the server does not understand: that is answered 400, the others as they are', async () => {
    const { page, inbox, sse } = await hidden()
    const keys = ['a', 'bad', 'c']
    const sent = keys.map((key, n) => watch(sse.send('x', { n }, {}, {}, { key })))
    await page.show()
    assert.deepEqual(
      sent.map(({ value }) => value?.status),
      [200, 400, 200],
    )
    assert.deepEqual(inbox.numbers, [0, 2])
    assert.equal(page.server.posts('.do').length, 1)
  })

  for (const [what, refuse] of [
    ['404', () => json({}, 404)],
    ['413', () => json({}, 413)],
    ['415', () => json({}, 415)],
    ['403', () => json({}, 403)],
    ['a page of HTML', () => new Response('<html>', { headers: { 'Content-Type': 'text/html' } })],
    ['204', () => new Response(null, { status: 204 })],
    ['JSON that is something else', () => json(null)],
    ['lines that are no JSON', () => lines('<html>\n')],
    ['lines that are something else', () => lines('null\n')],
    ['answers that are none', () => lines('{"index":0,"status":7,"headers":{},"body":""}\n')],
  ] as const)
    it(`that is refused as a whole with ${what} goes one by one until the next connection`, async () => {
      const { page, inbox, sse } = await hidden()
      page.server.behaviour = (request) => (isBatch(request) ? refuse() : inbox.take(request))
      const sent = upTo(3).map((n) => watch(sse.send('x', { n })))
      await page.show()
      await page.tick(1)
      assert.ok(sent.every(({ value }) => value?.status === 200))
      assert.deepEqual(inbox.numbers, [0, 1, 2])
      assert.deepEqual(sizes(page), [3, 1, 1, 1])
      await page.hide()
      page.server.behaviour = (request) => inbox.take(request)
      for (const n of [3, 4]) void sse.send('x', { n })
      await page.show()
      assert.deepEqual(sizes(page).at(-1), 2)
    })

  for (const when of ['before it arrived', 'after it was run', 'in its answer'] as const)
    it(`that is cut off ${when} is sent again with the same keys, all but what was answered, and nothing is run twice`, async () => {
      const { page, inbox, sse } = await hidden()
      let cuts = 2
      page.server.behaviour = (request) => {
        if (!isBatch(request) || cuts-- <= 0) return inbox.take(request)
        if (when === 'before it arrived') throw new TypeError('Failed to fetch')
        if (when === 'in its answer') return (inbox.take(request) as Promise<Response>).then(halved)
        return (inbox.take(request) as Promise<Response>).then(() => Promise.reject(new TypeError('cut')))
      }
      const sent = upTo(5).map((n) => watch(sse.send(`p${n % 2}`, { n })))
      await page.show()
      await page.tick(60_000)
      const [first, ...others] = page.server.posts(BATCH).map((request) => keysOf(request).toSorted())
      assert.equal(others.length, 2)
      const again = new Set(others.flat())
      if (when === 'in its answer') assert.ok(again.size > 0 && again.size < 5)
      else for (const other of others) assert.deepEqual(other, first)
      assert.deepEqual(
        [...again].filter((key) => !first?.includes(key)),
        [],
      )
      for (const [n, { value }] of sent.entries())
        assert.deepEqual(await data(value), { path: `p${n % 2}`, body: { n } })
      assert.deepEqual(inbox.numbers.toSorted(), upTo(5))
    })

  it('that was answered 429 with Retry-After for one: its lane waits so long, the others do not', async () => {
    const { page, inbox, sse } = await hidden()
    let isBusy = true
    inbox.handler = ({ path, body }) =>
      path === 'busy' && isBusy && (body as { n: number }).n === 1
        ? answer(null, 429, { 'Retry-After': '30' })
        : answer(null)
    const busy = upTo(3).map((n) => watch(sse.send('busy', { n })))
    const free = upTo(3).map((n) => watch(sse.send('free', { n: 10 + n })))
    await page.show()
    assert.ok(free.every(({ state }) => state === 'resolved'))
    assert.deepEqual(
      busy.map(({ state }) => state),
      ['resolved', 'pending', 'pending'],
    )
    isBusy = false
    sse.flush()
    await page.tick(29_999)
    assert.equal(busy[1]?.state, 'pending')
    assert.equal((await sse.send('free')).status, 200)
    await page.tick(1)
    assert.ok(busy.every(({ value }) => value?.status === 200))
    assert.deepEqual(
      inbox.numbers.filter((n) => (n as number) < 10),
      [0, 1, 2],
    )
  })

  it('that is answered 503 as a whole waits as long as the server says, and then goes again', async () => {
    const { page, inbox, sse } = await hidden()
    page.server.behaviour = (request) => (isBatch(request) ? json({}, 503, { 'Retry-After': '10' }) : null)
    const sent = upTo(4).map((n) => watch(sse.send(`p${n}`, { n })))
    await page.show()
    page.server.behaviour = (request) => inbox.take(request)
    await page.tick(9999)
    assert.equal(page.server.posts(BATCH).length, 1)
    await page.tick(1)
    assert.ok(sent.every(({ value }) => value?.status === 200))
    assert.deepEqual(sizes(page), [4, 4])
  })

  it('that is refused 503 again and again settles the first of each lane, each with an answer to read', async () => {
    const { page, sse } = await hidden({ maxAttempts: 3 })
    page.server.behaviour = (request) => (isBatch(request) ? json({ busy: true }, 503) : null)
    const sent = upTo(3).map((n) => watch(sse.send(`p${n}`, { n })))
    await page.show()
    await page.tick(60_000)
    for (const { value } of sent) {
      assert.equal(value?.status, 503)
      assert.deepEqual(await value.json(), { busy: true })
    }
  })

  it('without any answer is sent again after a minute', async () => {
    const { page, inbox, sse } = await hidden()
    let isSilent = true
    page.server.behaviour = (request) =>
      isBatch(request) && isSilent ? new Promise(() => {}) : inbox.take(request)
    const sent = upTo(3).map((n) => watch(sse.send('x', { n })))
    await page.show()
    isSilent = false
    await page.tick(61_000)
    assert.ok(sent.every(({ value }) => value?.status === 200))
    assert.equal(page.server.posts(BATCH)[0]?.signal?.aborted, true)
  })

  it('of which some were taken back goes on for the others; their lanes do not stop', async () => {
    const { page, inbox, sse } = await hidden()
    const controllers = upTo(6).map(() => new AbortController())
    let isCut = true
    page.server.behaviour = (request) => {
      if (!isBatch(request) || !isCut) return inbox.take(request)
      return new Promise((_, reject) => page.clock.setTimeout(reject, 1000, new TypeError('cut')))
    }
    const sent = controllers.map(({ signal }, n) => watch(sse.send(`p${n % 2}`, { n }, {}, {}, { signal })))
    await page.show()
    for (const n of [0, 3]) controllers[n]?.abort()
    await settle()
    assert.deepEqual(
      sent.map(({ error }) => error?.name),
      ['AbortError', undefined, undefined, 'AbortError', undefined, undefined],
    )
    isCut = false
    await page.tick(5000)
    assert.deepEqual(
      sent.map(({ value }) => value?.status),
      [undefined, 200, 200, undefined, 200, 200],
    )
    assert.deepEqual(inbox.numbers.toSorted(), [1, 2, 4, 5])
  })

  it('of which some were taken back after it had arrived answers the others', async () => {
    const { page, inbox, sse } = await hidden()
    inbox.handler = ({ body }) =>
      new Promise((resolve) => page.clock.setTimeout(() => resolve(answer((body as { n: number }).n)), 100))
    const controllers = upTo(4).map(() => new AbortController())
    const sent = controllers.map(({ signal }, n) => watch(sse.send('x', { n }, {}, {}, { signal })))
    await page.show()
    controllers[1]?.abort()
    await page.tick(1000)
    assert.deepEqual(
      sent.map(({ state }) => state),
      ['resolved', 'rejected', 'resolved', 'resolved'],
    )
    assert.equal(await data(sent[3]?.value), 3)
    assert.equal(page.server.posts('.do').length, 1)
  })

  it('that was taken back altogether is given up: what is sent next does not wait for it', async () => {
    const { page, inbox, sse } = await hidden()
    page.server.behaviour = (request) => (isBatch(request) ? new Promise(() => {}) : inbox.take(request))
    const sent = upTo(3).map((n) => watch(sse.send('x', { n })))
    await page.show()
    void sse.clearOutbox()
    await settle()
    assert.ok(sent.every(({ error }) => error?.name === 'AbortError'))
    assert.equal(page.server.posts(BATCH)[0]?.signal?.aborted, true)
    assert.equal((await sse.send('x', { n: 9 })).status, 200)
  })
})

/** Its line breaks in the middle. */
async function halved(response: Response): Promise<Response> {
  const bytes = new Uint8Array(await response.arrayBuffer())
  const body = new ReadableStream({
    start(controller) {
      controller.enqueue(bytes.slice(0, bytes.length / 2))
      setImmediate(() => controller.error(new TypeError('network error')))
    },
  })
  return new Response(body, response)
}
