import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import Sse, { type SseEvent } from '../index'
import { BASE, FakePage, FakeStream, settle } from './fake'

interface Greeting {
  id?: string
  /** Members of connect-finish. */
  finish?: object
}

/** The server answers each connect with the next greeting; the last one stays. */
function greet(page: FakePage, ...greetings: [Greeting, ...Greeting[]]): void {
  page.server.behaviour = (request, { streams }) => {
    if (!request.path.endsWith('/connect')) return null
    const stream = new FakeStream(request, `c${streams.length + 1}`)
    streams.push(stream)
    const { id, finish } = greetings[Math.min(streams.length, greetings.length) - 1] ?? {}
    stream.event('connect-finish', { connectionId: stream.connectionId, name: 'hr', ...finish }, id)
    return new Response(stream.body, { headers: { 'Content-Type': 'text/event-stream' } })
  }
}

/** Records what the listeners of these names get. */
function recorder(...names: string[]) {
  const seen: { type: string; data: unknown; replayed: boolean }[] = []
  const record = ({ type, data, replayed }: SseEvent): void => void seen.push({ type, data, replayed })
  return { seen, eventListeners: Object.fromEntries(names.map((name) => [name, record])) }
}

const cursors = (page: FakePage): (string | null)[] =>
  page.server.connects().map(({ query }) => query.get('lastEventId'))

describe('where a page is in the log', () => {
  it('is told when it comes back, after a hide as after a broken line', async () => {
    const page = new FakePage()
    greet(page, { id: 'e-1' }, { id: 'e-2', finish: { recovered: true } })
    await page.createOpen()
    page.server.stream.event('test', 1, 'e-2')
    await settle()
    await page.hide()
    await page.show()
    page.server.stream.event('test', 2, 'e-3')
    await settle()
    page.server.stream.fail()
    await page.tick(2000)
    assert.deepEqual(cursors(page), [null, 'e-2', 'e-3'])
  })

  it('is known from connect-finish alone, if no event ever came', async () => {
    const page = new FakePage()
    greet(page, { id: 'e-7' })
    await page.createOpen()
    await page.hide()
    await page.show()
    assert.deepEqual(cursors(page), [null, 'e-7'])
  })

  it('is kept by close() and connect(), and dropped at another address', async () => {
    const page = new FakePage()
    greet(page, { id: 'e-1' })
    const sse = await page.createOpen()
    sse.close()
    sse.connect()
    await settle()
    sse.switchURL('/other')
    await settle()
    assert.deepEqual(cursors(page), [null, 'e-1', null])
  })

  it('does not move by an event that came too late to be heard', async () => {
    const page = new FakePage()
    greet(page, { id: 'e-1' }, { id: 'e-1', finish: { recovered: true } })
    const { seen, eventListeners } = recorder('test')
    await page.createOpen({ eventListeners })
    page.server.stream.event('test', 1, 'e-2')
    page.visibility = 'hidden'
    page.window.document.dispatchEvent(new page.window.Event('visibilitychange'))
    await page.show()
    assert.deepEqual(cursors(page), [null, 'e-1'])
    assert.deepEqual(seen, [])
  })

  it('outlives the page with resumeOnReload, and only then', async () => {
    const page = new FakePage()
    greet(page, { id: 'e-1' }, { id: 'e-1', finish: { recovered: true } })
    const before = await page.createOpen({ resumeOnReload: true })
    page.server.stream.event('test', 1, 'e-5')
    await settle()
    before.destroy()
    const after = await page.createOpen({ resumeOnReload: true })
    after.destroy()
    await page.createOpen()
    assert.deepEqual(cursors(page), [null, 'e-5', null])
  })
})

