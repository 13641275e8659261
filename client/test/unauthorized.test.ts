import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { SseEvent } from '../index'
import type { SseOptions } from '../options'
import { FakePage, json, type SeenRequest, settle, watch } from './fake'
import { FakeInbox } from './fake-inbox'

const isConnect = ({ path }: SeenRequest): boolean => path.endsWith('/connect')

/** A page whose requests are refused until their header `X-Token` is `good`; what it hears; and its token. */
async function signedOut(options: Partial<SseOptions> = {}) {
  const page = new FakePage()
  const inbox = new FakeInbox(page)
  const state = { token: 'old', asked: 0, good: 'good' }
  const heard: string[] = []
  const headers = () => {
    state.asked++
    return { 'X-Token': state.token }
  }
  const onOutbox = ({ data }: SseEvent<unknown>): void => {
    const { type } = data as { type: string }
    if (type === 'waiting' || type === 'resumed') heard.push(type)
  }
  page.server.behaviour = (request) => {
    if (isConnect(request)) return null
    return request.headers.get('X-Token') === state.good ? inbox.take(request) : json({}, 401)
  }
  const sse = await page.createOpen({
    headers,
    eventListeners: { 'sse-outbox': onOutbox as never },
    ...options,
  })
  return { page, inbox, sse, state, heard, posts: () => page.server.posts('/connect/').length }
}

