import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import Sse, { ConnectError, type SseEvent, type StateChange } from '../index'
import { BASE, FakePage, json, settle } from './fake'

/** Records `connect-close` and `sse-state`. */
function recorder() {
  const closes: SseEvent[] = []
  const states: { newState: number; reason: string; error?: Error }[] = []
  const eventListeners = {
    'connect-close': (event: SseEvent) => void closes.push(event),
    'sse-state': (event: SseEvent) => void states.push(event.data as never),
  }
  return { closes, states, eventListeners }
}

describe('a page that becomes visible and hidden', () => {
  it('connects when it is visible, and is open once the server said connect-finish', async () => {
    const page = new FakePage()
    const sse = page.create()
    assert.equal(sse.state, Sse.STATE_CONNECTING)
    await settle()
    assert.equal(sse.state, Sse.STATE_OPEN)
    assert.equal(sse.isActive(), true)
    assert.equal(sse.connectionId, 'c1')
    assert.equal(sse.connectionName, 'hr')
    assert.equal(sse.serverVersion, '9.9.9')
  })

  it('does not connect when it is made in a hidden tab, but does once it is shown', async () => {
    const page = new FakePage()
    page.visibility = 'hidden'
    const sse = await page.createOpen()
    assert.equal(page.server.streams.length, 0)
    assert.equal(sse.state, Sse.STATE_CLOSED)
    await page.show()
    assert.equal(sse.state, Sse.STATE_OPEN)
  })

  it('tells the server goodbye when hidden, with the reason and the durations', async () => {
    const page = new FakePage()
    const { closes, eventListeners } = recorder()
    const sse = await page.createOpen({ eventListeners, query: { token: 't' } })
    await page.tick(2000)
    await page.hide()
    assert.equal(page.server.openRequests, 0)
    assert.equal(sse.connectionId, undefined)
    const [beacon] = page.server.beacons
    assert.equal(beacon?.path, `${BASE}/connect/disconnect.do`)
    assert.equal(beacon?.query.get('token'), 't')
    const goodbye = Object.fromEntries(beacon?.body as URLSearchParams)
    assert.deepEqual(goodbye, {
      connectionId: 'c1',
      reason: 'visibilitychange',
      sessionDuration: '2',
      duration: '0',
    })
    assert.equal(closes.length, 1)
    assert.equal(closes[0]?.whoTriggerClose, 'client')
    assert.equal(closes[0]?.closeReason, 'visibilitychange')
  })

  it('says goodbye with its headers where a beacon could not carry them', async () => {
    const page = new FakePage()
    await page.createOpen({ headers: () => ({ Authorization: 'Bearer 1' }) })
    await page.hide()
    assert.equal(page.server.beacons.length, 0)
    const [goodbye] = page.server.posts('disconnect.do')
    assert.equal(goodbye?.headers.get('Authorization'), 'Bearer 1')
  })

  it('ends connected with one stream after quick hides and shows', async () => {
    const page = new FakePage()
    const sse = await page.createOpen()
    for (let flip = 0; flip < 50; flip++) {
      page.visibility = flip % 2 === 0 ? 'hidden' : 'visible'
      page.window.document.dispatchEvent(new page.window.Event('visibilitychange'))
      if (flip % 3 === 0) await settle()
    }
    await settle()
    assert.equal(page.server.openStreams.length, 1)
    assert.equal(sse.state, Sse.STATE_OPEN)
  })

  it('stays connected through a hiddenGrace, and leaves after it', async () => {
    const page = new FakePage()
    const sse = await page.createOpen({ hiddenGrace: 3000 })
    await page.hide()
    await page.tick(2999)
    assert.equal(sse.connectionId, 'c1')
    await page.show()
    await page.tick(10_000)
    assert.equal(sse.connectionId, 'c1')
    await page.hide()
    await page.tick(3000)
    assert.equal(page.server.openStreams.length, 0)
    assert.equal(sse.state, Sse.STATE_CLOSED)
  })

  it('opens nothing in a grace whose stream broke', async () => {
    const page = new FakePage()
    await page.createOpen({ hiddenGrace: 60_000 })
    await page.hide()
    page.server.stream.fail()
    await page.tick(50_000)
    assert.equal(page.server.streams.length, 1)
  })

  it('connects and stays connected while hidden if connectWhenHidden says so', async () => {
    const page = new FakePage()
    page.visibility = 'hidden'
    const sse = await page.createOpen({ connectWhenHidden: true })
    await page.show()
    await page.hide()
    assert.equal(sse.connectionId, 'c1')
  })

  it('leaves on pagehide and returns on pageshow even if visibility never changes, as on iOS', async () => {
    const page = new FakePage()
    const sse = await page.createOpen()
    await page.onWindow('pagehide')
    assert.equal(page.server.openStreams.length, 0)
    await page.onWindow('pageshow')
    assert.equal(sse.connectionId, 'c2')
  })

  for (const proof of ['resume', 'pageshow', 'visibilitychange']) {
    it(`leaves when frozen and returns when only ${proof} comes`, async () => {
      const page = new FakePage()
      const sse = await page.createOpen({ connectWhenHidden: true, hiddenGrace: 60_000 })
      await page.onDocument('freeze')
      assert.equal(page.server.openStreams.length, 0)
      await (proof === 'pageshow' ? page.onWindow(proof) : page.onDocument(proof))
      assert.equal(sse.state, Sse.STATE_OPEN)
    })
  }

  it('leaves when offline and returns at once when online', async () => {
    const page = new FakePage()
    const { states, eventListeners } = recorder()
    await page.createOpen({ eventListeners })
    await page.goOffline()
    assert.equal(page.server.openStreams.length, 0)
    await page.goOnline()
    assert.equal(page.server.openStreams.length, 1)
    assert.deepEqual(
      states.map(({ newState, reason }) => [newState, reason]),
      [
        [1, 'connect-finish'],
        [2, 'offline'],
        [0, 'online'],
        [1, 'connect-finish'],
      ],
    )
  })
})

