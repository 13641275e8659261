import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { SseEvent } from '../index'
import { json, type SeenRequest, watch } from './fake'
import { FakeBrowser, type FakeTab } from './fake-browser'
import { answer } from './fake-inbox'

type Fault = (typeof FAULTS)[number]
const FAULTS = ['lost before', 'lost after', 'late', 429, 503, 401, 'silent', 'unknown', 'cut'] as const

interface Sent {
  n: number
  lane: string
  /** Whose it is; not known before the first connection. */
  owner: string | undefined
  isTakenBack: boolean
  promise: ReturnType<typeof watch<Response>>
  controller: AbortController
}

class World {
  readonly browser = new FakeBrowser()
  readonly sent: Sent[] = []
  /** What becomes of the next requests. */
  faults: Fault[] = []
  tab!: FakeTab
  /** Who the page last heard that it is. */
  told: string | undefined
  readonly #owners = new Map<unknown, string>()
  constructor(readonly persist: boolean) {}

  async start(): Promise<void> {
    const { inbox, page } = this.browser
    page.server.behaviour = (request) => this.#answer(request)
    // What a handler does takes its time.
    inbox.handler = async (call) => {
      const { wait = 0 } = call.body as { wait?: number }
      if (wait) await this.#after(wait)
      return answer(call.body)
    }
    await this.open('visible')
  }

  async open(visibility: 'visible' | 'hidden'): Promise<void> {
    this.told = undefined
    const onFinish = ({ json: finish }: SseEvent): void => {
      const { connectionId, owner } = finish as { connectionId: string; owner: string }
      this.#owners.set(connectionId, owner)
      this.told = owner
      for (const sent of this.sent) sent.owner ??= owner
    }
    const eventListeners = { 'connect-finish': onFinish }
    const options = { persist: this.persist, maxAttempts: 1000, eventListeners }
    this.tab = await this.browser.openTab(options, visibility)
  }

  /** The line breaks, and the next is another user's. */
  async signIn(owner: string): Promise<void> {
    this.browser.inbox.announce(owner)
    for (const stream of this.browser.page.server.openStreams) stream.fail()
    await this.browser.settle()
  }

  #after(ms: number): Promise<void> {
    return new Promise((resolve) => this.browser.page.clock.setTimeout(() => resolve(), ms))
  }

  #answer(request: SeenRequest): Response | Promise<Response> | null {
    if (request.path.endsWith('/connect') || !request.path.includes('/connect/')) return null
    const { inbox } = this.browser
    // A connection is one user's.
    const owner = this.#owners.get(request.query.get('connectionId')) ?? 'nobody'
    const fault = request.path.includes('disconnect') ? undefined : this.faults.shift()
    const run = (): Promise<Response> =>
      inbox.take(request, owner) ?? Promise.resolve(json({ success: true, code: 200, data: null }))
    switch (fault) {
      case undefined:
        return run()
      case 'lost before':
        throw new TypeError('Failed to fetch')
      case 'lost after':
        return run().then(() => Promise.reject(new TypeError('Failed to fetch')))
      case 'late':
        return this.#after(5000).then(run)
      case 'silent':
        void run()
        return new Promise(() => {})
      case 'unknown':
        return json({}, 404, { 'X-Sse-Error': 'unknown-connection' })
      case 'cut':
        return run().then(halved)
      case 401:
        return json({}, 401)
      default:
        return json({}, fault, { 'Retry-After': '3' })
    }
  }

  send(lane: string, wait: number, timeout: number | undefined): void {
    const n = this.sent.length
    const controller = new AbortController()
    const options = { lane, key: `k${n}`, timeout, signal: controller.signal }
    const promise = watch(this.tab.sse.send(`p${n % 3}`, { n, wait }, {}, {}, options))
    this.sent.push({ n, lane, owner: this.told, isTakenBack: timeout !== undefined, promise, controller })
  }
  abort(index: number): void {
    const sent = this.sent[index % (this.sent.length || 1)]
    // After a reload nobody can.
    if (sent?.promise.state !== 'pending') return
    sent.isTakenBack = true
    sent.controller.abort()
  }
  async reload(): Promise<void> {
    if (!this.persist) return
    await this.browser.settle()
    const { visibility } = this.tab.page
    await this.tab.crash()
    // What was nobody's yet was not kept.
    for (const sent of this.sent) if (!sent.owner) Object.assign(sent, { owner: 'nobody', isTakenBack: true })
    await this.open(visibility)
  }
}

type Step = readonly [name: string, run: (world: World) => unknown]

const toStep = (step: Step): Step =>
  Object.assign([...step] as unknown as Step, { [fc.toStringMethod]: () => step[0] })
const always = (name: string, run: (world: World) => unknown) => fc.constant(toStep([name, run]))