describe('when the server does not know who is asking (401)', () => {
  it('the headers are asked again once, at once; if that helps nobody hears of it', async () => {
    const { page, inbox, sse, state, heard, posts } = await signedOut()
    let asked = 0
    const { behaviour } = page.server
    page.server.behaviour = (request) => {
      if (!isConnect(request) && asked++ === 0) state.token = 'good'
      return behaviour(request, page.server)
    }
    const sent = [0, 1].map((n) => watch(sse.send('x', { n })))
    await settle()
    assert.ok(sent.every(({ value }) => value?.status === 200))
    assert.deepEqual(inbox.numbers, [0, 1])
    assert.deepEqual(heard, [])
    assert.equal(posts(), 2)
  })

  it('everything waits, nothing is thrown away, and the application is told once', async () => {
    const { page, inbox, sse, heard, posts } = await signedOut()
    const sent = [0, 1, 2].map((n) => watch(sse.send('x', { n })))
    sent.push(watch(sse.send('y', { n: 3 })))
    await page.tick(60_000)
    const form = new FormData()
    sent.push(watch(sse.upload('z', form)))
    await page.tick(3_600_000)
    assert.ok(sent.every(({ state }) => state === 'pending'))
    assert.deepEqual(heard, ['waiting'])
    assert.ok(posts() <= 4)
    assert.equal(inbox.calls.length, 0)
    assert.equal((await sse.pending()).length, 5)
  })

  for (const [how, resume] of [
    ['other headers are given', () => {}],
    ['connect() is called', (sse) => sse.connect()],
    ['flush() is called', (sse) => sse.flush()],
    ['the stream is opened anew', (_, page) => page.server.stream.fail()],
    ['the page is hidden and shown', (_, page) => page.hide().then(() => page.show())],
  ] as [string, (sse: Awaited<ReturnType<typeof signedOut>>['sse'], page: FakePage) => unknown][])
    it(`what waits goes out in order when ${how}`, async () => {
      const { page, inbox, sse, state, heard } = await signedOut()
      const sent = [0, 1, 2].map((n) => watch(sse.send('x', { n })))
      await page.tick(60_000)
      state.token = 'good'
      await resume(sse, page)
      await page.tick(300_000)
      assert.deepEqual(heard, ['waiting', 'resumed'])
      assert.ok(sent.every(({ value }) => value?.status === 200))
      assert.deepEqual(inbox.numbers, [0, 1, 2])
    })

  it('what waits goes out soon when the application signs in as soon as it hears of it', async () => {
    const { page, sse, state } = await signedOut()
    sse.on('sse-outbox', ({ data }: SseEvent<unknown>) => {
      if ((data as { type: string }).type === 'waiting') state.token = 'good'
    })
    const sent = watch(sse.send('x'))
    await page.tick(10_000)
    assert.equal(sent.value?.status, 200)
  })

  it('two requests at once that are refused count once: the headers are still asked again', async () => {
    const { page, inbox, sse, state, heard } = await signedOut()
    page.server.finish = { outbox: '/outbox.js' }
    page.server.stream.fail()
    await page.tick(5000)
    const refusals: (() => void)[] = []
    const { behaviour } = page.server
    page.server.behaviour = (request) => {
      const answer = behaviour(request, page.server)
      if (isConnect(request) || request.headers.get('X-Token') === 'good') return answer
      return new Promise((resolve) => refusals.push(() => resolve(answer as Response)))
    }
    const sent = [0, 1].map((n) => watch(sse.send(`p${n}`, { n })))
    await settle()
    state.token = 'good'
    for (const refuse of refusals) refuse()
    await page.tick(1)
    assert.ok(sent.every(({ value }) => value?.status === 200))
    assert.deepEqual(inbox.numbers, [0, 1])
    assert.deepEqual(heard, [])
  })

  it('the request waits also if the stream ended while it was under way', async () => {
    const { page, sse, state } = await signedOut()
    let refuse = (_: Response): void => {}
    const { behaviour } = page.server
    page.server.behaviour = (request) =>
      isConnect(request) ? null : new Promise<Response>((resolve) => (refuse = resolve))
    const sent = watch(sse.send('x'))
    await settle()
    page.server.stream.fail()
    await settle()
    refuse(json({}, 401))
    await settle()
    assert.equal(sent.state, 'pending')
    state.token = 'good'
    page.server.behaviour = behaviour
    await page.tick(30_000)
    assert.equal(sent.value?.status, 200)
  })

  it('goes on waiting after a try that was refused again, and says so again', async () => {
    const { page, sse, state, heard } = await signedOut()
    const sent = watch(sse.send('x'))
    await page.tick(1000)
    sse.flush()
    await page.tick(1000)
    state.token = 'other'
    await page.tick(20_000)
    assert.deepEqual(heard, ['waiting', 'resumed', 'waiting', 'resumed', 'waiting'])
    assert.equal(sent.state, 'pending')
    state.token = 'good'
    await page.tick(20_000)
    assert.equal(sent.value?.status, 200)
  })

  it('what is taken back or expires while it waits is settled all the same', async () => {
    const { page, sse } = await signedOut({ maxQueuedAge: 100_000 })
    const controller = new AbortController()
    const aborted = watch(sse.send('x', {}, {}, {}, { signal: controller.signal }))
    const expired = watch(sse.send('x', {}, {}, {}, { timeout: 5000 }))
    const old = watch(sse.send('x'))
    await page.tick(1000)
    controller.abort()
    await page.tick(4000)
    assert.equal(aborted.error?.name, 'AbortError')
    assert.equal(expired.error?.name, 'ExpiredError')
    await page.tick(95_000)
    assert.equal(old.error?.name, 'ExpiredError')
  })

  it('waits on when the function for the headers fails or hangs', async () => {
    let headers = (): Promise<HeadersInit> => Promise.resolve({ 'X-Token': 'old' })
    const { page, sse, heard } = await signedOut({ headers: () => headers() })
    const sent = watch(sse.send('x'))
    await page.tick(1000)
    headers = () => Promise.reject(new Error('offline'))
    await page.tick(60_000)
    assert.deepEqual(heard, ['waiting'])
    assert.ok(page.reported.length > 0)
    headers = () => Promise.resolve({ 'X-Token': 'good' })
    await page.tick(300_000)
    assert.equal(sent.value?.status, 200)
  })

  it('leaves no timer when it is destroyed, however often it has waited before', async () => {
    const headers = async (): Promise<HeadersInit> => {
      await new Promise((resolve) => page.clock.setTimeout(resolve, 3000))
      return { 'X-Token': 'old' }
    }
    const { page, sse, heard } = await signedOut({ headers })
    await page.tick(5000)
    const sent = watch(sse.send('x'))
    for (let n = 0; n < 5; n++) {
      await page.tick(7000)
      sse.flush()
    }
    await page.tick(7000)
    assert.ok(heard.filter((type) => type === 'waiting').length > 2)
    sse.destroy()
    await settle()
    assert.equal(sent.error?.name, 'DestroyedError')
    await page.tick(3001)
    assert.equal(page.clock.countTimers(), 0)
  })
})