describe('a line that breaks', () => {
  it('is dialled again after a random time below the base, which doubles up to 30 s', async () => {
    const page = new FakePage()
    page.server.isDown = true
    page.random = 1
    await page.createOpen({ reconnectTime: 1000 })
    const delays: number[] = []
    for (let attempt = 1; attempt <= 8; attempt++) {
      const started = page.clock.now
      while (page.server.requests.length === attempt)
        await page.tick(page.clock.countTimers() ? 50 : assert.fail('no timer'))
      delays.push(page.clock.now - started)
    }
    assert.deepEqual(delays, [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000])
  })

  it('waits as long as the server wishes by retry:, unless the option says otherwise', async () => {
    for (const [reconnectTime, expected] of [
      [null, 7000],
      [400, 400],
    ] as const) {
      const page = new FakePage()
      page.random = 0.9999
      await page.createOpen({ reconnectTime })
      page.server.stream.write('retry: 7000\n\n')
      await settle()
      page.server.stream.fail()
      await page.tick(expected - 10)
      assert.equal(page.server.streams.length, 1)
      await page.tick(10)
      assert.equal(page.server.streams.length, 2)
    }
  })

  it('starts the delays anew only after a stream that lived, not after one that merely opened', async () => {
    const page = new FakePage()
    page.random = 0.9999
    await page.createOpen({ reconnectTime: 1000 })
    page.server.stream.fail()
    await page.tick(1000)
    page.server.stream.fail()
    await page.tick(1000)
    assert.equal(page.server.streams.length, 2)
    await page.tick(1000)
    assert.equal(page.server.streams.length, 3)
    await page.tick(5000)
    page.server.stream.end()
    await page.tick(1000)
    assert.equal(page.server.streams.length, 4)
  })

  it('obeys Retry-After of a refused connect', async () => {
    const page = new FakePage()
    page.random = 0
    page.server.behaviour = (_, server) =>
      server.requests.length === 1 ? json({}, 503, { 'Retry-After': '12' }) : null
    await page.createOpen()
    await page.tick(11_999)
    assert.equal(page.server.requests.length, 1)
    await page.tick(1)
    assert.equal(page.server.streams.length, 1)
  })

  it('opens nothing while hidden, even if the wait ends then', async () => {
    const page = new FakePage()
    await page.createOpen()
    page.server.stream.fail()
    await settle()
    page.visibility = 'hidden'
    await page.tick(120_000)
    assert.equal(page.server.streams.length, 1)
    assert.equal(page.clock.countTimers(), 0)
    await page.show()
    assert.equal(page.server.openStreams.length, 1)
  })

  it('is dialled at once by connect() during the wait', async () => {
    const page = new FakePage()
    const sse = await page.createOpen({ reconnectTime: 20_000 })
    page.server.stream.fail()
    await settle()
    assert.equal(sse.state, Sse.STATE_CONNECTING)
    sse.connect()
    await settle()
    assert.equal(page.server.openStreams.length, 1)
  })

  it('is given up and dialled anew if connect-finish does not come', async () => {
    const page = new FakePage()
    const { states, eventListeners } = recorder()
    page.server.behaviour = (_, server) =>
      server.requests.length === 1 ? new Promise<Response>(() => {}) : null
    const sse = await page.createOpen({ eventListeners })
    await page.tick(30_000)
    assert.equal(sse.state, Sse.STATE_OPEN)
    assert.equal(page.server.openRequests, 1)
    assert.deepEqual(
      states.map(({ reason }) => reason),
      ['connect-finish'],
    )
  })

  it('is one stream still when connect() is called twice', async () => {
    const page = new FakePage()
    const sse = await page.createOpen()
    sse.connect()
    sse.connect()
    await settle()
    assert.equal(page.server.streams.length, 1)
  })

  it('carries the query in a body when the address would grow too long', async () => {
    const page = new FakePage()
    const names = Array.from({ length: 500 }, (_, i) => `event-${i}`)
    await page.createOpen({ eventListeners: names, query: { token: 't' } })
    const [request] = page.server.connects()
    assert.equal(request?.method, 'POST')
    assert.equal(request?.query.get('token'), 't')
    assert.equal(new URLSearchParams(String(request?.body)).get('listeners'), names.join(','))
    assert.equal(page.server.openStreams.length, 1)
  })
})

