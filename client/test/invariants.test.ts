import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type Sse from '../index'
import type { SseEvent } from '../index'
import { BASE, FakePage, json, settle, watch } from './fake'

/** What the gate must be, kept by the simplest means: by what happened. */
class Model {
  asked: 'yes' | 'no' | 'when-shown' | 'failed' = 'yes'
  isAway = false
  constructor(
    readonly page: FakePage,
    readonly connectWhenHidden: boolean,
  ) {}
  get isVisible(): boolean {
    return this.page.visibility === 'visible' && !this.isAway
  }
  get isGateOpen(): boolean {
    const isSeen = this.isVisible || (this.connectWhenHidden && !this.isAway)
    return this.asked === 'yes' && isSeen && this.page.isOnline
  }
  onShown(): void {
    if (this.asked === 'when-shown' && this.isVisible) this.asked = 'yes'
  }
}

interface World {
  page: FakePage
  sse: Sse
  model: Model
  sent: { n: number; promise: ReturnType<typeof watch<Response>> }[]
  /** Messages to be acknowledged, in the order in which they were written; some again. */
  written: number[]
  shown: number[]
}

type Step = readonly [name: string, run: (world: World) => unknown]

const goAway = (event: 'pagehide' | 'freeze') => async (world: World) => {
  world.model.isAway = true
  await (event === 'freeze' ? world.page.onDocument(event) : world.page.onWindow(event))
}
const comeBack = (event: 'pageshow' | 'resume') => async (world: World) => {
  world.model.isAway = false
  world.model.onShown()
  await (event === 'resume' ? world.page.onDocument(event) : world.page.onWindow(event))
}

const STEPS: Step[] = [
  ['hide', ({ page, model }) => page.hide().then(() => model.onShown())],
  [
    'show',
    ({ page, model }) => {
      model.isAway = false
      page.visibility = 'visible'
      model.onShown()
      return page.show()
    },
  ],
  ['pagehide', goAway('pagehide')],
  ['freeze', goAway('freeze')],
  ['pageshow', comeBack('pageshow')],
  ['resume', comeBack('resume')],
  ['offline', ({ page }) => page.goOffline()],
  ['online', ({ page }) => page.goOnline()],
  ['the server ends the stream', ({ page }) => page.server.openStreams[0]?.end()],
  ['the line breaks', ({ page }) => page.server.openStreams[0]?.fail()],
  [
    'the server sends the page away',
    ({ page }) => page.server.openStreams[0]?.event('connect-close', { connectionId: 'x', reason: 'kicked' }),
  ],
  [
    'the server sends the page away for long',
    ({ page, model }) => {
      const [stream] = page.server.openStreams
      if (stream) model.asked = 'when-shown'
      stream?.event('connect-close', { connectionId: 'x', reason: 'evicted', reconnect: false })
    },
  ],
  [
    'the server goes down',
    ({ page }) => {
      page.server.isDown = true
      page.server.openStreams[0]?.fail()
    },
  ],
  [
    'the server comes up',
    ({ page }) => void Object.assign(page.server, { isDown: false, behaviour: () => null }),
  ],
  [
    'the server is overloaded',
    ({ page }) => void Object.assign(page.server, { behaviour: () => json({}, 503) }),
  ],
  [
    'the server is silent',
    ({ page }) => void Object.assign(page.server, { behaviour: () => new Promise(() => {}) }),
  ],
  [
    'the user is signed out',
    ({ page }) => void Object.assign(page.server, { behaviour: () => json({}, 401) }),
  ],
  [
    'connect()',
    ({ sse, model }) => {
      model.asked = 'yes'
      sse.connect()
    },
  ],
  [
    'close()',
    ({ sse, model }) => {
      model.asked = 'no'
      sse.close()
    },
  ],
  [
    'switchURL()',
    ({ sse, model }) => {
      if (model.asked === 'failed') model.asked = 'yes'
      sse.switchURL(sse.options.url === BASE ? '/other' : BASE)
    },
  ],
  ['a message comes', (world) => write(world, world.written.length)],
  ['a message comes again', (world) => void (world.written.length && write(world, 0))],
  ['send()', (world) => send(world)],
  ['on()', ({ sse }) => void sse.on(`event-${Math.random()}`, () => {})],
  ['flush()', ({ sse }) => sse.flush()],
  ['10 ms pass', ({ page }) => page.tick(10)],
  ['a second passes', ({ page }) => page.tick(1000)],
  ['a minute passes', ({ page }) => page.tick(60_000)],
]

