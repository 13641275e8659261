import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { OutboxChange, SseEvent } from '../index'
import { FakePage, json, type SeenRequest, settle, watch } from './fake'
import { answer, FakeInbox } from './fake-inbox'

const KEY = 'Idempotency-Key'
const keysOf = (requests: SeenRequest[]): (string | null)[] => requests.map(({ headers }) => headers.get(KEY))
const isPost = ({ path }: SeenRequest): boolean => /message|upload/.test(path)
const never = (): Promise<never> => new Promise(() => {})

function form(n: number): FormData {
  const data = new FormData()
  data.set('n', String(n))
  return data
}

describe('the key of a request', () => {
  it('is the one that was given, as a quoted string, on a message and on an upload', async () => {
    const page = new FakePage()
    const sse = await page.createOpen()
    const longest = "!#$%&'()*+,-./09:;<=>?@AZ[]^_`az{|}~".padEnd(200, 'x')
    await sse.send('x', {}, {}, {}, { key: 'order-7' })
    await sse.upload('x', form(1), {}, {}, { key: longest })
    assert.deepEqual(keysOf(page.server.posts('.do')), ['"order-7"', `"${longest}"`])
  })

  it('is a random one if none is given, another for each request', async () => {
    const page = new FakePage()
    const sse = await page.createOpen()
    await Promise.all([
      sse.send('x'),
      sse.send('x', {}, {}, {}, { key: null }),
      sse.send('y'),
      sse.upload('z', form(1)),
    ])
    const keys = keysOf(page.server.posts('.do'))
    assert.equal(new Set(keys).size, 4)
    for (const key of keys) assert.match(String(key), /^"\d+(-\d+){3}"$/)
  })

  for (const failure of ['network', 503, 'silence', 'half an answer'] as const)
    it(`is the same on each try after ${failure}`, async () => {
      const page = new FakePage()
      const sse = await page.createOpen()
      let failures = 3
      page.server.behaviour = (request) => {
        if (!isPost(request) || failures-- <= 0) return null
        if (failure === 'network') throw new TypeError('Failed to fetch')
        if (failure === 'silence') return never()
        return failure === 503 ? json({}, 503) : brokenOff()
      }
      const sent = watch(sse.send('x', {}, {}, {}, { key: 'k' }))
      await page.tick(300_000)
      assert.equal(sent.value?.status, 200)
      assert.deepEqual(keysOf(page.server.posts('/message/')), ['"k"', '"k"', '"k"', '"k"'])
    })

  for (const key of ['', 'ä', 'a b', 'a"b', 'a\\b', 'a\nb', '\x7f', 'x'.repeat(201)])
    it(`is refused with a TypeError: ${JSON.stringify(key).slice(0, 20)}`, async () => {
      const page = new FakePage()
      const sse = await page.createOpen()
      await assert.rejects(sse.send('x', {}, {}, {}, { key }), { name: 'TypeError', message: /"key"/ })
      await assert.rejects(sse.upload('x', form(1), {}, {}, { key }), { name: 'TypeError' })
      assert.equal(page.server.posts('.do').length, 0)
      assert.deepEqual(await sse.pending(), [])
    })

  it('is refused by a page that was not connected yet, when it is', async () => {
    const page = new FakePage()
    page.visibility = 'hidden'
    const sse = await page.createOpen()
    const sent = watch(sse.send('x', {}, {}, {}, { key: 'ä' }))
    await page.show()
    assert.equal(sent.error?.name, 'TypeError')
  })

  it('is not sent to a server that announces no outbox, nor with a change of listeners', async () => {
    const page = new FakePage()
    const sse = await page.createOpen()
    await sse.addListener('bell', () => {})
    page.server.finish = {}
    const old = await page.createOpen()
    await old.send('x', {}, {}, {}, { key: 'k' })
    assert.deepEqual(keysOf(page.server.posts('.do')), [null, null])
  })
})

