import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { LimitError, type PendingMessage } from 'tabwire/server'
import { contractOf, type Limits, type Model, type Step, type Suite, small, type World } from './contract'

const TOPICS = ['all', 'user:1', 'user:2', 'tenant:3']

interface Waiting {
  readonly message: PendingMessage
  missing: string[]
  count: number
}

class PendingModel implements Model {
  now = Date.now()
  waiting: Waiting[] = []
  /** What was sent and may be caught up on. */
  sent: { topics: readonly string[]; message: string }[] = []
  readonly settled: [string, number][] = []
  readonly ids: string[] = []
  epoch = ''

  constructor(readonly limits: Limits) {}

  expire(): void {
    for (const { message } of this.waiting) if (message.expiryTime <= this.now) this.takeBack(message.message)
  }

  find(id: string): Waiting | undefined {
    return this.waiting.find(({ message }) => message.message === id)
  }

  /** `undefined`: the bounds may be reached or not; what the keeping takes is up to the store. */
  hasRoomFor(message: PendingMessage): boolean | undefined {
    const { maxPending = Infinity, maxPendingBytes = Infinity } = this.limits
    if (this.waiting.length >= maxPending) return false
    const all = [message, ...this.waiting.map(({ message }) => message)]
    if (all.reduce((sum, each) => sum + leastCostOf(each), 0) > maxPendingBytes) return false
    return all.reduce((sum, each) => sum + mostCostOf(each), 0) <= maxPendingBytes || undefined
  }

  acknowledge(id: string, topics: readonly string[]): void {
    const waiting = this.find(id)
    if (waiting === undefined) return
    const found = waiting.missing.filter((topic) => topics.includes(topic))
    if (waiting.message.recipients.length > 0 && found.length === 0) return
    waiting.missing = waiting.missing.filter((topic) => !topics.includes(topic))
    waiting.count += Math.max(1, found.length)
    if (waiting.missing.length === 0) this.end(waiting)
  }

  takeBack(id: string): boolean {
    const waiting = this.find(id)
    if (waiting === undefined) return false
    this.sent = this.sent.filter(({ message }) => message !== id)
    this.end(waiting)
    return true
  }

  end(waiting: Waiting): void {
    this.waiting = this.waiting.filter((other) => other !== waiting)
    this.settled.push([waiting.message.message, waiting.count])
  }

  of(topics: readonly string[]): PendingMessage[] {
    return this.list.filter((message) => message.topics.some((topic) => topics.includes(topic)))
  }

  get list(): PendingMessage[] {
    return this.waiting.map(({ message, missing }) => ({ ...message, recipients: missing }))
  }
}

function leastCostOf({ name, data }: PendingMessage): number {
  return Buffer.byteLength(name) + Buffer.byteLength(data)
}

function mostCostOf(message: PendingMessage): number {
  const topics = [...message.topics, ...message.recipients]
  return leastCostOf(message) + message.key.length + 600 + 110 * topics.length
}

type PendingStep = Step<PendingModel>

const topicsArbitrary = fc.subarray(TOPICS, { minLength: 1 })
/** Which of the messages so far; none yet, or one too many: one that never was. */
const which = fc.nat(12)
const idOf = ({ model }: World<PendingModel>, which: number): string =>
  model.ids.at(-1 - which) ?? 'never there'

/** Each step ends with that all was heard, and once. */
function step(what: string, run: (world: World<PendingModel>) => Promise<void>): PendingStep {
  return {
    async run(world) {
      world.model.expire()
      await run(world)
      assert.deepEqual(world.settled.toSorted(), world.model.settled.toSorted(), 'heard once, with its count')
    },
    toString: () => what,
  }
}