describe('an end for good', () => {
  for (const status of [204, 401, 403, 404]) {
    it(`comes with ${status}: a typed error, and no further attempt before connect()`, async () => {
      const page = new FakePage()
      const { states, eventListeners } = recorder()
      page.server.behaviour = () => (status === 204 ? new Response(null, { status }) : json({}, status))
      const sse = await page.createOpen({ eventListeners })
      await page.tick(600_000)
      await page.hide()
      await page.show()
      assert.equal(page.server.requests.length, 1)
      assert.equal(sse.state, Sse.STATE_CLOSED)
      const error = states.find((state) => state.error)?.error
      assert.ok(error instanceof ConnectError)
      assert.equal(error.name, 'ConnectError')
      assert.equal(error.status, status)
      page.server.behaviour = () => null
      sse.connect()
      await settle()
      assert.equal(sse.state, Sse.STATE_OPEN)
    })
  }

  it('comes with a page instead of a stream', async () => {
    const page = new FakePage()
    const { states, eventListeners } = recorder()
    page.server.behaviour = () => new Response('<html>', { headers: { 'Content-Type': 'text/html' } })
    await page.createOpen({ eventListeners })
    await page.tick(600_000)
    assert.equal(page.server.requests.length, 1)
    assert.match(String(states[0]?.error), /No event stream/)
  })

  it('does not come with a 401 if the headers function has a better answer', async () => {
    const page = new FakePage()
    let asked = 0
    page.server.behaviour = ({ headers }) =>
      headers.get('Authorization') === 'Bearer 2' ? null : json({}, 401)
    const sse = await page.createOpen({ headers: async () => ({ Authorization: `Bearer ${++asked}` }) })
    assert.equal(sse.state, Sse.STATE_OPEN)
    assert.equal(page.server.requests.length, 2)
  })

  for (const status of [400, 408, 429, 500, 502, 503]) {
    it(`does not come with ${status}: that is tried again`, async () => {
      const page = new FakePage()
      page.server.behaviour = (_, server) => (server.requests.length === 1 ? json({}, status) : null)
      const sse = await page.createOpen()
      await page.tick(5000)
      assert.equal(sse.state, Sse.STATE_OPEN)
    })
  }

  it('does not come when the headers function fails: that is tried again', async () => {
    const page = new FakePage()
    let asked = 0
    const headers = () =>
      ++asked === 1 ? Promise.reject(new Error('no token yet')) : Promise.resolve({ 'X-A': '1' })
    const sse = await page.createOpen({ headers })
    await page.tick(5000)
    assert.equal(sse.state, Sse.STATE_OPEN)
  })
})