describe('coming back is answered', () => {
  it('by nothing missed: no gap, nothing replayed', async () => {
    const page = new FakePage()
    greet(page, { id: 'e-1' }, { id: 'e-1', finish: { recovered: true, replayed: 0 } })
    const { seen, eventListeners } = recorder('test', 'sse-gap')
    await page.createOpen({ eventListeners })
    await page.hide()
    await page.show()
    page.server.stream.event('test', 1, 'e-2')
    await settle()
    assert.deepEqual(seen, [{ type: 'test', data: '1', replayed: false }])
  })

  it('by the events that were missed, which say so', async () => {
    const page = new FakePage()
    greet(page, { id: 'e-1' }, { id: 'e-1', finish: { recovered: true, replayed: 2 } })
    const { seen, eventListeners } = recorder('test')
    await page.createOpen({ eventListeners })
    await page.hide()
    await page.show()
    for (const n of [2, 3, 4]) page.server.stream.event('test', n, `e-${n}`)
    await settle()
    assert.deepEqual(
      seen.map(({ data, replayed }) => [data, replayed]),
      [
        ['2', true],
        ['3', true],
        ['4', false],
      ],
    )
  })

  it('by sse-gap with the reason, after connect-finish, once', async () => {
    const page = new FakePage()
    greet(page, { id: 'e-1' }, { id: 'f-9', finish: { recovered: false, reason: 'epoch' } })
    const { seen, eventListeners } = recorder('connect-finish', 'sse-gap')
    await page.createOpen({ eventListeners })
    const heard: unknown[] = []
    page.window.addEventListener('sse-gap', (event) => heard.push(Reflect.get(event, 'reason')))
    await page.hide()
    await page.show()
    assert.deepEqual(
      seen.map(({ type }) => type),
      ['connect-finish', 'connect-finish', 'sse-gap'],
    )
    assert.equal(seen[2]?.data, '{"reason":"epoch"}')
    assert.deepEqual(heard, ['epoch'])
    await page.hide()
    await page.show()
    assert.equal(cursors(page).at(-1), 'f-9', 'from there it goes on')
  })

  it('by sse-gap too, if the server does not say whether anything was missed', async () => {
    const page = new FakePage()
    greet(page, { id: 'e-1' })
    const { seen, eventListeners } = recorder('sse-gap')
    await page.createOpen({ eventListeners })
    await page.hide()
    await page.show()
    assert.deepEqual(seen, [{ type: 'sse-gap', data: '{"reason":"unknown"}', replayed: false }])
  })

  it('by no gap from a server that gives no cursors, such as the original', async () => {
    const page = new FakePage()
    greet(page, {})
    const { seen, eventListeners } = recorder('sse-gap')
    await page.createOpen({ eventListeners })
    await page.hide()
    await page.show()
    assert.deepEqual(seen, [])
  })

  it('by a gap that is told even if the listener of connect-finish closes', async () => {
    const page = new FakePage()
    greet(page, { id: 'e-1' }, { id: 'f-1', finish: { recovered: false, reason: 'floor' } })
    const { seen, eventListeners } = recorder('sse-gap')
    const sse = await page.createOpen({ eventListeners })
    sse.on('connect-finish', () => sse.close())
    await page.hide()
    await page.show()
    assert.equal(seen.length, 1)
  })
})

describe('what to catch up on', () => {
  it('is told at connect, by name', async () => {
    const page = new FakePage()
    await page.createOpen({ catchUp: { tick: 'latest', 'a:b': 'drop' } })
    assert.equal(page.server.connects()[0]?.query.get('catchUp'), 'tick:latest,a:b:drop')
  })

  it('is a TypeError that names the option, if it is none of the policies', () => {
    const page = new FakePage()
    const catchUp = { tick: 'newest' } as never
    assert.throws(() => new Sse({ url: BASE, catchUp }, page.env), /TypeError.*"catchUp"/)
  })
})

describe('a silent stream', () => {
  const heartbeatInterval = 1000

  it('is left with a goodbye and dialled anew at once, after 2.5 heartbeats', async () => {
    const page = new FakePage()
    greet(page, { id: 'e-1', finish: { heartbeatInterval } })
    const { seen, eventListeners } = recorder('sse-state')
    await page.createOpen({ eventListeners })
    await page.tick(2400)
    assert.equal(page.server.streams.length, 1)
    await page.tick(700)
    assert.equal(page.server.streams.length, 2)
    assert.equal(page.server.openStreams.length, 1)
    const goodbye = page.server.beacons[0]?.body as URLSearchParams
    assert.equal(goodbye.get('reason'), 'silent')
    const reasons = seen.map(({ data }) => (data as { reason: string }).reason)
    assert.ok(reasons.includes('silent'))
  })

  it('is not silent as long as comments come', async () => {
    const page = new FakePage()
    greet(page, { finish: { heartbeatInterval } })
    await page.createOpen()
    for (let n = 0; n < 10; n++) {
      await page.tick(1900)
      page.server.stream.write(':\n\n')
      await settle()
    }
    assert.equal(page.server.streams.length, 1)
  })

  it('is noticed at the first tick after the machine slept', async () => {
    const page = new FakePage()
    greet(page, { finish: { heartbeatInterval: 15_000 } })
    await page.createOpen()
    await page.tick(7000)
    // The clock on the wall went on, timers did not.
    page.clock.setSystemTime(page.clock.Date.now() + 3_600_000)
    await page.tick(500)
    assert.equal(page.server.streams.length, 2)
  })

  it('is noticed at once at any signal of the page', async () => {
    const page = new FakePage()
    greet(page, { finish: { heartbeatInterval: 15_000 } })
    await page.createOpen()
    page.clock.setSystemTime(page.clock.Date.now() + 3_600_000)
    await page.onDocument('resume')
    assert.equal(page.server.streams.length, 2)
  })

  it('is none if the server announced no heartbeat', async () => {
    const page = new FakePage()
    greet(page, {})
    await page.createOpen()
    await page.tick(3_600_000)
    assert.equal(page.server.streams.length, 1)
  })
})