const hold = fc
  .record(
    {
      topics: topicsArbitrary,
      name: fc.constantFrom('a', 'ä'),
      data: fc.string({ maxLength: 20, unit: 'grapheme' }),
      listening: fc.boolean(),
      key: fc.constantFrom('', 'k'),
      recipients: fc.subarray(['user:1', 'user:2']),
      createTime: fc.constant(1),
      lifetime: fc.integer({ min: 1, max: 60 }),
    },
    { noNullPrototype: true },
  )
  .map(({ lifetime, ...facts }) =>
    step(`hold ${JSON.stringify(facts)} for ${lifetime} ms`, async ({ store, service, model }) => {
      const message = { ...facts, message: randomUUID(), expiryTime: model.now + lifetime }
      const hasRoom = model.hasRoomFor(message)
      const isHeld = await store.hold(service, message).then(
        () => true,
        (error) => {
          assert.ok(error instanceof LimitError, String(error))
          return false
        },
      )
      assert.equal(isHeld, hasRoom ?? isHeld)
      if (!isHeld) return
      model.ids.push(message.message)
      model.waiting.push({ message, missing: [...message.recipients], count: 0 })
      const { expiryTime, recipients, createTime, ...draft } = message
      await store.append(service, draft)
      model.sent.push(draft)
    }),
  )

const holdAgain = which.map((which) =>
  step(`hold the one ${which} back again`, async ({ store, service, model }) => {
    const waiting = model.waiting.at(-1 - which)
    if (waiting !== undefined) await store.hold(service, { ...waiting.message, topics: ['user:9'] })
    assert.deepEqual(await store.pending(service, ['user:9']), [], 'the first is the one that counts')
  }),
)

const acknowledge = fc.record({ which, topics: topicsArbitrary }).map(({ which, topics }) =>
  step(`acknowledge the one ${which} back as ${topics}`, async (world) => {
    const id = idOf(world, which)
    world.model.acknowledge(id, topics)
    assert.equal(await world.store.acknowledge(world.service, id, topics), undefined)
  }),
)

const cancel = which.map((which) =>
  step(`take the one ${which} back`, async (world) => {
    const id = idOf(world, which)
    assert.equal(await world.store.cancel(world.service, id), world.model.takeBack(id))
  }),
)

const pending = topicsArbitrary.map((topics) =>
  step(`what waits for ${topics}`, async ({ store, service, model }) => {
    assert.deepEqual(await store.pending(service, topics), model.of(topics))
    assert.deepEqual(await store.pending(`${service}2`, topics), [], 'it is another service')
  }),
)

const page = fc.record({ offset: fc.nat(6), limit: fc.nat(6) }).map(({ offset, limit }) =>
  step(`${limit} after ${offset}`, async ({ store, service, model }) => {
    const { list } = model
    const expected = { list: list.slice(offset, offset + limit), total: list.length }
    assert.deepEqual(await store.pendingPage(service, offset, limit), expected)
  }),
)

const catchUp = topicsArbitrary.map((topics) =>
  step(`what was missed by ${topics}`, async ({ store, service, model }) => {
    model.epoch ||= (await store.read(service, topics)).epoch
    const { entries, gap } = await store.read(service, topics, { epoch: model.epoch, seq: 0 })
    assert.equal(gap, undefined)
    const sent = model.sent.filter((sent) => sent.topics.some((topic) => topics.includes(topic)))
    assert.deepEqual(
      entries.map(({ message }) => message),
      sent.map(({ message }) => message),
    )
  }),
)

const messageOf = (facts: Partial<PendingMessage> = {}): PendingMessage => ({
  ...{ topics: ['user:1'], name: 'n', data: 'd', listening: false, key: '', message: randomUUID() },
  ...{ createTime: Date.now(), expiryTime: Date.now() + 60_000, recipients: [] },
  ...facts,
})

