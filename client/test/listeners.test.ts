import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { SseEvent } from '../index'
import { BASE, FakePage, settle } from './fake'

const listenerOf = (body: unknown): unknown => JSON.parse(String(body)).listener

describe('an event', () => {
  it('reads like a MessageEvent, and parses its JSON at the first use', async () => {
    const page = new FakePage()
    const events: SseEvent[] = []
    await page.createOpen({ eventListeners: { bell: (event) => void events.push(event) } })
    page.server.stream.event('bell', { count: 100 }, 'e:7')
    await settle()
    const [event] = events
    assert.equal(event?.type, 'bell')
    assert.equal(event?.data, '{"count":100}')
    assert.equal(event?.lastEventId, 'e:7')
    assert.equal(event?.origin, 'http://localhost')
    assert.equal(event?.url, BASE)
    assert.equal(event?.replayed, false)
    assert.deepEqual(event?.json, { count: 100 })
    assert.equal(event?.json, event?.json)
  })

  it('that is no JSON is delivered, and fails only who reads it as JSON', async () => {
    const page = new FakePage()
    const events: SseEvent[] = []
    await page.createOpen({ eventListeners: { bell: (event) => void events.push(event) } })
    page.server.stream.event('bell', 'plain text')
    await settle()
    assert.equal(events[0]?.data, 'plain text')
    assert.throws(() => events[0]?.json, SyntaxError)
  })

  it('goes to the window too, as a true MessageEvent with the url', async () => {
    const page = new FakePage()
    const heard: MessageEvent[] = []
    page.window.addEventListener('bell', (event) => void heard.push(event as unknown as MessageEvent))
    await page.createOpen({ eventListeners: { bell: () => {} } })
    page.server.stream.event('bell', 'x')
    await settle()
    assert.equal(heard.length, 1)
    assert.ok((heard[0] as unknown) instanceof page.window.MessageEvent)
    assert.equal(heard[0]?.data, 'x')
    assert.equal((heard[0] as unknown as { url: string }).url, BASE)
  })

  it('goes to the window alone if its name was given in an array', async () => {
    const page = new FakePage()
    const heard: string[] = []
    for (const name of ['bell', 'other', 'connect-close'])
      page.window.addEventListener(name, (event) => {
        const { data, whoTriggerClose } = event as unknown as { data: string; whoTriggerClose?: string }
        heard.push(`${name} ${whoTriggerClose ?? data}`)
      })
    const sse = await page.createOpen({ eventListeners: ['bell', 'connect-close'] })
    page.server.stream.event('bell', 'x')
    page.server.stream.event('other', 'nobody listens')
    await settle()
    sse.close()
    assert.deepEqual(heard, ['bell x', 'connect-close client'])
  })

  it('passes the intercepts on its way to the window', async () => {
    const page = new FakePage()
    const order: string[] = []
    page.window.addEventListener('bell', () => void order.push('window'))
    await page.createOpen({
      eventListeners: { bell: () => void order.push('listener') },
      intercepts: [
        (event) => void order.push(`intercept ${event.url}`),
        () => {
          throw new Error('a bad intercept')
        },
      ],
    })
    page.server.stream.event('bell', 'x')
    await settle()
    assert.deepEqual(order, ['listener', `intercept ${BASE}`, 'window'])
    assert.match(String(page.reported[0]), /a bad intercept/)
  })

  it('stays off the window if useWindowEventBus is false', async () => {
    const page = new FakePage()
    const heard: unknown[] = []
    page.window.addEventListener('bell', (event) => void heard.push(event))
    const own: unknown[] = []
    await page.createOpen({
      useWindowEventBus: false,
      eventListeners: { bell: (event) => void own.push(event) },
    })
    page.server.stream.event('bell', 'x')
    await settle()
    assert.equal(heard.length, 0)
    assert.equal(own.length, 1)
  })
})