describe('a hidden page in its grace', () => {
  it('leaves when that is over, whatever heartbeats come meanwhile', async () => {
    const page = new FakePage()
    greet(page, { finish: { heartbeatInterval: 1000 } })
    await page.createOpen({ hiddenGrace: 3000 })
    await page.tick(1500)
    page.server.stream.write(':\n\n')
    await page.hide()
    for (let n = 0; n < 4; n++) {
      await page.tick(700)
      page.server.stream.write(':\n\n')
      await settle()
    }
    assert.equal(page.server.openStreams.length, 1)
    await page.tick(300)
    assert.equal(page.server.openStreams.length, 0)
  })
})

describe('the moment to come back', () => {
  it('is what connect-close says', async () => {
    const page = new FakePage()
    await page.createOpen()
    page.server.stream.event('connect-close', { reason: 'server-shutdown', reconnectDelay: 700 })
    await settle()
    await page.tick(600)
    assert.equal(page.server.streams.length, 1)
    await page.tick(100)
    assert.equal(page.server.streams.length, 2)
  })

  it('is near again after a stream that brought an event, however short it was', async () => {
    const page = new FakePage()
    await page.createOpen({ reconnectTime: 1000 })
    for (let n = 0; n < 6; n++) {
      page.server.stream.event('test', n)
      await settle()
      page.server.stream.fail()
      await settle()
      await page.tick(500)
    }
    assert.equal(page.server.streams.length, 7)
  })
})

