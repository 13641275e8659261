import assert from 'node:assert/strict'
import fc from 'fast-check'
import { contractOf, type Limits, type Model, type Step, type Suite, small } from './contract'

const TOPICS = ['user:1', 'user:2', 'user:3', 'token:ä']

class DurationsModel implements Model {
  now = 0
  readonly #max: number
  /** The oldest first. */
  #kept: { topic: string; seconds: number }[] = []

  constructor({ maxDurations = Infinity }: Limits) {
    this.#max = maxDurations
  }

  set(topic: string, seconds: number): void {
    const others = this.#kept.filter((kept) => kept.topic !== topic)
    this.#kept = [...others, { topic, seconds }].slice(-this.#max)
  }

  take(topics: readonly string[]): number | undefined {
    const taken = topics.map((topic) => this.#kept.find((kept) => kept.topic === topic)?.seconds)
    this.#kept = this.#kept.filter(({ topic }) => !topics.includes(topic))
    return taken.findLast((seconds) => seconds !== undefined)
  }
}

const set = fc
  .record({ topic: fc.constantFrom(...TOPICS), seconds: fc.constantFrom(0, 1.5, 90, 1e9) })
  .map<Step<DurationsModel>>(({ topic, seconds }) => ({
    async run({ store, service, model }) {
      await store.setDuration(service, topic, seconds)
      model.set(topic, seconds)
    },
    toString: () => `set ${topic} to ${seconds}`,
  }))

const take = fc.shuffledSubarray(TOPICS).map<Step<DurationsModel>>((topics) => ({
  async run({ store, service, model }) {
    assert.equal(await store.takeDuration(service, topics), model.take(topics))
    assert.equal(await store.takeDuration(`${service}2`, topics), undefined, 'it is another service')
  },
  toString: () => `take ${topics}`,
}))

/** What every store promises of durations. */
export function durationsContract(suite: Suite): void {
  const contract = contractOf(suite)
  const createModel = (limits: Limits) => new DurationsModel(limits)

  contract.holds('a duration is handed out once, and when there are too many the oldest goes', {
    limits: fc.record({ maxDurations: small(4) }),
    topics: [],
    kinds: [set, set, take],
    createModel,
  })
}