const sendSome = fc
  .record({
    lane: fc.constantFrom('a', 'b', 'c'),
    count: fc.integer({ min: 1, max: 6 }),
    wait: fc.constantFrom(0, 0, 0, 100, 2500),
    timeout: fc.constantFrom(undefined, undefined, undefined, undefined, 0, 50, 4000),
  })
  .map(({ lane, count, wait, timeout }) =>
    toStep([
      `send ${count} in ${lane} (${wait} ms, timeout ${timeout})`,
      (world) => {
        for (let i = 0; i < count; i++) world.send(lane, wait, timeout)
      },
    ]),
  )
const faults = fc
  .array(fc.constantFrom(...FAULTS), { minLength: 1, maxLength: 4 })
  .map((list) => toStep([`faults ${list}`, (world) => void world.faults.push(...list)]))
const abort = fc.nat({ max: 30 }).map((index) => toStep([`abort ${index}`, (world) => world.abort(index)]))
const pass = fc
  .constantFrom(0, 10, 500, 3000, 70_000)
  .map((ms) => toStep([`${ms} ms pass`, (world) => world.browser.tick(ms)]))

const step = fc.oneof(
  { arbitrary: sendSome, weight: 6 },
  { arbitrary: faults, weight: 5 },
  { arbitrary: pass, weight: 5 },
  { arbitrary: abort, weight: 2 },
  always('hide', ({ tab }) => tab.page.hide()),
  always('show', ({ tab }) => tab.page.show()),
  always('leave', ({ tab }) => tab.page.leave()),
  always('come back', ({ tab }) => tab.page.comeBack()),
  always('offline', ({ tab }) => tab.page.goOffline()),
  always('online', ({ tab }) => tab.page.goOnline()),
  always('the line breaks', ({ browser }) => browser.page.server.openStreams[0]?.fail()),
  always('the server ends the stream', ({ browser }) => browser.page.server.openStreams[0]?.end()),
  always('flush()', ({ tab }) => tab.sse.flush()),
  always('close()', ({ tab }) => tab.sse.close()),
  always('connect()', ({ tab }) => tab.sse.connect()),
  always('anna signs in', (world) => world.signIn('anna')),
  always('bert signs in', (world) => world.signIn('bert')),
  always('reload', (world) => world.reload()),
  always('addListener()', ({ tab }) => {
    tab.sse.addListener(`event${Math.random()}`, () => {}).catch(() => {})
  }),
)

async function play(steps: readonly Step[], persist: boolean, random: number): Promise<void> {
  const world = new World(persist)
  const { browser } = world
  browser.page.random = random
  await world.start()
  for (const [, run] of steps) {
    await run(world)
    await browser.settle()
  }
  await recover(world)
  check(world)
  await end(world)
}

async function recover(world: World): Promise<void> {
  const { tab, browser } = world
  world.faults = []
  tab.page.isOnline = true
  await tab.page.comeBack()
  await tab.page.goOnline()
  tab.sse.connect()
  for (const owner of ['anna', 'bert', 'anna']) {
    await world.signIn(owner)
    for (let minute = 0; minute < 3; minute++) await browser.tick(60_000)
  }
}

function check({ sent, browser, persist }: World): void {
  const { numbers, calls } = browser.inbox
  for (const [i, n] of numbers.entries())
    assert.equal(calls[i]?.owner, sent[n as number]?.owner, `${n} goes out as who sent it`)
  assert.equal(new Set(numbers).size, numbers.length, `nothing is done twice: ${numbers}`)
  for (const { n, promise, isTakenBack } of sent) {
    // A promise of before a reload has nobody who waits for it.
    if (!persist) assert.notEqual(promise.state, 'pending', `${n} settles`)
    if (isTakenBack) continue
    assert.ok(numbers.includes(n), `${n} was not taken back, and is done`)
    if (promise.state !== 'pending') assert.equal(promise.value?.status, 200, `${n} is answered`)
  }
  for (const lane of ['a', 'b', 'c']) {
    // What was taken back under way may still arrive, behind what followed it.
    const order = numbers.filter((n) => {
      const one = sent[n as number]
      return one?.lane === lane && !one.isTakenBack
    })
    for (const owner of ['anna', 'bert']) {
      const own = order.filter((n) => sent[n as number]?.owner === owner)
      assert.deepEqual(
        own,
        own.toSorted((a, b) => Number(a) - Number(b)),
        `in order: ${numbers}`,
      )
    }
  }
}

async function end({ tab, browser, persist }: World): Promise<void> {
  if (persist) assert.deepEqual(await browser.kept(), [], 'nothing is kept for ever')
  assert.deepEqual(await tab.sse.pending(), [])
  tab.sse.destroy()
  await browser.settle()
  assert.equal(browser.page.clock.countTimers(), 0, 'no timer after destroy')
  assert.equal(tab.page.listenerCount, 0, 'no listener after destroy')
  assert.deepEqual(tab.page.reported, [])
}

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

describe('whatever becomes of requests, answers, connections and pages', () => {
  for (const persist of [false, true])
    it(`every request is done once and in order, every promise settles, and nothing is left; kept: ${persist}`, async () => {
      const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 25 }), random, (steps, jitter) =>
          play(steps, persist, jitter),
        ),
        { numRuns: Number(process.env['FC_RUNS'] ?? 30) },
      )
    })
})
