import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { SseOptions } from '../options'
import { FakePage, json, type SeenRequest, settle, watch } from './fake'
import { FakeInbox } from './fake-inbox'

const isConnect = ({ path }: SeenRequest): boolean => path.endsWith('/connect')

async function start(options: Partial<SseOptions> = {}) {
  const page = new FakePage()
  const inbox = new FakeInbox(page)
  const sse = await page.createOpen(options)
  const busy = (): void => {
    page.server.behaviour = (request) => (isConnect(request) ? null : json({}, 503))
  }
  const free = (): void => {
    page.server.behaviour = (request) => inbox.take(request)
  }
  const whose = (): [string, unknown][] => inbox.calls.map(({ owner }, i) => [owner, inbox.numbers[i]])
  /** The stream ends, and the next is of this user. */
  const signIn = async (owner: string): Promise<void> => {
    inbox.announce(owner)
    page.server.stream.fail()
    await page.tick(10_000)
  }
  return { page, inbox, sse, busy, free, whose, signIn }
}

describe('requests of one user', () => {
  it('are not sent as another who connects; they go out when the first is back, in order', async () => {
    const { page, sse, busy, free, whose, signIn } = await start()
    busy()
    const first = [0, 1, 2].map((n) => watch(sse.send('x', { n })))
    await settle()
    await signIn('bert')
    const second = [3, 4].map((n) => watch(sse.send('x', { n })))
    free()
    await page.tick(120_000)
    assert.ok(first.every(({ state }) => state === 'pending'))
    assert.ok(second.every(({ value }) => value?.status === 200))
    await signIn('anna')
    assert.ok(first.every(({ value }) => value?.status === 200))
    assert.deepEqual(whose(), [
      ['bert', 3],
      ['bert', 4],
      ['anna', 0],
      ['anna', 1],
      ['anna', 2],
    ])
  })

  for (const name of ['sse-state', 'connect-finish'])
    it(`are not sent as another when a listener of ${name} sends at once`, async () => {
      const { page, sse, busy, free, whose, signIn } = await start()
      busy()
      const first = watch(sse.send('x', { n: 0 }))
      await page.tick(5000)
      sse.on(name, () => {
        if (!sse.isActive()) return
        free()
        void sse.send('x', { n: 1 })
        void sse.send('y', { n: 2 })
      })
      await signIn('bert')
      assert.equal(first.state, 'pending')
      assert.deepEqual(whose().slice(0, 2), [
        ['bert', 1],
        ['bert', 2],
      ])
      assert.ok(whose().every(([owner]) => owner === 'bert'))
    })

  it('are not sent as another who connects while the headers are asked for', async () => {
    let isSlow = false
    const headers = async (): Promise<HeadersInit> => {
      if (isSlow) await new Promise((resolve) => page.clock.setTimeout(resolve, 20_000))
      return {}
    }
    const { page, inbox, sse, whose } = await start({ headers })
    await sse.send('x', { n: 0 })
    isSlow = true
    const first = watch(sse.send('x', { n: 1 }))
    await settle()
    isSlow = false
    inbox.announce('bert')
    page.server.stream.fail()
    await page.tick(60_000)
    assert.equal(first.state, 'pending')
    assert.deepEqual(whose(), [['anna', 0]])
  })

  it('are the user’s who was there when they were sent, although the outbox was not loaded yet', async () => {
    const { page, sse, free, whose, signIn, inbox } = await start()
    inbox.announce('bert')
    page.server.stream.fail()
    await settle()
    const sent = watch(sse.send('x', { n: 0 }))
    await page.tick(10_000)
    assert.equal(sent.state, 'pending')
    free()
    await signIn('anna')
    assert.equal(sent.value?.status, 200)
    assert.deepEqual(whose(), [['anna', 0]])
  })

  it('do not stop what the page listens to', async () => {
    const { page, sse, busy, signIn } = await start()
    await sse.send('x')
    busy()
    const told = watch(sse.addListener('bell', () => {}))
    await settle()
    await signIn('bert')
    page.server.behaviour = () => null
    await page.tick(60_000)
    assert.equal(told.value?.status, 200)
  })

  it('are told apart by the option "identity", if the application knows better', async () => {
    const { page, inbox, sse, busy, free, signIn } = await start({ identity: 'tenant-1' })
    busy()
    const sent = watch(sse.send('x', { n: 0 }))
    await settle()
    await signIn('bert')
    free()
    await page.tick(60_000)
    assert.equal(sent.value?.status, 200)
    assert.equal(inbox.calls[0]?.owner, 'bert')
  })

  it('are sent to a server that does not tell who it is', async () => {
    const { page, sse } = await start()
    page.server.finish = { outbox: '/outbox.js' }
    page.server.stream.fail()
    await page.tick(10_000)
    assert.equal((await sse.send('x')).status, 200)
  })

  it('expire, are taken back and are listed, although another is here', async () => {
    const { page, sse, busy, signIn } = await start({ maxQueuedAge: 100_000 })
    busy()
    const controller = new AbortController()
    const { signal } = controller
    const [aborted, expired] = [
      watch(sse.send('x', {}, {}, {}, { signal })),
      watch(sse.send('x', {}, {}, {}, { key: 'k' })),
    ]
    await settle()
    await signIn('bert')
    controller.abort()
    await settle()
    assert.equal(aborted.error?.name, 'AbortError')
    assert.deepEqual(
      (await sse.pending()).map(({ key }) => key),
      ['k'],
    )
    await page.tick(100_000)
    assert.equal(expired.error?.name, 'ExpiredError')
  })
})
