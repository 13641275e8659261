import assert from 'node:assert/strict'
import { beforeEach, describe, it } from 'node:test'
import { json, type SeenRequest, watch } from './fake'
import { FakeBrowser, type FakeTab } from './fake-browser'
import { answer } from './fake-inbox'

const HOUR = 3_600_000
const isConnect = ({ path }: SeenRequest): boolean => path.endsWith('/connect')
const never = (): Promise<never> => new Promise(() => {})

let browser: FakeBrowser
beforeEach(() => {
  browser = new FakeBrowser()
})
/** Sends, and lets it be kept. Nobody minds what becomes of the promise. */
async function send(tab: FakeTab, ...numbers: number[]) {
  const sent = numbers.map((n) => watch(tab.sse.send('x', { n }, {}, {}, { key: `k${n}` })))
  await browser.settle()
  return sent
}
const keysOf = (entries: readonly { key: string }[]): string[] => entries.map(({ key }) => key)
function silence(): void {
  browser.page.server.behaviour = (request) => (isConnect(request) ? null : never())
}
function free(): void {
  browser.page.server.behaviour = (request) => browser.inbox.take(request)
}
const typesOf = (tab: FakeTab): string[] => tab.heard.map(({ type }) => type)

describe('with persist', () => {
  it('a request is kept before its first attempt, and forgotten after its answer', async () => {
    const seen: string[][] = []
    let reading: Promise<unknown> | undefined
    const tab = await browser.openTab()
    browser.page.server.behaviour = (request) => {
      if (isConnect(request)) return null
      const taken = browser.inbox.take(request)
      reading = browser.kept().then((entries) => seen.push(keysOf(entries)))
      return reading.then(() => taken as Promise<Response>)
    }
    const [sent] = await send(tab, 1)
    await browser.settle()
    assert.equal(sent?.value?.status, 200)
    assert.deepEqual(seen, [['k1']])
    assert.deepEqual(await browser.kept(), [])
  })

  it('what waits when a page crashes is sent by the next, in order, with the same keys, before anything new', async () => {
    const first = await browser.openTab()
    silence()
    await send(first, 0, 1, 2)
    await first.crash()
    const second = await browser.openTab({}, 'hidden')
    await send(second, 3, 4)
    free()
    await second.page.show()
    await browser.settle()
    assert.deepEqual(browser.inbox.numbers, [0, 1, 2, 3, 4])
    assert.deepEqual(
      browser.inbox.calls.map(({ key }) => key),
      ['k0', 'k1', 'k2', 'k3', 'k4'],
    )
    assert.deepEqual(await browser.kept(), [])
    assert.deepEqual(typesOf(second).slice(0, 3), ['restored', 'restored', 'restored'])
    assert.deepEqual(keysOf(second.heard as { key: string }[]).slice(0, 3), ['k0', 'k1', 'k2'])
  })

  it('what was done when the page crashed, but not answered, is not done again', async () => {
    const first = await browser.openTab()
    browser.page.server.behaviour = (request) => {
      if (isConnect(request)) return null
      void browser.inbox.take(request)
      return never()
    }
    await send(first, 0)
    await first.crash()
    free()
    await browser.openTab()
    assert.deepEqual(browser.inbox.numbers, [0])
    assert.deepEqual(await browser.kept(), [])
  })

  it('a page that was never connected keeps what it was given, and the next sends it', async () => {
    const first = await browser.openTab()
    silence()
    await send(first, 0)
    await first.page.hide()
    await send(first, 1)
    await first.crash()
    free()
    await browser.openTab()
    assert.deepEqual(browser.inbox.numbers, [0, 1])
  })

  it('the option "identity" lets a page keep, and tell what was kept, before it is connected', async () => {
    const options = { identity: 'anna' }
    const first = await browser.openTab(options, 'hidden')
    await send(first, 0, 1)
    assert.deepEqual(keysOf(await browser.kept()), ['k0', 'k1'])
    await first.crash()
    const second = await browser.openTab(options, 'hidden')
    assert.deepEqual(keysOf(await second.sse.pending()), ['k0', 'k1'])
    await second.page.show()
    await browser.settle()
    assert.deepEqual(browser.inbox.numbers, [0, 1])
  })

  it('pending() tells what was kept, with the answers to come', async () => {
    const first = await browser.openTab()
    silence()
    await send(first, 0, 1)
    await first.crash()
    const second = await browser.openTab({ maxQueuedAge: HOUR })
    const pending = await second.sse.pending()
    assert.deepEqual(
      pending.map(({ key, path }) => [key, path]),
      [
        ['k0', 'x'],
        ['k1', 'x'],
      ],
    )
    const outcomes = pending.map(({ response }) => watch(response))
    free()
    await browser.tick(61_000)
    for (const [n, { value }] of outcomes.entries()) {
      const body = await value?.json()
      assert.deepEqual(body.data, { path: 'x', body: { n } })
    }
  })

  it('queries, headers, lanes and forms come back as they were', async () => {
    const first = await browser.openTab({}, 'visible')
    silence()
    // Without a file: node's structuredClone makes a Blob of it. The browser's is tested in e2e.
    const form = new FormData()
    form.append('a', 'ä')
    form.append('a', '')
    void first.sse.send('p/ä?', null, { q: 'a b' }, { 'X-Own': '1' }, { lane: 'one' })
    void first.sse.upload('u', form, { r: [1] }, {}, { lane: 'one', key: 'form' })
    await browser.settle()
    await first.crash()
    free()
    await browser.openTab()
    const [message, upload] = browser.inbox.calls
    assert.equal(message?.path, 'p/ä?')
    assert.equal(message?.body, null)
    assert.equal(message?.query, 'q=a+b')
    assert.equal(browser.page.server.posts('/message/').at(-1)?.headers.get('X-Own'), '1')
    const body = upload?.body as FormData
    assert.deepEqual(body.getAll('a'), ['ä', ''])
    assert.equal(upload?.key, 'form')
  })

  it('another user neither sees nor sends it; it goes out when its user is back', async () => {
    const first = await browser.openTab()
    silence()
    await send(first, 0)
    await first.crash()
    free()
    browser.inbox.announce('bert')
    const second = await browser.openTab()
    assert.deepEqual(await second.sse.pending(), [])
    await send(second, 1)
    browser.inbox.announce('anna')
    browser.page.server.stream.fail()
    await browser.tick(10_000)
    assert.deepEqual(
      browser.inbox.calls.map(({ owner, key }) => [owner, key]),
      [
        ['bert', 'k1'],
        ['anna', 'k0'],
      ],
    )
  })

  for (const storage of ['works', 'is not there'] as const)
    it(`what was sent before anybody was known is the first user’s who connects: storage ${storage}`, async () => {
      if (storage === 'is not there') browser.indexedDB = undefined
      browser.page.server.isDown = true
      const tab = await browser.openTab()
      const sent = await send(tab, 0)
      browser.page.server.isDown = false
      browser.page.server.behaviour = (request) => (isConnect(request) ? null : json({}, 503))
      await browser.tick(10_000)
      assert.ok(tab.sse.isActive())
      browser.inbox.announce('bert')
      browser.page.server.stream.fail()
      free()
      await browser.tick(60_000)
      assert.equal(sent[0]?.state, 'pending')
      assert.equal(browser.inbox.calls.length, 0)
    })

  it('destroy() keeps it, abort and clearOutbox() forget it', async () => {
    const first = await browser.openTab()
    silence()
    const controller = new AbortController()
    const { signal } = controller
    const sent = watch(first.sse.send('x', {}, {}, {}, { signal, key: 'aborted' }))
    const others = await send(first, 0)
    controller.abort()
    await browser.settle()
    assert.equal(sent.error?.name, 'AbortError')
    assert.deepEqual(keysOf(await browser.kept()), ['k0'])
    first.sse.destroy()
    await browser.settle()
    assert.equal(others[0]?.error?.name, 'DestroyedError')
    assert.deepEqual(keysOf(await browser.kept()), ['k0'])
    assert.equal(first.page.listenerCount, 0)
    const second = await browser.openTab()
    const own = await send(second, 1)
    const [restored] = await second.sse.pending()
    const outcome = watch(restored?.response as Promise<Response>)
    await second.sse.clearOutbox()
    await browser.settle()
    assert.equal(own[0]?.error?.name, 'AbortError')
    assert.equal(outcome.error?.name, 'AbortError')
    assert.deepEqual(await browser.kept(), [])
  })

  it('is taken back before it was kept: nothing is left', async () => {
    const tab = await browser.openTab()
    silence()
    const controller = new AbortController()
    const { signal } = controller
    const sent = watch(tab.sse.send('x', {}, {}, {}, { signal }))
    controller.abort()
    await browser.settle()
    assert.equal(sent.error?.name, 'AbortError')
    assert.deepEqual(await browser.kept(), [])
  })

  it('clearOutbox() before the first connection forgets what was kept, and spares what is sent after it', async () => {
    const first = await browser.openTab()
    silence()
    await send(first, 0)
    await first.crash()
    free()
    const second = await browser.openTab({}, 'hidden')
    await send(second, 1)
    const cleared = watch(second.sse.clearOutbox())
    const after = await send(second, 2)
    await second.page.show()
    await browser.settle()
    assert.equal(cleared.state, 'resolved')
    assert.equal(after[0]?.value?.status, 200)
    assert.deepEqual(browser.inbox.numbers, [2])
    assert.deepEqual(await browser.kept(), [])
  })

  it('what is kept and too old is rejected and forgotten, and not sent', async () => {
    const first = await browser.openTab({ maxQueuedAge: HOUR, maxAttempts: 1000 })
    silence()
    await send(first, 0)
    await browser.tick(HOUR / 2)
    await send(first, 1)
    await first.crash()
    free()
    browser.page.clock.setSystemTime(browser.page.clock.now + HOUR / 2)
    const second = await browser.openTab({ maxQueuedAge: HOUR })
    await browser.tick(1)
    assert.deepEqual(browser.inbox.numbers, [1])
    assert.deepEqual(await browser.kept(), [])
    assert.deepEqual(
      second.heard.map(({ type, key }) => `${type} ${key}`),
      ['restored k0', 'restored k1', 'answered k1', 'rejected k0'],
    )
  })

  it('what a hidden page keeps is sent by a page that is seen, once; the hidden one gets the answer too', async () => {
    const first = await browser.openTab()
    silence()
    const sent = await send(first, 0, 1)
    await first.page.hide()
    await browser.settle()
    free()
    const second = await browser.openTab()
    assert.deepEqual(browser.inbox.numbers, [0, 1])
    assert.deepEqual(typesOf(second), ['restored', 'restored', 'answered', 'answered'])
    await second.page.hide()
    await first.page.show()
    await browser.tick(61_000)
    assert.ok(sent.every(({ value }) => value?.status === 200))
    assert.deepEqual(browser.inbox.numbers, [0, 1])
    assert.deepEqual(await browser.kept(), [])
  })

  it('what two pages that are seen keep stays with each of them', async () => {
    const first = await browser.openTab()
    const second = await browser.openTab()
    silence()
    await send(first, 0)
    await send(second, 1)
    const third = await browser.openTab()
    assert.deepEqual(await third.sse.pending(), [])
    for (const tab of [first, second]) assert.equal((await tab.sse.pending()).length, 1)
    await first.crash()
    await second.crash()
    free()
    await browser.openTab()
    assert.deepEqual(browser.inbox.numbers, [0, 1])
  })

  it('a change of listeners is not kept', async () => {
    const tab = await browser.openTab()
    silence()
    void tab.sse.addListener('bell', () => {})
    await browser.settle()
    assert.deepEqual(await browser.kept(), [])
  })

  it('pending() and clearOutbox() settle when the page is destroyed before it was ever connected', async () => {
    browser.page.server.isDown = true
    const tab = await browser.openTab()
    const both = [watch(tab.sse.pending()), watch(tab.sse.clearOutbox())]
    await browser.settle()
    tab.sse.destroy()
    await browser.settle()
    for (const { state } of both) assert.notEqual(state, 'pending')
    assert.equal(tab.page.listenerCount, 0)
    assert.equal(browser.page.clock.countTimers(), 0)
  })
})