describe('a server that sends the page away', () => {
  it('is believed, and visited again if the page is visible', async () => {
    const page = new FakePage()
    const { closes, states, eventListeners } = recorder()
    const sse = await page.createOpen({ eventListeners })
    page.server.stream.event('connect-close', { connectionId: 'c1', reason: 'logged out', reconnect: true })
    await settle()
    assert.equal(closes[0]?.whoTriggerClose, 'server')
    assert.equal(closes[0]?.closeReason, 'logged out')
    assert.equal(states.at(-1)?.reason, 'logged out')
    assert.equal(page.server.openStreams.length, 0)
    assert.equal(page.server.beacons.length, 0)
    await page.tick(2000)
    assert.equal(sse.connectionId, 'c2')
  })

  it('is not visited again before the page is shown anew, if it says so', async () => {
    const page = new FakePage()
    const sse = await page.createOpen()
    page.server.stream.event('connect-close', { connectionId: 'c1', reason: 'too many', reconnect: false })
    await page.tick(600_000)
    await page.goOffline()
    await page.goOnline()
    assert.equal(sse.state, Sse.STATE_CLOSED)
    assert.equal(page.server.streams.length, 1)
    await page.hide()
    await page.show()
    assert.equal(sse.state, Sse.STATE_OPEN)
  })

  it('may be the original one, which gives no reason', async () => {
    const page = new FakePage()
    const { closes, eventListeners } = recorder()
    await page.createOpen({ eventListeners })
    page.server.stream.event('connect-close', '{"connectionId": "c1"}')
    await settle()
    assert.equal(closes[0]?.closeReason, 'server-close')
  })
})

describe('close, connect, switchURL and destroy', () => {
  it('stays closed through showing, resuming and coming online, until connect()', async () => {
    const page = new FakePage()
    const { closes, eventListeners } = recorder()
    const sse = await page.createOpen({ eventListeners })
    sse.close()
    assert.equal(sse.state, Sse.STATE_CLOSED)
    assert.equal(closes[0]?.closeReason, 'close')
    await page.hide()
    await page.show()
    await page.onDocument('resume')
    await page.onWindow('pageshow')
    await page.onWindow('online')
    await page.tick(600_000)
    assert.equal(page.server.streams.length, 1)
    sse.connect()
    await settle()
    assert.equal(sse.connectionId, 'c2')
  })

  it('never opens if closed before its first turn', async () => {
    const page = new FakePage()
    const sse = page.create()
    sse.close()
    await settle()
    assert.equal(page.server.requests.length, 0)
    assert.equal(sse.state, Sse.STATE_CLOSED)
  })

  it('may be connected again from the listener that hears of the close', async () => {
    const page = new FakePage()
    const sse: Sse = page.create({ eventListeners: { 'connect-close': () => sse.connect() } })
    await settle()
    sse.close()
    await settle()
    assert.equal(page.server.openStreams.length, 1)
    assert.equal(sse.state, Sse.STATE_OPEN)
  })

  it('goes on at another address', async () => {
    const page = new FakePage()
    const sse = await page.createOpen()
    sse.switchURL('/other/')
    await settle()
    assert.equal(page.server.openStreams.length, 1)
    assert.equal(page.server.stream.request.path, '/other/connect')
    assert.equal(sse.options.url, '/other')
    assert.equal(page.server.beacons[0]?.path, `${BASE}/connect/disconnect.do`)
    sse.close()
    sse.switchURL(BASE)
    await settle()
    assert.equal(page.server.openStreams.length, 0)
  })

  it('leaves nothing behind when destroyed, whatever it was doing', async () => {
    const setups: Record<string, (page: FakePage) => void | Promise<void>> = {
      open: () => {},
      'waiting for a retry': (page) => page.server.stream.fail(),
      hidden: (page) => page.hide(),
      'in its grace': (page) => page.hide(),
      idle: (page) => page.tick(20_000),
    }
    for (const [name, setup] of Object.entries(setups)) {
      const page = new FakePage()
      const globals = Object.keys(page.window).length
      const sse = await page.createOpen({ hiddenGrace: name === 'in its grace' ? 9000 : 0 })
      await setup(page)
      await settle()
      page.server.behaviour = ({ path }) =>
        path.includes('/message/') ? new Promise<Response>(() => {}) : null
      const sent = sse.send('x', {}, {}, {}, { timeout: 60_000 })
      await settle()
      sse.destroy()
      sse.destroy()
      await assert.rejects(sent, { name: 'DestroyedError' })
      await settle()
      assert.equal(page.listenerCount, 0, `${name}: listeners`)
      assert.equal(page.clock.countTimers(), 0, `${name}: timers`)
      assert.equal(page.server.openRequests, 0, `${name}: requests`)
      assert.equal(Object.keys(page.window).length, globals, `${name}: globals`)
      sse.connect()
      await page.show()
      assert.equal(page.server.openRequests, 0, `${name}: revived`)
      assert.equal(sse.state, Sse.STATE_CLOSED)
    }
  })
})