describe('requests', () => {
  it('of one path go one after the other: the next leaves when the one before was answered', async () => {
    const page = new FakePage()
    const sse = await page.createOpen()
    const answers: ((response: Response) => void)[] = []
    page.server.behaviour = (request) =>
      isPost(request) ? new Promise((resolve) => answers.push(resolve)) : null
    const sent = [0, 1, 2].map((n) => watch(sse.send('x', { n })))
    for (const n of [0, 1, 2]) {
      await settle()
      assert.equal(answers.length, n + 1)
      assert.deepEqual(
        sent.map(({ state }) => state !== 'pending'),
        [n > 0, n > 1, false],
      )
      answers[n]?.(json({}, 200 + n))
    }
    await settle()
    assert.deepEqual(
      sent.map(({ value }) => value?.status),
      [200, 201, 202],
    )
  })

  it('of different paths do not wait for each other, messages, uploads and changes of listeners alike', async () => {
    const page = new FakePage()
    const sse = await page.createOpen()
    page.server.behaviour = (request) => (/slow/.test(request.path) ? never() : null)
    const slow = [watch(sse.send('slow')), watch(sse.send('slow')), watch(sse.upload('slow2', form(1)))]
    const quick = [sse.send('x'), sse.upload('y', form(1)), sse.addListener('bell', () => {})]
    assert.deepEqual(
      (await Promise.all(quick)).map(({ status }) => status),
      [200, 200, 200],
    )
    assert.ok(slow.every(({ state }) => state === 'pending'))
    assert.equal(page.server.posts('slow').length, 2)
  })

  it('of different paths go one after the other in a lane that they name, those of one path side by side in two', async () => {
    const page = new FakePage()
    const sse = await page.createOpen()
    page.server.behaviour = (request) => (isPost(request) ? never() : null)
    for (const path of ['a', 'b', 'c']) void sse.send(path, {}, {}, {}, { lane: 'one' }).catch(() => {})
    for (const lane of ['two', 'three', '']) void sse.send('d', {}, {}, {}, { lane }).catch(() => {})
    void sse.upload('e', form(1), {}, {}, { lane: 'two' }).catch(() => {})
    await settle()
    assert.deepEqual(
      page.server.posts('.do').map(({ path }) => path.slice(-'a.do'.length)),
      ['a.do', 'd.do', 'd.do', 'd.do'],
    )
    sse.destroy()
  })

  it('that fail do not stop those of other paths, and are not passed by those of their own', async () => {
    const page = new FakePage()
    const sse = await page.createOpen()
    page.server.behaviour = (request) => (request.path.includes('bad') ? json({}, 503) : null)
    const bad = [watch(sse.send('bad', { n: 1 })), watch(sse.send('bad', { n: 2 }))]
    await settle()
    assert.equal((await sse.send('x')).status, 200)
    await page.tick(5000)
    assert.ok(page.server.posts('bad').length > 1)
    assert.ok(page.server.posts('bad').every(({ body }) => String(body) === '{"n":1}'))
    page.server.behaviour = () => null
    await page.tick(30_000)
    assert.ok(bad.every(({ value }) => value?.status === 200))
  })

  it('that wait for the server’s Retry-After are not overtaken by a later one, although the first is taken back', async () => {
    const page = new FakePage()
    page.random = 0
    const sse = await page.createOpen()
    page.server.behaviour = (request) => (isPost(request) ? json({}, 429, { 'Retry-After': '30' }) : null)
    const controller = new AbortController()
    const first = watch(sse.send('x', {}, {}, {}, { signal: controller.signal }))
    await settle()
    page.server.behaviour = () => null
    controller.abort()
    await settle()
    assert.equal(first.state, 'rejected')
    const second = watch(sse.send('x'))
    await page.tick(29_999)
    assert.equal(page.server.posts('/message/').length, 1)
    await page.tick(1)
    assert.equal(second.value?.status, 200)
  })

  it('go on at once when one that waits after a failure, or is under way, is taken back', async () => {
    const page = new FakePage()
    page.random = 0.9
    const sse = await page.createOpen()
    page.server.behaviour = ({ body }) => (String(body).includes('bad') ? json({}, 500) : null)
    const controller = new AbortController()
    const bad = watch(sse.send('x', { bad: 1 }, {}, {}, { signal: controller.signal }))
    const good = watch(sse.send('x'))
    await settle()
    controller.abort()
    await settle()
    assert.equal(bad.error?.name, 'AbortError')
    assert.equal(good.value?.status, 200)
  })

  it('whose answer breaks off are sent again, and answered with the whole', async () => {
    const page = new FakePage()
    const sse = await page.createOpen()
    const answers = [brokenOff(), json({ whole: true })]
    page.server.behaviour = (request) => (isPost(request) ? (answers.shift() ?? null) : null)
    const sent = watch(sse.send('x'))
    await page.tick(2000)
    assert.deepEqual(await sent.value?.json(), { whole: true })
    assert.equal(page.server.posts('/message/').length, 2)
  })

  it('that are sent by who hears of an answer go out once', async () => {
    const page = new FakePage()
    const inbox = new FakeInbox(page)
    const more: ReturnType<typeof watch<Response>>[] = []
    const onOutbox = ({ data }: SseEvent<unknown>): void => {
      const { type, path } = data as OutboxChange & { path: string }
      if (type === 'answered' && path === 'x' && more.length < 3)
        more.push(watch(sse.send('x', { n: 10 + more.length })))
    }
    page.visibility = 'hidden'
    const sse = await page.createOpen({ eventListeners: { 'sse-outbox': onOutbox as never } })
    const sent = [0, 1, 2, 3].map((n) => watch(sse.send('x', { n })))
    await page.show()
    await page.tick(5000)
    assert.deepEqual(inbox.numbers, [0, 1, 2, 3, 10, 11, 12])
    assert.ok([...sent, ...more].every(({ value }) => value?.status === 200))
    const bodies = page.server.posts('/connect/').map(({ body }) => String(body))
    for (const n of inbox.numbers)
      assert.equal(bodies.join().split(`"n":${n}}`).length, 2, `${n} goes over the line once`)
    assert.deepEqual(await sse.pending(), [])
  })

  it('are sent when the handler answers 401 itself: that is its answer', async () => {
    const page = new FakePage()
    const inbox = new FakeInbox(page)
    inbox.handler = () => answer('no', 401)
    const sse = await page.createOpen()
    assert.equal((await sse.send('x')).status, 401)
    assert.equal(page.server.posts('/message/').length, 1)
  })
})

/** An answer whose line breaks in the middle of the body. */
function brokenOff(): Response {
  const body = new ReadableStream({
    start(controller) {
      controller.enqueue(new TextEncoder().encode('{"who'))
      setImmediate(() => controller.error(new TypeError('network error')))
    },
  })
  return new Response(body, { headers: { 'Content-Type': 'application/json' } })
}