const placeOf = (index: number, message: number): string => `e-${index}~${String(message).padStart(4, '0')}`

function write({ page, written }: World, message: number): void {
  const [stream] = page.server.openStreams
  if (!stream) return
  stream.event('order', message, placeOf(written.length, message))
  written.push(message)
}

function send({ sse, sent }: World): void {
  const n = sent.length
  sent.push({ n, promise: watch(sse.send('x', { n })) })
}

function check({ page, sse, model }: World): void {
  const { openStreams, openRequests } = page.server
  assert.ok(openStreams.length <= 1, 'never two streams')
  if (!model.isGateOpen) assert.equal(openStreams.length, 0, 'never a stream while the gate is shut')
  assert.ok(openRequests <= 3, 'at most a stream, a message and a change of listeners under way')
  assert.equal(sse.isActive(), openStreams.length === 1, 'open means that there is a stream')
  assert.equal(sse.connectionId !== undefined, sse.isActive())
  if (!model.isGateOpen) assert.equal(sse.state, 2, 'closed while the gate is shut')
  assert.equal(page.reported.length, 0)
}

const delivered = (page: FakePage): number[] =>
  page.server.posts('/message/').map(({ body }) => JSON.parse(String(body)).n as number)

async function play(steps: readonly Step[], connectWhenHidden: boolean, random: number): Promise<void> {
  const page = new FakePage()
  page.random = random
  const model = new Model(page, connectWhenHidden)
  const onState = ({ error }: SseEvent): void => {
    if (error) model.asked = 'failed'
  }
  Object.assign(page.server.finish, { report: '/connect/report.do' })
  const shown: number[] = []
  const order = ({ data }: SseEvent): void => void shown.push(Number(data))
  const sse = page.create({ connectWhenHidden, eventListeners: { 'sse-state': onState, order } })
  const world: World = { page, sse, model, sent: [], written: [], shown }
  await settle()
  for (const [, run] of steps) {
    await run(world)
    await settle()
    check(world)
  }
  await recover(world)
  checkMessages(world)
  sse.destroy()
  await settle()
  assert.equal(page.clock.countTimers(), 0, 'no timer after destroy')
  assert.equal(page.listenerCount, 0, 'no listener after destroy')
  assert.equal(page.server.openRequests, 0, 'no request after destroy')
  await page.window.happyDOM.close()
}

function checkMessages({ page, written, shown }: World): void {
  assert.deepEqual(shown, [...new Set(written)], 'each message is shown once, in order')
  const { beacons, requests } = page.server
  const told = [...beacons.map(({ body }) => body as URLSearchParams), ...requests.map(({ query }) => query)]
  const places = told.map((parameters) => parameters.get('lastEventId'))
  const last = written.length - 1
  if (last >= 0) assert.ok(places.includes(placeOf(last, written[last] as number)), 'and acknowledged')
}

async function recover({ page, sse, model, sent }: World): Promise<void> {
  Object.assign(page.server, { isDown: false, behaviour: () => null })
  page.isOnline = true
  model.isAway = false
  await page.show()
  model.asked = 'yes'
  sse.connect()
  await page.tick(300_000)
  assert.equal(page.server.openStreams.length, 1, 'eventually a stream while the gate is open')
  assert.equal(sse.state, 1)
  const settled = sent.filter(({ promise }) => promise.state !== 'pending')
  assert.equal(settled.length, sent.length, 'every promise settles')
  const order = delivered(page)
  const firsts = order.filter((n, i) => order.indexOf(n) === i)
  assert.deepEqual(
    firsts,
    sent.map(({ n }) => n),
    'in the order they were sent',
  )
  for (const [i, n] of order.entries())
    assert.ok(n >= (order[i - 1] ?? 0), 'none is tried again behind a later one')
}

describe('whatever happens, in whatever order', () => {
  it('there is never more than one stream, none while the gate is shut, one in the end, and nothing is left or lost', async () => {
    const step = fc
      .constantFrom(...STEPS)
      .map((chosen) =>
        Object.assign([...chosen] as unknown as Step, { [fc.toStringMethod]: () => chosen[0] }),
      )
    // With no delay at all, attempts follow one another without a pause: a few runs of that are enough.
    const random = fc.oneof(
      { weight: 19, arbitrary: fc.double({ min: 0.01, max: 1, maxExcluded: true, noNaN: true }) },
      { weight: 1, arbitrary: fc.constant(0) },
    )
    await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 40 }), fc.boolean(), random, play), {
      numRuns: Number(process.env['FC_RUNS'] ?? 300),
    })
  })
})