describe('listeners', () => {
  it('that throw are reported and harm no other', async () => {
    const page = new FakePage()
    let calls = 0
    const sse = await page.createOpen()
    sse.on('bell', () => {
      throw new Error('a bad listener')
    })
    sse.on('bell', () => void calls++)
    page.server.stream.event('bell', '1')
    page.server.stream.event('bell', '2')
    await settle()
    assert.equal(calls, 2)
    assert.equal(page.reported.length, 2)
    assert.match(String(page.reported[0]), /a bad listener/)
  })

  it('may be removed while their event is dispatched', async () => {
    const page = new FakePage()
    const order: string[] = []
    const sse = await page.createOpen()
    const off = sse.on('bell', () => {
      order.push('first')
      off()
    })
    sse.on('bell', () => void order.push('second'))
    page.server.stream.event('bell', '1')
    page.server.stream.event('bell', '2')
    await settle()
    assert.deepEqual(order, ['first', 'second', 'second'])
  })

  it('added and removed at run time are told to the server, each name once', async () => {
    const page = new FakePage()
    const sse = await page.createOpen({ query: { token: 't' } })
    const first = sse.on('bell', () => {})
    const second = sse.on('bell', () => {})
    await settle()
    const added = page.server.posts('addListener.do')
    assert.equal(added.length, 1)
    assert.deepEqual(JSON.parse(String(added[0]?.body)), { connectionId: 'c1', listener: ['bell'] })
    assert.equal(added[0]?.query.get('token'), 't')
    assert.equal(added[0]?.headers.get('Content-Type'), 'application/json')
    first()
    await settle()
    assert.equal(added[0]?.path, `${BASE}/connect/addListener.do`)
    assert.equal(page.server.posts('removeListener.do').length, 0)
    second()
    await settle()
    assert.deepEqual(listenerOf(page.server.posts('removeListener.do')[0]?.body), ['bell'])
  })

  it('resolve with the answer of the server', async () => {
    const page = new FakePage()
    const sse = await page.createOpen()
    const response = await sse.addListener({ a: () => {}, b: null })
    assert.equal(response.status, 200)
    assert.deepEqual(listenerOf(page.server.posts('addListener.do')[0]?.body), ['a', 'b'])
    assert.equal((await sse.removeListener(['a', 'b'])).status, 200)
  })

  it('are all told at the next connect, those removed no more', async () => {
    const page = new FakePage()
    let calls = 0
    const listener = () => void calls++
    const sse = await page.createOpen({ eventListeners: { first: () => {}, gone: listener } })
    sse.removeListener('gone', listener)
    sse.addListener('late', () => {})
    await page.hide()
    sse.on('hidden', () => {})
    await page.show()
    assert.equal(page.server.connects().at(-1)?.query.get('listeners'), 'first,late,hidden')
    page.server.stream.event('gone', 'x')
    await settle()
    assert.equal(calls, 0)
  })

  it('are told at once after connecting if they came while it was under way', async () => {
    const page = new FakePage()
    const sse = page.create()
    await Promise.resolve()
    sse.on('bell', () => {})
    await settle()
    const told =
      page.server.connects()[0]?.query.get('listeners') === 'bell' ||
      page.server.posts('addListener.do').length
    assert.ok(told)
  })

  it('do not pile up requests while the page is hidden', async () => {
    const page = new FakePage()
    const sse = await page.createOpen()
    await page.hide()
    for (let i = 0; i < 100; i++) sse.on('bell', () => {})()
    await page.show()
    assert.equal(page.server.posts('Listener.do').length, 0)
  })

  it('without a function are all of that name', async () => {
    const page = new FakePage()
    let calls = 0
    const sse = await page.createOpen()
    sse.on('bell', () => void calls++)
    sse.on('bell', () => void calls++)
    await sse.removeListener('bell')
    page.server.stream.event('bell', 'x')
    await settle()
    assert.equal(calls, 0)
  })

  it('with a name that cannot travel are refused by a TypeError that names it', async () => {
    const page = new FakePage()
    const sse = await page.createOpen()
    for (const name of ['', 'a,b', 'a\nb', 'a\rb', 'a\0b', 7 as never])
      assert.throws(() => sse.on(name, () => {}), { name: 'TypeError', message: /event name/ })
    assert.throws(() => sse.on('bell', 'no function' as never), { name: 'TypeError', message: /"bell"/ })
    await assert.rejects(sse.addListener('a,b'), TypeError)
    assert.throws(() => page.create({ eventListeners: { bell: 7 as never } }), /"bell"/)
  })

  it('removed and added again while hidden are still known to the server', async () => {
    const page = new FakePage()
    const sse = await page.createOpen({ eventListeners: { bell: () => {} } })
    await page.hide()
    sse.removeListener('bell')
    sse.on('bell', () => {})
    await page.show()
    assert.equal(page.server.connects().at(-1)?.query.get('listeners'), 'bell')
    assert.deepEqual(listenerOf(page.server.posts('removeListener.do')[0]?.body), [])
  })

  it('are ended once by their release, which does not end what was added later', async () => {
    const page = new FakePage()
    let calls = 0
    const listener = () => void calls++
    const sse = await page.createOpen()
    const off = sse.on('bell', listener)
    off()
    sse.on('bell', listener)
    off()
    page.server.stream.event('bell', 'x')
    await settle()
    assert.equal(calls, 1)
  })

  it('hear nothing after another listener of the same event removed or destroyed them', async () => {
    const page = new FakePage()
    const heard: string[] = []
    page.window.addEventListener('bell', () => void heard.push('window'))
    const sse = await page.createOpen()
    sse.on('bell', () => {
      heard.push('first')
      sse.destroy()
    })
    sse.on('bell', () => void heard.push('second'))
    page.server.stream.event('bell', 'x')
    await settle()
    assert.deepEqual(heard, ['first'])
  })

  it('need not wait for the answer: nothing is left unhandled when the page is destroyed', async (t) => {
    const unhandled: unknown[] = []
    const onUnhandled = (reason: unknown): void => void unhandled.push(reason)
    process.on('unhandledRejection', onUnhandled)
    t.after(() => process.off('unhandledRejection', onUnhandled))
    const page = new FakePage()
    const sse = page.create()
    sse.addListener('bell', () => {})
    sse.removeListener('bell')
    sse.destroy()
    await settle()
    assert.deepEqual(unhandled, [])
  })

  it('given before the first connect are told by it alone', async () => {
    const page = new FakePage()
    const sse = page.create()
    for (const name of ['a', 'b', 'c']) sse.on(name, () => {})
    await settle()
    assert.equal(page.server.connects()[0]?.query.get('listeners'), 'a,b,c')
    assert.equal(page.server.posts('Listener.do').length, 0)
  })

  it('must be functions for on()', async () => {
    const sse = await new FakePage().createOpen()
    assert.throws(() => sse.on('bell', null as never), { name: 'TypeError', message: /"bell"/ })
  })

  it('of one Sse are not those of another', async () => {
    const page = new FakePage()
    const one = await page.createOpen()
    one.on('bell', () => {})
    await page.createOpen()
    assert.equal(page.server.connects()[1]?.query.get('listeners'), '')
  })
})
