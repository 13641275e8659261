import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import fc from 'fast-check'
import type { Store } from 'tabwire/server'

type Draft = Parameters<Store['append']>[1]
type History = Awaited<ReturnType<Store['read']>>
type Entry = History['entries'][number]

export interface LogLimits {
  maxEvents?: number
  maxBytes?: number
  maxAge?: number
  maxTotalBytes?: number
  maxTopics?: number
}

/** A store that the contract looks at; each random sequence has a service of its own in it. */
export interface StoreUnderTest {
  readonly store: Store
  /** Lets so many ms pass for the store; without it the contract says nothing of ages. */
  pass?(ms: number): void
}

/** @param limits How much the store may keep: exactly so much. */
export type CreateStore = (limits: LogLimits) => StoreUnderTest | Promise<StoreUnderTest>

const TOPICS = ['all', 'user:1', 'user:2', 'tenant:3', 'channel:news']
const RUNS = Number(process.env['FC_RUNS'] ?? 300)

/** Every entry ever, and what the documented bounds leave of them: found anew, by the simplest means, for each read. */
class Model {
  readonly entries: { draft: Draft; at: number; seq: number }[] = []
  now = 0
  epoch = ''

  constructor(readonly limits: LogLimits) {}

  get head(): number {
    return this.entries.at(-1)?.seq ?? 0
  }

  append(draft: Draft, seq: number): void {
    this.entries.push({ draft, at: this.now, seq })
  }

  of(topics: readonly string[]) {
    return this.entries.filter(({ draft }) => draft.topics.some((topic) => topics.includes(topic)))
  }

  behind(topics: readonly string[], seq: number): Entry[] {
    const found = this.of(topics).filter((entry) => entry.seq > seq)
    return found.map(({ draft, seq }) => ({ ...draft, epoch: this.epoch, seq }))
  }

  /** The highest number that the topic has let go: it keeps the longest end of its entries that is within the bounds. */
  floorOf(topic: string): number {
    const { maxEvents = Infinity, maxBytes = Infinity, maxAge = Infinity } = this.limits
    let count = 0
    let bytes = 0
    for (const { draft, at, seq } of this.of([topic]).toReversed()) {
      count++
      bytes += bytesOf(draft)
      if (count > maxEvents || bytes > maxBytes || at < this.now - maxAge) return seq
    }
    return 0
  }

  /** Whether the bounds over all topics may have cost one of these entries. */
  isCrowded(topics: readonly string[], seq: number): boolean {
    const { maxTopics = Infinity, maxTotalBytes = Infinity } = this.limits
    if (new Set(this.entries.flatMap(({ draft }) => draft.topics)).size > maxTopics) return true
    const first = this.of(topics).find((entry) => entry.seq > seq)?.seq ?? Infinity
    const since = this.entries.filter((entry) => entry.seq >= first)
    return since.reduce((sum, { draft }) => sum + mostCostOf(draft), 0) > maxTotalBytes
  }
}

function bytesOf({ name, data }: { name: string; data: string }): number {
  return Buffer.byteLength(name) + Buffer.byteLength(data)
}

/** What an event may count for in all: a store may add what the keeping takes. */
function mostCostOf(draft: { name: string; data: string; key: string; topics: readonly string[] }): number {
  return (
    bytesOf(draft) + draft.key.length + 400 + draft.topics.reduce((sum, topic) => sum + 100 + topic.length, 0)
  )
}

interface World {
  readonly store: Store
  readonly service: string
  readonly model: Model
  readonly heard: Entry[]
  pass(ms: number): void
}

interface Step {
  run(world: World): Promise<void> | void
  toString(): string
}

const topicsArbitrary = fc.subarray(TOPICS, { minLength: 1 })

const append = fc
  .record(
    {
      topics: topicsArbitrary,
      name: fc.constantFrom('a', 'bb', 'ä'),
      data: fc.string({ maxLength: 20, unit: 'grapheme' }),
      listening: fc.boolean(),
      key: fc.constantFrom('', 'k'),
    },
    { noNullPrototype: true },
  )
  .map<Step>((draft) => ({
    async run({ store, service, model, heard }) {
      const before = heard.length
      await store.append(service, draft)
      const [entry, ...more] = heard.slice(before)
      assert.ok(entry && more.length === 0, 'heard once')
      const { seq, epoch, ...rest } = entry
      assert.deepEqual(rest, draft)
      assert.ok(seq > model.head, 'numbers grow')
      model.epoch ||= epoch
      assert.equal(epoch, model.epoch)
      model.append(draft, seq)
    },
    toString: () => `append ${JSON.stringify(draft)}`,
  }))

const pass = fc.integer({ min: 0, max: 8 }).map<Step>((ms) => ({
  run({ model, pass }) {
    model.now += ms
    pass(ms)
  },
  toString: () => `${ms} ms pass`,
}))

/** `back`: so many events ago; below 0 in the future. */
const read = fc
  .record({ topics: topicsArbitrary, back: fc.integer({ min: -2, max: 30 }) })
  .map<Step>(({ topics, back }) => ({
    async run({ store, service, model }) {
      const seq = Math.max(0, model.head - back)
      const { epoch } = await store.read(service, topics)
      const history = await store.read(service, topics, { epoch, seq })
      model.epoch ||= epoch
      check(model, topics, seq, history)
    },
    toString: () => `read ${topics}, ${back} back`,
  }))

const readElsewhere = fc
  .record({ topics: topicsArbitrary, epoch: fc.constantFrom('0', 'other', 'ffffffffff'), seq: fc.nat(5) })
  .map<Step>(({ topics, ...after }) => ({
    async run({ store, service, model }) {
      const { gap, entries, head } = await store.read(service, topics, after)
      assert.deepEqual({ gap, entries, head }, { gap: 'epoch', entries: [], head: model.head })
    },
    toString: () => `read ${topics} behind ${JSON.stringify(after)}`,
  }))

