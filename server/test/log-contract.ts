import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { Draft, Entry, History } from 'tabwire/server'
import { contractOf, type Limits, type Model, type Step, type Suite, small } from './contract'
import { joinWith } from './service-node'

const TOPICS = ['all', 'user:1', 'user:2', 'tenant:3', 'channel:news']

/** Every entry ever, and what the documented bounds leave of them: found anew, by the simplest means, for each read. */
class LogModel implements Model {
  readonly entries: { draft: Draft; at: number; seq: number }[] = []
  now = 0
  epoch = ''

  constructor(readonly limits: Limits) {}

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
  .map<Step<LogModel>>((draft) => ({
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

/** `back`: so many events ago; below 0 in the future. */
const read = fc
  .record({ topics: topicsArbitrary, back: fc.integer({ min: -2, max: 30 }) })
  .map<Step<LogModel>>(({ topics, back }) => ({
    async run({ store, service, model }) {
      const seq = back < 0 ? model.head - back : (model.entries.at(-1 - back)?.seq ?? 0)
      const { epoch } = await store.read(service, topics)
      const history = await store.read(service, topics, { epoch, seq })
      model.epoch ||= epoch
      check(model, topics, seq, history)
    },
    toString: () => `read ${topics}, ${back} back`,
  }))

const readElsewhere = fc
  .record({ topics: topicsArbitrary, epoch: fc.constantFrom('0', 'other', 'ffffffffff'), seq: fc.nat(5) })
  .map<Step<LogModel>>(({ topics, ...after }) => ({
    async run({ store, service, model }) {
      const { gap, entries, head } = await store.read(service, topics, after)
      assert.deepEqual({ gap, entries, head }, { gap: 'epoch', entries: [], head: model.head })
    },
    toString: () => `read ${topics} behind ${JSON.stringify(after)}`,
  }))

const begin = topicsArbitrary.map<Step<LogModel>>((topics) => ({
  async run({ store, service, model }) {
    const { epoch, ...history } = await store.read(service, topics)
    assert.deepEqual(history, { head: model.head, entries: [] })
    if (model.epoch !== '') assert.equal(epoch, model.epoch)
  },
  toString: () => `read ${topics} from now`,
}))

function check(model: LogModel, topics: readonly string[], seq: number, history: History): void {
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

/** What every store promises of its log, whatever is appended and read in whatever order. */
export function logContract(suite: Suite): void {
  const contract = contractOf(suite)
  const kinds = [append, append, append, append, read, read, readElsewhere, begin]
  const holds = (promise: string, limits: fc.Arbitrary<Limits>) =>
    contract.holds(promise, { limits, topics: TOPICS, kinds, createModel: (limits) => new LogModel(limits) })

  holds(
    'a read gives all that was missed, or says that it cannot, with a bound on the events',
    fc.record({ maxEvents: small(10) }),
  )

  holds('… with a bound on the bytes, also for events beyond all bounds', fc.record({ maxBytes: small(100) }))

  holds(
    '… with bounds on events, bytes and age',
    fc.record({ maxEvents: small(10), maxBytes: small(100), maxAge: small(40) }),
  )

  holds('… with a bound on the bytes of all topics together', fc.record({ maxTotalBytes: small(8000) }))

  holds('… with a bound on the topics', fc.record({ maxTopics: small(6) }))

  holds(
    '… with all bounds at once',
    fc.record({
      ...{ maxEvents: small(20), maxBytes: small(200), maxTotalBytes: small(12_000) },
      ...{ maxTopics: small(6) },
    }),
  )

  contract('what others get in masses costs a client neither its place nor an event', async (create) => {
    const { store } = create({ maxEvents: 100 })
    const draft = { name: 'n', listening: false, key: '' }
    const mine = ['all', 'user:1', 'instance:1']
    const { epoch, head } = await store.read('crowd', mine)
    const seqs: number[] = []
    const peers = await joinWith(store, 'crowd', mine, {
      receive: ({ seq, topics }) => (topics.includes('user:1') ? seqs.push(seq) : 0),
    })
    for (let n = 0; n < suite.crowd; n++) {
      if (n % (suite.crowd * 0.4) === 0)
        await store.append('crowd', { ...draft, topics: ['user:1'], data: `mine ${n}` })
      await store.append('crowd', { ...draft, topics: [`user:${2 + (n % 100)}`], data: String(n) })
    }
    await peers.end()
    const history = await store.read('crowd', mine, { epoch, seq: head })
    assert.equal(history.gap, undefined)
    assert.deepEqual(
      history.entries.map(({ seq, data }) => [seq, data]),
      [0, 0.4, 0.8].map((part) => part * suite.crowd).map((n, index) => [seqs[index], `mine ${n}`]),
    )
    assert.ok(history.head >= suite.crowd + 3)
  })

  contract('services in one store have logs of their own', async (create) => {
    const { store } = create({})
    const draft = { topics: ['all'], name: 'n', data: '', listening: false, key: '' }
    const one = await store.read('one', ['all'])
    const two = await store.read('two', ['all'])
    const heard: string[] = []
    const join = (service: string) =>
      joinWith(store, service, ['all'], {
        receive: () => {
          heard.push(service)
          return service.length
        },
      })
    const nodes = [await join('one'), await join('two')]
    assert.equal(await store.append('one', draft), 3)
    assert.deepEqual(heard, ['one'])
    for (const node of nodes) await node.end()
    assert.equal(await store.append('two', draft), 0, 'nobody takes part any more')
    const after = (place: History) => ({ epoch: place.epoch, seq: place.head })
    assert.equal((await store.read('one', ['all'], after(one))).entries.length, 1)
    assert.equal((await store.read('one', ['all'], after(two))).gap, 'epoch')
  })

  const event = (topics: string[], data = '123456789') => ({
    topics,
    name: 'n',
    data,
    listening: false,
    key: '',
  })

  contract('what must go takes no newer event with it, though it was for several topics', async (create) => {
    const { store } = create({ maxEvents: 1, maxTotalBytes: 800 })
    await store.append('hr', event(['user:1', 'user:2']))
    const { epoch, head } = await store.read('hr', [])
    await store.append('hr', event(['user:2']))
    await store.append('hr', event(['user:3']))
    const history = await store.read('hr', ['user:2'], { epoch, seq: head })
    assert.equal(history.gap, undefined)
    assert.equal(history.entries.length, 1)
  })

  contract('an event for very many does not pass as a few bytes', async (create) => {
    const { store } = create({ maxTotalBytes: 100_000 })
    const { epoch } = await store.read('hr', [])
    const users = Array.from({ length: 5000 }, (_, id) => `user:${id}`)
    await store.append('hr', event(users))
    assert.equal(
      (await store.read('hr', ['user:1'], { epoch, seq: 0 })).gap,
      'floor',
      'it is too much to keep',
    )
  })

  contract('what is sent is kept as it was, of whatever characters', async (create) => {
    const { store } = create({})
    const texts = ['', 'ä"\\\n\0', '{"a":1}', '👩‍👩‍👧', 'x'.repeat(100_000)]
    const { epoch } = await store.read('hr', [])
    const drafts = texts.map((text) => ({ ...event([`channel:${text}`], text), key: text, message: text }))
    for (const draft of drafts) await store.append('hr', draft)
    for (const { topics, ...draft } of drafts) {
      const { entries } = await store.read('hr', topics, { epoch, seq: 0 })
      assert.deepEqual(
        entries.map(({ seq, epoch, ...entry }) => entry),
        [{ topics, ...draft }],
      )
    }
  })
}