/** What every store promises of messages that wait to be acknowledged. */
export function pendingContract(suite: Suite): void {
  const contract = contractOf(suite)
  const kinds = [hold, hold, hold, holdAgain, acknowledge, acknowledge, cancel, pending, page, catchUp]
  const holds = (promise: string, limits: fc.Arbitrary<Limits>) =>
    contract.holds(promise, {
      limits,
      topics: TOPICS,
      kinds,
      createModel: (limits) => new PendingModel(limits),
    })

  holds('a message waits till it is acknowledged, taken back or expired; then that is heard', fc.constant({}))

  holds('… with a bound on their count', fc.record({ maxPending: small(6) }))

  holds('… with a bound on their bytes', fc.record({ maxPendingBytes: small(5000) }))

  contract(
    'of many that acknowledge at once, one is counted; or each that is asked for, once',
    async (create) => {
      const { store } = create({})
      const settled: [string, number][] = []
      store.join('hr', { receive: () => 0, settle: (...heard) => void settled.push(heard) })
      const users = Array.from({ length: 20 }, (_, id) => `user:${id}`)
      await store.hold('hr', messageOf({ message: 'any', topics: ['all'] }))
      await store.hold('hr', messageOf({ message: 'each', topics: ['all'], recipients: users }))
      const all = ['any', 'each'].flatMap((message) =>
        [...users, ...users].map((user) =>
          store.acknowledge('hr', message, ['all', user, `instance:${user}`]),
        ),
      )
      await Promise.all(all)
      assert.deepEqual(settled, [
        ['any', 1],
        ['each', 20],
      ])
    },
  )

  contract(
    'what is refused takes nobody else away, and there is room again when one is done',
    async (create) => {
      const { store } = create({ maxPending: 2 })
      const [one, two, three] = ['1', '2', '3'].map((message) => messageOf({ message }))
      assert.ok(one && two && three)
      await store.hold('hr', one)
      await store.hold('hr', two)
      await assert.rejects(store.hold('hr', three), LimitError)
      assert.deepEqual(await store.pending('hr', ['user:1']), [one, two])
      await store.acknowledge('hr', '1', ['user:1'])
      await store.hold('hr', three)
      assert.deepEqual(await store.pending('hr', ['user:1']), [two, three])
    },
  )

  contract('a message for very many does not pass as a few bytes', async (create) => {
    const { store } = create({ maxPendingBytes: 100_000 })
    const recipients = Array.from({ length: 5000 }, (_, id) => `user:${id}`)
    await assert.rejects(store.hold('hr', messageOf({ recipients })), LimitError)
    await assert.rejects(store.hold('hr', messageOf({ topics: recipients })), LimitError)
    assert.equal((await store.pendingPage('hr', 0, 10)).total, 0)
  })

  contract('services in one store have messages of their own, of any characters', async (create) => {
    const { store } = create({})
    const texts = ['', 'ä"\\\n\0', '{"a":1}', '👩‍👩‍👧']
    const messages = texts.map((text) =>
      messageOf({ message: text, topics: [`channel:${text}`], data: text, key: text }),
    )
    for (const message of messages) await store.hold('one', message)
    for (const [at, message] of messages.entries()) {
      assert.deepEqual(await store.pending('one', message.topics), [message])
      assert.deepEqual(await store.pending('two', message.topics), [])
      assert.equal(await store.cancel('two', message.message), false)
      assert.equal(await store.cancel('one', message.message), true, texts[at])
    }
  })

  contract('that very many expire, each at another time, costs what there is to end', async (create) => {
    const { store, pass } = create({})
    if (pass === undefined) return
    const count = suite.crowd / 10
    const now = Date.now()
    // In no order: 7919 is prime.
    for (let n = 0; n < count; n++)
      await store.hold('hr', messageOf({ message: String(n), expiryTime: now + 1 + ((n * 7919) % count) }))
    const started = performance.now()
    for (let left = count; left > 0; left--) {
      pass(1)
      await store.cancel('hr', 'none')
    }
    const ms = performance.now() - started
    assert.equal((await store.pendingPage('hr', 0, 1)).total, 0)
    assert.ok(ms < 4000, `${ms} ms for ${count}`)
  })
}