describe('the headers option', () => {
  it('may give nothing: hiding, closing and destroying work all the same', async () => {
    const page = new FakePage()
    const sse = await page.createOpen({ headers: () => undefined })
    await page.hide()
    assert.equal(sse.state, Sse.STATE_CLOSED)
    assert.equal(page.server.beacons.length, 1)
    sse.destroy()
    assert.equal(page.listenerCount, 0)
  })

  it('may be a Headers object: every request carries it, also the connect and the goodbye', async () => {
    const page = new FakePage()
    const sse = await page.createOpen({ headers: new Headers({ Authorization: 'Bearer 1' }) })
    await sse.send('x')
    await page.hide()
    const seen = page.server.requests.map(({ headers }) => headers.get('Authorization'))
    assert.deepEqual(seen, ['Bearer 1', 'Bearer 1', 'Bearer 1'])
  })

  it('never says what the body is: the goodbye stays a form', async () => {
    const page = new FakePage()
    await page.createOpen({ headers: { 'Content-Type': 'application/json', 'X-A': '1' } })
    await page.hide()
    const [goodbye] = page.server.posts('disconnect.do')
    assert.equal(goodbye?.headers.get('Content-Type'), null)
    assert.ok(goodbye?.body instanceof URLSearchParams)
  })

  it('that never answers stops neither the stream nor the outbox for good', async () => {
    const page = new FakePage()
    let isSilent = true
    const headers = () => (isSilent ? new Promise<never>(() => {}) : {})
    const sse = await page.createOpen({ headers })
    isSilent = false
    await page.tick(25_000)
    assert.equal(sse.state, Sse.STATE_OPEN)
    isSilent = true
    const first = sse.send('x', {}, {}, {}, { timeout: 1000 })
    const rejected = assert.rejects(first, { name: 'ExpiredError' })
    await page.tick(1000)
    await rejected
    isSilent = false
    assert.equal((await sse.send('x')).status, 200)
  })

  it('that fails is reported, so that its author hears of it', async () => {
    const page = new FakePage()
    await page.createOpen({
      headers: () => {
        throw new Error('no token')
      },
    })
    assert.match(String(page.reported[0]), /no token/)
  })
})

