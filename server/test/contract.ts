import { randomUUID } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import fc from 'fast-check'
import type { Entry, Store } from 'tabwire/server'
import type { MemoryStoreOptions } from 'tabwire/stores/memory'
import { joinWith } from './service-node'

export type Limits = MemoryStoreOptions

/** A store that a contract looks at. */
export interface StoreUnderTest {
  readonly store: Store
  /** Lets so many ms pass for the store; without it the contracts say nothing of ages. */
  pass?(ms: number): void
  /** Ends the store and opens what it has kept; without it the store has not to outlive its process. */
  reopen?(): void
  close?(): Promise<void> | void
}

/** @param limits How much the store may keep: exactly so much. */
export type CreateStore = (limits: Limits) => StoreUnderTest

/** A kind of store. */
export interface Suite {
  readonly name: string
  /** Random sequences of calls for each promise. */
  readonly runs: number
  /** Events that make a crowd. */
  readonly crowd: number
  readonly cases: Cases
  create(t: TestContext): CreateStore
}

/** What has been tried. */
export class Cases {
  promises = 0
  sequences = 0
  steps = 0

  toString(): string {
    return `${this.promises} promises, ${this.sequences} random sequences, ${this.steps} steps in them`
  }
}

/** What a store is to know, by the simplest means. */
export interface Model {
  now: number
  /** Whoever used the store has died, and it was opened by another. */
  reopened?(): void
}

/** A store, what it is to know, and what was heard of it; each random sequence has one. */
export class World<Known extends Model> {
  readonly service = randomUUID()
  readonly heard: Entry[] = []
  readonly settled: [message: string, count: number][] = []
  readonly model: Known
  readonly #under: StoreUnderTest
  readonly #topics: readonly string[]

  constructor(under: StoreUnderTest, model: Known, topics: readonly string[]) {
    this.model = model
    this.#under = under
    this.#topics = topics
  }

  get store(): Store {
    return this.#under.store
  }

  pass(ms: number): void {
    this.model.now += ms
    this.#under.pass?.(ms)
  }

  async reopen(): Promise<void> {
    if (this.#under.reopen === undefined) return
    this.#under.reopen()
    this.model.reopened?.()
    await this.listen()
  }

  async close(): Promise<void> {
    await this.#under.close?.()
  }

  /** A node with all topics hears what there is to hear. */
  async listen(): Promise<void> {
    await joinWith(this.store, this.service, this.#topics, {
      receive: (entry) => this.heard.push(entry),
      settle: (...settled) => this.settled.push(settled),
    })
  }
}

export interface Step<Known extends Model> {
  run(world: World<Known>): Promise<void> | void
  toString(): string
}

export type Steps<Known extends Model> = fc.Arbitrary<Step<Known>>

const pass = fc.integer({ min: 0, max: 12 }).map<Step<Model>>((ms) => ({
  run: (world) => world.pass(ms),
  toString: () => `${ms} ms pass`,
}))

const reopen = fc.constant<Step<Model>>({
  run: (world) => world.reopen(),
  toString: () => 'reopen',
})

export interface Property<Known extends Model> {
  readonly limits: fc.Arbitrary<Limits>
  readonly kinds: readonly Steps<Known>[]
  /** All that steps use. */
  readonly topics: readonly string[]
  createModel(limits: Limits): Known
}

export interface Contract {
  /** Says something of a store. */
  (promise: string, run: (create: CreateStore) => Promise<void>): void
  /** Says that a store and its model stay alike, whatever is asked in whatever order. */
  holds<Known extends Model>(promise: string, property: Property<Known>): void
}

export function contractOf(suite: Suite): Contract {
  const contract = (promise: string, run: (create: CreateStore) => Promise<void>): void => {
    test(`${suite.name}: ${promise}`, (t) => {
      suite.cases.promises++
      return run(suite.create(t))
    })
  }
  const holds = <Known extends Model>(promise: string, property: Property<Known>): void =>
    contract(promise, (create) => check(suite, create, property))
  return Object.assign(contract, { holds })
}

async function check<Known extends Model>(
  { cases, runs }: Suite,
  create: CreateStore,
  { limits, kinds, topics, createModel }: Property<Known>,
): Promise<void> {
  const probe = create({})
  const all = kinds.map((arbitrary) => ({ arbitrary, weight: 4 }))
  if (probe.pass !== undefined) all.push({ arbitrary: pass, weight: 4 })
  if (probe.reopen !== undefined) all.push({ arbitrary: reopen, weight: 1 })
  await probe.close?.()
  const play = async (limits: Limits, steps: readonly Step<Known>[]): Promise<void> => {
    const world = new World(create(limits), createModel(limits), topics)
    cases.sequences++
    cases.steps += steps.length
    try {
      await world.listen()
      for (const step of steps) await step.run(world)
    } finally {
      await world.close()
    }
  }
  const steps = fc.array(fc.oneof(...all), { maxLength: 80, size: 'max' })
  await fc.assert(fc.asyncProperty(limits, steps, play), { numRuns: runs })
}

/** For bounds that are soon reached. */
export const small = (max: number) => fc.integer({ min: 1, max })