describe('something on the way that holds answers back', () => {
  /** Streams never come through; an answer to a poll comes when it has ended. */
  function buffer(page: FakePage): (text: string) => Promise<void> {
    const waiting: ((response: Response) => void)[] = []
    const headers = { 'Content-Type': 'text/event-stream' }
    page.server.behaviour = ({ path, query }) => {
      if (!path.endsWith('/connect')) return null
      if (query.get('mode') !== 'poll') return new Promise(() => {})
      return new Promise((resolve) => waiting.push(resolve))
    }
    return async (text) => {
      waiting.shift()?.(new Response(text, { headers }))
      await settle()
    }
  }

  const greeting = (connectionId: string): string =>
    `id: e-1\nevent: connect-finish\ndata: ${JSON.stringify({ connectionId, heartbeatInterval: 25_000 })}\n\n`
  const polls = (page: FakePage): (string | null)[][] =>
    page.server
      .connects()
      .filter(({ query }) => query.get('mode') === 'poll')
      .map(({ query }) => [query.get('connectionId'), query.get('lastEventId')])

  it('is got round by polling, as one connection that stays open', async () => {
    const page = new FakePage()
    const answer = buffer(page)
    const { seen, eventListeners } = recorder('connect-finish', 'test', 'sse-state')
    const sse = await page.createOpen({ eventListeners, reconnectTime: 100 })
    await page.tick(10_100)
    assert.deepEqual(polls(page), [['none', null]])
    await answer(greeting('p1'))
    assert.equal(sse.state, Sse.STATE_OPEN)
    await answer('id: e-2\nevent: test\ndata: 1\n\n')
    await answer(':\n\n')
    await answer('id: e-3\nevent: test\ndata: 2\n\n')
    assert.deepEqual(polls(page).slice(1), [
      ['p1', 'e-1'],
      ['p1', 'e-2'],
      ['p1', 'e-2'],
      ['p1', 'e-3'],
    ])
    assert.equal(sse.connectionId, 'p1')
    assert.deepEqual(
      seen
        .filter(({ type }) => type !== 'sse-state')
        .map(({ type, data }) => (type === 'test' ? data : type)),
      ['connect-finish', '1', '2'],
    )
    const changes = seen
      .filter(({ type }) => type === 'sse-state')
      .map(({ data }) => Reflect.get(data as object, 'newState'))
    assert.deepEqual(changes, [Sse.STATE_OPEN])
  })

  it('is not hammered when the server does not know its own connection again', async () => {
    const page = new FakePage()
    const answer = buffer(page)
    await page.createOpen({ reconnectTime: 100 })
    await page.tick(10_100)
    await answer(greeting('p1'))
    await answer(greeting('p2'))
    assert.equal(polls(page).length, 2, 'it waits before it polls again')
    await page.tick(2000)
    assert.equal(polls(page).length, 3)
  })

  it('may be gone some time later: then it is a stream again', async () => {
    const page = new FakePage()
    const answer = buffer(page)
    const sse = await page.createOpen({ reconnectTime: 100 })
    await page.tick(10_100)
    await answer(greeting('p1'))
    for (let minutes = 0; minutes < 10; minutes++) {
      await page.tick(30_000)
      await answer(':\n\n')
      await page.tick(30_000)
      await answer(':\n\n')
    }
    greet(page, { id: 'e-1', finish: { recovered: true } })
    await page.tick(2000)
    assert.equal(page.server.openStreams.length, 1)
    assert.equal(sse.state, Sse.STATE_OPEN)
  })

  it('is nothing that polling helps, if polls do not come through either: both are tried in turn', async () => {
    const page = new FakePage()
    buffer(page)
    await page.createOpen({ reconnectTime: 100 })
    await page.tick(41_000)
    const modes = page.server.connects().map(({ query }) => query.get('mode'))
    assert.deepEqual(modes, [null, 'poll', null, 'poll', null])
  })

  it('leaves nothing behind when destroyed amid a poll', async () => {
    const page = new FakePage()
    const answer = buffer(page)
    const sse = await page.createOpen({ reconnectTime: 100 })
    await page.tick(10_100)
    await answer(greeting('p1'))
    sse.destroy()
    await settle()
    assert.equal(page.server.openRequests, 0)
    assert.equal(page.clock.countTimers(), 0)
    assert.equal(page.listenerCount, 0)
  })
})

describe('odd numbers of a server', () => {
  for (const heartbeatInterval of [-1, 'x', {}, true])
    it(`such as a heartbeat of ${JSON.stringify(heartbeatInterval)} do not become a storm of requests`, async () => {
      const page = new FakePage()
      greet(page, { id: 'e-1', finish: { recovered: true, heartbeatInterval } })
      await page.createOpen()
      await page.tick(50)
      assert.ok(page.server.streams.length <= 20)
      assert.equal(page.server.openStreams.length, 1)
    })
})

describe('another address', () => {
  it('has another log: a listener that goes there when the server closes brings no place along', async () => {
    const page = new FakePage()
    greet(page, { id: 'e-1' }, { id: 'f-1' })
    const { seen, eventListeners } = recorder('sse-gap')
    const sse = await page.createOpen({ eventListeners })
    const end = sse.on('sse-state', () => {
      end()
      sse.switchURL('/other')
    })
    page.server.stream.event('connect-close', { reason: 'server-shutdown' })
    await settle()
    assert.deepEqual(cursors(page), [null, null])
    assert.deepEqual(seen, [])
  })
})

describe('a server that keeps no log any more', () => {
  it('is told as a gap once, not after every reload', async () => {
    const page = new FakePage()
    page.window.sessionStorage.setItem(`sseCursor${BASE}`, 'e-1')
    greet(page, {})
    const { seen, eventListeners } = recorder('sse-gap')
    for (let n = 0; n < 3; n++) (await page.createOpen({ resumeOnReload: true, eventListeners })).destroy()
    assert.equal(seen.length, 1)
  })
})

describe('a hidden page in its grace that is greeted anew', () => {
  it('leaves all the same when the grace is over', async () => {
    const page = new FakePage()
    greet(page, { id: 'e-1' }, { finish: { recovered: true } })
    const sse = await page.createOpen({ hiddenGrace: 3000 })
    await page.hide()
    page.server.stream.event('connect-finish', {
      connectionId: 'c1',
      heartbeatInterval: 15_000,
      recovered: true,
    })
    await settle()
    await page.tick(3000)
    assert.equal(sse.state, Sse.STATE_CLOSED)
  })
})
