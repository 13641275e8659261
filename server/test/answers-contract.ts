import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import fc from 'fast-check'
import type { Claim, KnownKey, Store } from 'tabwire/server'

export interface AnswerLimits {
  answerAge?: number
  maxAnswers?: number
}

/** A store that the contract looks at; each random sequence has a service of its own in it. */
export interface StoreUnderTest {
  readonly store: Store
  /** Lets so many ms pass for the store; without it the contract says nothing of leases and ages. */
  pass?(ms: number): void
}

/** @param limits How much the store may remember: exactly so much. */
export type CreateStore = (limits: AnswerLimits) => StoreUnderTest | Promise<StoreUnderTest>

const RUNS = Number(process.env['FC_RUNS'] ?? 300)

/** What a store is to know, by the simplest means. */
class Model {
  now = 0
  readonly claims = new Map<string, Claim & { until: number }>()
  answers: { key: string; at: number; known: KnownKey }[] = []

  constructor(readonly limits: AnswerLimits) {}

  /** What stands in the way of this holder. */
  known(key: string, holder: string): KnownKey | undefined {
    const { answerAge = Infinity, maxAnswers = Infinity } = this.limits
    this.answers = this.answers.filter(({ at }) => at >= this.now - answerAge).slice(-maxAnswers)
    const answered = this.answers.find((answer) => answer.key === key)
    if (answered !== undefined) return answered.known
    const claim = this.claims.get(key)
    if (claim === undefined || claim.holder === holder || claim.until <= this.now) return undefined
    return { fingerprint: claim.fingerprint }
  }
}

interface World {
  readonly store: Store
  readonly service: string
  readonly model: Model
  pass(ms: number): void
}

interface Step {
  run(world: World): Promise<void> | void
  toString(): string
}

const target = {
  owner: fc.constantFrom('ann', 'bob'),
  key: fc.constantFrom('a', 'b', 'c'),
  holder: fc.constantFrom('x', 'y', 'z'),
  fingerprint: fc.constantFrom('1', '2'),
}

const claim = fc.record({ ...target, lease: fc.integer({ min: 1, max: 20 }) }).map<Step>((step) => ({
  async run({ store, service, model }) {
    const { key, owner, holder, fingerprint, lease } = step
    const known = model.known(key, holder)
    assert.deepEqual(await store.claim(service, key, { owner, holder, fingerprint }, lease), known)
    if (known === undefined) model.claims.set(key, { owner, holder, fingerprint, until: model.now + lease })
  },
  toString: () => `claim ${JSON.stringify(step)}`,
}))

const remember = fc.record({ ...target, answer: fc.string({ maxLength: 9 }) }).map<Step>((step) => ({
  async run({ store, service, model }) {
    const { key, owner, holder, fingerprint, answer } = step
    const known = model.known(key, holder)
    assert.deepEqual(await store.remember(service, key, { owner, holder, fingerprint }, answer), known)
    if (known !== undefined) return
    model.claims.delete(key)
    model.answers.push({ key, at: model.now, known: { fingerprint, answer } })
  },
  toString: () => `remember ${JSON.stringify(step)}`,
}))

const release = fc.record(target).map<Step>((step) => ({
  async run({ store, service, model }) {
    const { key, owner, holder, fingerprint } = step
    assert.equal(await store.release(service, key, { owner, holder, fingerprint }), undefined)
    if (model.claims.get(key)?.holder === holder) model.claims.delete(key)
  },
  toString: () => `release ${JSON.stringify(step)}`,
}))

const pass = fc.integer({ min: 0, max: 12 }).map<Step>((ms) => ({
  run({ model, pass }) {
    model.now += ms
    pass(ms)
  },
  toString: () => `${ms} ms pass`,
}))

async function play(createStore: CreateStore, limits: AnswerLimits, steps: readonly Step[]): Promise<void> {
  const { store, pass = () => {} } = await createStore(limits)
  const world: World = { store, service: randomUUID(), model: new Model(limits), pass }
  for (const step of steps) await step.run(world)
}

/** What every store promises of keys and answers, whatever is asked of it in whatever order. */
export function answersContract(name: string, createStore: (t: TestContext) => CreateStore): void {
  const contract = (promise: string, run: (create: CreateStore) => Promise<void>) =>
    test(`${name}: ${promise}`, (t) => run(createStore(t)))

  const holds = async (create: CreateStore, limits: fc.Arbitrary<AnswerLimits>) => {
    const isTimed = (await create({})).pass !== undefined
    const steps = fc.array(fc.oneof(claim, claim, remember, release, ...(isTimed ? [pass] : [])), {
      maxLength: 60,
    })
    await fc.assert(
      fc.asyncProperty(limits, steps, (limits, steps) => play(create, limits, steps)),
      { numRuns: RUNS },
    )
  }

  contract('a key is granted to one at a time, and after its answer to nobody', (create) =>
    holds(create, fc.constant({})),
  )

  contract('… with bounds on the answers and their age', (create) =>
    holds(
      create,
      fc.record({ answerAge: fc.integer({ min: 1, max: 40 }), maxAnswers: fc.integer({ min: 1, max: 3 }) }),
    ),
  )

  contract('of many that ask at once, one is granted the key', async (create) => {
    const { store } = await create({})
    const service = randomUUID()
    const claims = Array.from({ length: 50 }, (_, n) => ({ owner: 'o', holder: `h${n}`, fingerprint: 'f' }))
    const known = await Promise.all(claims.map((claim) => store.claim(service, 'k', claim, 10_000)))
    assert.equal(known.filter((found) => found === undefined).length, 1)
    assert.ok(known.every((found) => found === undefined || found.fingerprint === 'f'))
    const others = await Promise.all(claims.map((claim) => store.remember(service, 'k', claim, claim.holder)))
    assert.equal(others.filter((found) => found === undefined).length, 1)
  })

  contract('services in one store have keys of their own, of any characters', async (create) => {
    const { store } = await create({})
    const service = randomUUID()
    const mine = { owner: 'o', holder: 'h', fingerprint: 'f' }
    const texts = ['', 'ä"\\\n\0', '{"a":1}', 'x'.repeat(100_000)]
    for (const text of texts) {
      assert.equal(await store.claim(service, text, mine, 10_000), undefined)
      assert.equal(await store.remember(service, text, mine, text), undefined)
    }
    const other = { owner: 'o', holder: 'i', fingerprint: 'g' }
    for (const text of texts) {
      assert.deepEqual(await store.claim(service, text, other, 10_000), { fingerprint: 'f', answer: text })
      assert.equal(await store.claim(`${service}2`, text, other, 10_000), undefined)
    }
  })
}