describe('what is kept and cannot be used', () => {
  for (const [what, change] of [
    ['a header that no request can have', { headers: [['a b', 'c']] }],
    ['a path that is none', { path: '/connect/message/%.do' }],
    ['something else than a request', null],
  ] as const)
    it(`${what}: it is forgotten and told, and the others are sent`, async () => {
      const first = await browser.openTab()
      silence()
      await send(first, 0, 1, 2)
      await first.crash()
      await browser.raw(async (database) => {
        const [, record] = await database.getAll('requests')
        await database.put('requests', {
          ...record,
          request: change && { ...record.request, ...change },
        })
      })
      free()
      const second = await browser.openTab()
      assert.deepEqual(browser.inbox.numbers, [0, 2])
      assert.equal(typesOf(second).filter((type) => type === 'corrupt').length, 1)
      assert.equal(typesOf(second).includes('unkept'), false)
      assert.deepEqual(await browser.kept(), [])
    })
})

describe('where the browser does not keep', () => {
  it('it is told once, and everything is sent all the same: no IndexedDB', async () => {
    browser.indexedDB = undefined
    const tab = await browser.openTab()
    const sent = await send(tab, 0, 1, 2)
    assert.ok(sent.every(({ value }) => value?.status === 200))
    assert.deepEqual(typesOf(tab), ['unkept', 'answered', 'answered', 'answered'])
  })

  it('it is told once, and everything is sent all the same: no room', async () => {
    const tab = await browser.openTab()
    const { put, add } = IDBObjectStore.prototype
    const full = (): never => {
      throw new DOMException('full', 'QuotaExceededError')
    }
    Object.assign(IDBObjectStore.prototype, { put: full, add: full })
    try {
      const sent = await send(tab, 0, 1, 2)
      assert.ok(sent.every(({ value }) => value?.status === 200))
      assert.deepEqual(typesOf(tab), ['unkept', 'answered', 'answered', 'answered'])
      assert.match(String(tab.heard[0]?.reason), /Quota/)
    } finally {
      Object.assign(IDBObjectStore.prototype, { put, add })
    }
    const [later] = await send(tab, 3)
    assert.equal(later?.value?.status, 200)
    assert.equal(typesOf(tab).filter((type) => type === 'unkept').length, 1)
  })

  it('sending waits no longer than 5 s for a database that does not open, and leaves no timer', async () => {
    browser.indexedDB = { open: () => new IDBOpenDBRequest() }
    const tab = await browser.openTab()
    const sent = await send(tab, 0)
    assert.equal(sent[0]?.state, 'pending')
    await browser.tick(5000)
    assert.equal(sent[0]?.value?.status, 200)
    assert.equal(typesOf(tab)[0], 'unkept')
    tab.sse.destroy()
    await browser.settle()
    assert.equal(browser.page.clock.countTimers(), 0)
  })
})

describe('an answer', () => {
  it('that is temporary lets the request be kept on', async () => {
    const first = await browser.openTab()
    browser.inbox.handler = () => answer(null, 503, { 'Retry-After': '60' })
    await send(first, 0)
    assert.deepEqual(keysOf(await browser.kept()), ['k0'])
    await first.crash()
    browser.inbox.handler = () => answer(null)
    await browser.openTab()
    assert.deepEqual(browser.inbox.numbers, [0])
  })
})
