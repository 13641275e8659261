import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import type { Claim, KnownKey } from 'tabwire/server'
import { contractOf, type Limits, type Model, type Step, type Suite, small } from './contract'

class AnswersModel implements Model {
  now = 0
  readonly claims = new Map<string, Claim & { until: number }>()
  answers: { key: string; at: number; known: KnownKey }[] = []

  constructor(readonly limits: Limits) {}

  /** The dead run nothing. */
  reopened(): void {
    this.claims.clear()
  }

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

const target = {
  owner: fc.constantFrom('ann', 'bob'),
  key: fc.constantFrom('a', 'b', 'c'),
  holder: fc.constantFrom('x', 'y', 'z'),
  fingerprint: fc.constantFrom('1', '2'),
}

const claim = fc
  .record({ ...target, lease: fc.integer({ min: 1, max: 20 }) })
  .map<Step<AnswersModel>>((step) => ({
    async run({ store, service, model }) {
      const { key, owner, holder, fingerprint, lease } = step
      const known = model.known(key, holder)
      assert.deepEqual(await store.claim(service, key, { owner, holder, fingerprint }, lease), known)
      if (known === undefined) model.claims.set(key, { owner, holder, fingerprint, until: model.now + lease })
    },
    toString: () => `claim ${JSON.stringify(step)}`,
  }))

const remember = fc
  .record({ ...target, answer: fc.string({ maxLength: 9 }) })
  .map<Step<AnswersModel>>((step) => ({
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

const release = fc.record(target).map<Step<AnswersModel>>((step) => ({
  async run({ store, service, model }) {
    const { key, owner, holder, fingerprint } = step
    assert.equal(await store.release(service, key, { owner, holder, fingerprint }), undefined)
    if (model.claims.get(key)?.holder === holder) model.claims.delete(key)
  },
  toString: () => `release ${JSON.stringify(step)}`,
}))

/** What every store promises of keys and answers, whatever is asked of it in whatever order. */
export function answersContract(suite: Suite): void {
  const contract = contractOf(suite)
  const kinds = [claim, claim, claim, remember, release]
  const holds = (promise: string, limits: fc.Arbitrary<Limits>) =>
    contract.holds(promise, { limits, topics: [], kinds, createModel: (limits) => new AnswersModel(limits) })

  holds('a key is granted to one at a time, and after its answer to nobody', fc.constant({}))

  holds(
    '… with bounds on the answers and their age',
    fc.record({ answerAge: small(40), maxAnswers: small(3) }),
  )

  contract('of many that ask at once, one is granted the key', async (create) => {
    const { store } = create({})
    const service = randomUUID()
    const claims = Array.from({ length: 50 }, (_, n) => ({ owner: 'o', holder: `h${n}`, fingerprint: 'f' }))
    const known = await Promise.all(claims.map((claim) => store.claim(service, 'k', claim, 10_000)))
    assert.equal(known.filter((found) => found === undefined).length, 1)
    assert.ok(known.every((found) => found === undefined || found.fingerprint === 'f'))
    const others = await Promise.all(claims.map((claim) => store.remember(service, 'k', claim, claim.holder)))
    assert.equal(others.filter((found) => found === undefined).length, 1)
  })

  contract('services in one store have keys of their own, of any characters', async (create) => {
    const { store } = create({})
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

  const mine = { owner: 'o', holder: 'h', fingerprint: 'f' }
  const other = { owner: 'o', holder: 'i', fingerprint: 'f' }

  contract(
    'answers are kept within the bytes: the oldest go, and one that is too large is not kept',
    async (create) => {
      const { store } = create({ maxAnswerBytes: 100_000 })
      const isKept = async (key: string) => (await store.claim('s', key, other, 1))?.answer !== undefined
      for (let n = 0; n < 1000; n++) await store.remember('s', `k${n}`, mine, 'x'.repeat(9000))
      assert.equal(await isKept('k999'), true)
      assert.equal(await isKept('k980'), false)
      const kept = await Promise.all(Array.from({ length: 1000 }, (_, n) => isKept(`k${n}`)))
      assert.ok(kept.filter(Boolean).length >= 9, `${kept.filter(Boolean).length} of 10`)
      for (let n = 0; n < 1000; n++) await store.remember('s', `small${n}`, mine, '')
      const small = await Promise.all(Array.from({ length: 1000 }, (_, n) => isKept(`small${n}`)))
      assert.ok(small.filter(Boolean).length <= 1000, 'what the keeping takes counts too')
      assert.ok(small.at(-1))
      await store.remember('s', 'huge', mine, 'x'.repeat(100_001))
      assert.equal(await isKept('huge'), false)
      assert.equal(await isKept('small999'), true)
    },
  )

  contract('a user who asks for very much pushes nobody else out of the memory', async (create) => {
    const { store } = create({ maxAnswers: 300, maxUserAnswers: 100, maxUserAnswerBytes: 100_000 })
    const kept = async (owner: string, keys: number) => {
      const known = Array.from({ length: keys }, (_, n) =>
        store.claim('s', `${owner}${n}`, { ...other, owner: `${owner} again` }, 1),
      )
      return (await Promise.all(known)).flatMap((found, n) => (found?.answer === undefined ? [] : n))
    }
    const quiet = Array.from({ length: 10 }, (_, n) => n)
    for (const n of quiet) await store.remember('s', `quiet${n}`, { ...mine, owner: 'quiet' }, 'answer')
    for (let n = 0; n < 1000; n++) await store.remember('s', `many${n}`, { ...mine, owner: 'many' }, 'answer')
    for (let n = 0; n < 50; n++)
      await store.remember('s', `large${n}`, { ...mine, owner: 'large' }, 'x'.repeat(30_000))
    assert.deepEqual(await kept('quiet', 10), quiet)
    assert.deepEqual(
      await kept('many', 1000),
      Array.from({ length: 100 }, (_, n) => 900 + n),
    )
    assert.deepEqual(await kept('large', 50), [47, 48, 49])
    await store.remember('s', 'large50', { ...mine, owner: 'large' }, 'x'.repeat(200_000))
    assert.deepEqual(await kept('large', 51), [50])
    assert.deepEqual(await kept('quiet', 10), quiet)
  })

  contract('what runs is not forgotten, however many answers come meanwhile', async (create) => {
    const { store } = create({ maxAnswers: 2 })
    assert.equal(await store.claim('s', 'slow', mine, 10_000), undefined)
    for (let n = 0; n < 1000; n++) await store.remember('s', `k${n}`, mine, 'answer')
    assert.deepEqual(await store.claim('s', 'slow', other, 10_000), { fingerprint: 'f' })
    assert.equal(await store.remember('s', 'slow', mine, 'at last'), undefined)
    assert.equal((await store.claim('s', 'slow', other, 10_000))?.answer, 'at last')
  })

  contract('an answer is remembered for two days, if nothing else is said', async (create) => {
    const { store, pass } = create({})
    if (pass === undefined) return
    await store.remember('s', 'k', mine, 'answer')
    pass(2 * 24 * 60 * 60 * 1000)
    assert.equal((await store.claim('s', 'k', other, 1))?.answer, 'answer')
    pass(1)
    assert.equal(await store.claim('s', 'k', other, 1), undefined)
  })
}