describe('what the listeners find', () => {
  it('is a closed state when they hear of the end, and the states in their order', async () => {
    const page = new FakePage()
    const seen: unknown[] = []
    const sse: Sse = page.create({
      eventListeners: {
        'connect-close': () => seen.push(['close', sse.state, sse.isActive()]),
        'sse-change-active': () => {
          seen.push(['active', sse.state])
          sse.connect()
        },
        'sse-state': (event: SseEvent<StateChange>) => seen.push(event.data.newState),
      },
    })
    await settle()
    sse.close()
    await settle()
    assert.equal(sse.state, Sse.STATE_OPEN)
    assert.deepEqual(seen.slice(0, 3), [1, 2, ['active', 2]])
    assert.deepEqual(
      seen.filter((entry) => typeof entry === 'number'),
      [1, 2, 0, 1],
    )
  })

  it('is no connect-finish if the page was closed when it heard of the state', async () => {
    const page = new FakePage()
    const seen: string[] = []
    const sse: Sse = page.create({
      eventListeners: {
        'sse-state': () => sse.destroy(),
        'connect-finish': () => seen.push('connect-finish'),
      },
    })
    await settle()
    assert.deepEqual(seen, [])
    assert.equal(page.clock.countTimers(), 0)
  })
})

describe('an event of the backend', () => {
  it('that has the name of a page event says nothing of the page', async () => {
    const page = new FakePage()
    const names = ['pagehide', 'freeze', 'offline', 'pageshow']
    const sse = await page.createOpen({ eventListeners: names })
    for (const name of names) page.server.stream.event(name, 'x')
    await settle()
    assert.equal(sse.connectionId, 'c1')
  })
})

describe('odd answers of a server', () => {
  it('such as a Retry-After of a month do not become a storm of requests', async () => {
    const page = new FakePage()
    page.server.behaviour = () => json({}, 503, { 'Retry-After': '3000000' })
    await page.createOpen()
    await page.tick(60_000)
    assert.equal(page.server.requests.length, 1)
  })

  it('such as no number for a delay do not either', async () => {
    const page = new FakePage()
    page.server.finish = { reconnectTime: 'abc' }
    await page.createOpen()
    page.server.isDown = true
    page.server.stream.fail()
    await page.tick(900)
    assert.equal(page.server.requests.length, 1)
  })

  it('such as a farewell that is no JSON count as a farewell', async () => {
    const page = new FakePage()
    const { closes, eventListeners } = recorder()
    await page.createOpen({ eventListeners })
    page.server.stream.event('connect-close', 'bye')
    await settle()
    assert.equal(closes[0]?.closeReason, 'server-close')
  })

  it('such as a duration that is none do not break the stream', async () => {
    const page = new FakePage()
    const sse = await page.createOpen()
    for (const data of ['null', 'abc', '']) page.server.stream.event('sse-set-duration', data)
    await settle()
    assert.equal(sse.connectionId, 'c1')
  })
})

describe('an address', () => {
  it('that is none is refused before anything changes', async () => {
    const page = new FakePage()
    const sse = await page.createOpen()
    for (const url of ['http://a b', 'http://', '//', '/sse?x=1', '/sse#x', '', 7 as never]) {
      assert.throws(() => sse.switchURL(url), { name: 'TypeError', message: /"url"/ }, String(url))
      assert.throws(() => page.create({ url }), { name: 'TypeError', message: /"url"/ }, String(url))
    }
    assert.equal(sse.connectionId, 'c1')
    assert.equal(sse.options.url, BASE)
  })

  it('is the new one even if a listener connects when it hears of the end', async () => {
    const page = new FakePage()
    const sse: Sse = page.create({ eventListeners: { 'connect-close': () => sse.connect() } })
    await settle()
    sse.switchURL('/other')
    await settle()
    assert.equal(page.server.openStreams.length, 1)
    assert.equal(page.server.openStreams[0]?.request.path, '/other/connect')
  })

  it('may be tried after another was given up for good', async () => {
    const page = new FakePage()
    page.server.behaviour = (request) => (request.path.startsWith('/other') ? null : json({}, 404))
    const sse = await page.createOpen()
    assert.equal(sse.state, Sse.STATE_CLOSED)
    sse.switchURL('/other')
    await settle()
    assert.equal(sse.state, Sse.STATE_OPEN)
  })
})