const begin = topicsArbitrary.map<Step>((topics) => ({
  async run({ store, service, model }) {
    const { epoch, ...history } = await store.read(service, topics)
    assert.deepEqual(history, { head: model.head, entries: [] })
    if (model.epoch !== '') assert.equal(epoch, model.epoch)
  },
  toString: () => `read ${topics} from now`,
}))

function check(model: Model, topics: readonly string[], seq: number, history: History): void {
  assert.equal(history.epoch, model.epoch)
  assert.equal(history.head, model.head)
  if (history.gap !== undefined) assert.deepEqual(history.entries, [])
  else assert.deepEqual(history.entries, model.behind(topics, seq), 'all, in order, each once')
  if (seq > model.head) return assert.equal(history.gap, 'epoch')
  const floor = Math.max(...topics.map((topic) => model.floorOf(topic)))
  if (floor > seq) return assert.equal(history.gap, 'floor')
  if (!model.isCrowded(topics, seq)) return assert.equal(history.gap, undefined)
  assert.ok(history.gap === undefined || history.gap === 'floor')
  const bytes = history.entries.reduce((sum, entry) => sum + bytesOf(entry), 0)
  assert.ok(bytes <= (model.limits.maxTotalBytes ?? Infinity), 'more is kept than may be')
}

async function play(createStore: CreateStore, limits: LogLimits, steps: readonly Step[]): Promise<void> {
  const { store, pass = () => {} } = await createStore(limits)
  const world: World = { store, service: randomUUID(), model: new Model(limits), heard: [], pass }
  const release = store.subscribe(world.service, (entry) => world.heard.push(entry))
  for (const step of steps) await step.run(world)
  release()
}

function holds(createStore: CreateStore, limits: fc.Arbitrary<LogLimits>, isTimed = false) {
  const kinds = [append, append, read, readElsewhere, begin, ...(isTimed ? [pass] : [])]
  const steps = fc.array(fc.oneof(...kinds), { maxLength: 80 })
  return fc.assert(
    fc.asyncProperty(limits, steps, (limits, steps) => play(createStore, limits, steps)),
    { numRuns: RUNS },
  )
}

const small = (max: number) => fc.integer({ min: 1, max })

/** What every store promises of its log, whatever is appended and read in whatever order. */
export function logContract(name: string, createStore: (t: TestContext) => CreateStore): void {
  const contract = (promise: string, run: (create: CreateStore) => Promise<void>) =>
    test(`${name}: ${promise}`, (t) => run(createStore(t)))

  contract('a read gives all that was missed, or says that it cannot, with a bound on the events', (create) =>
    holds(create, fc.record({ maxEvents: small(10) })),
  )

  contract('… with a bound on the bytes, also for events beyond all bounds', (create) =>
    holds(create, fc.record({ maxBytes: small(100) })),
  )

  contract('… with bounds on events, bytes and age', async (create) => {
    const { pass } = await create({})
    if (pass === undefined) return
    await holds(create, fc.record({ maxEvents: small(10), maxBytes: small(100), maxAge: small(40) }), true)
  })

  contract('… with a bound on the bytes of all topics together', (create) =>
    holds(create, fc.record({ maxTotalBytes: small(8000) })),
  )

  contract('… with a bound on the topics', (create) => holds(create, fc.record({ maxTopics: small(6) })))

  contract('… with all bounds at once', (create) => {
    const limits = {
      maxEvents: small(20),
      maxBytes: small(200),
      maxTotalBytes: small(12_000),
      maxTopics: small(6),
    }
    return holds(create, fc.record(limits))
  })

  contract('what others get in masses costs a client neither its place nor an event', async (create) => {
    const { store } = await create({ maxEvents: 100 })
    const draft = { name: 'n', listening: false, key: '' }
    const mine = ['all', 'user:1', 'instance:1']
    const { epoch, head } = await store.read('crowd', mine)
    const seqs: number[] = []
    const release = store.subscribe('crowd', ({ seq, topics }) =>
      topics.includes('user:1') ? seqs.push(seq) : 0,
    )
    for (let n = 0; n < 200_000; n++) {
      if (n % 80_000 === 0) await store.append('crowd', { ...draft, topics: ['user:1'], data: `mine ${n}` })
      await store.append('crowd', { ...draft, topics: [`user:${2 + (n % 100)}`], data: String(n) })
    }
    release()
    const history = await store.read('crowd', mine, { epoch, seq: head })
    assert.equal(history.gap, undefined)
    assert.deepEqual(
      history.entries.map(({ seq, data }) => [seq, data]),
      [0, 80_000, 160_000].map((n, index) => [seqs[index], `mine ${n}`]),
    )
    assert.ok(history.head >= 200_003)
  })

  contract('services in one store have logs of their own', async (create) => {
    const { store } = await create({})
    const draft = { topics: ['all'], name: 'n', data: '', listening: false, key: '' }
    const one = await store.read('one', ['all'])
    const two = await store.read('two', ['all'])
    const heard: string[] = []
    const releases = ['one', 'two'].map((service) =>
      store.subscribe(service, () => {
        heard.push(service)
        return service.length
      }),
    )
    assert.equal(await store.append('one', draft), 3)
    assert.deepEqual(heard, ['one'])
    for (const release of releases) release()
    assert.equal(await store.append('two', draft), 0, 'nobody has subscribed any more')
    const after = (place: History) => ({ epoch: place.epoch, seq: place.head })
    assert.equal((await store.read('one', ['all'], after(one))).entries.length, 1)
    assert.equal((await store.read('one', ['all'], after(two))).gap, 'epoch')
  })
}
