import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { createRandom, type Random } from '../../e2e/soak/random'
import type { Position } from '../cursor'
import { RedisEar } from '../stores/redis-ear'
import type { RedisHistory } from '../stores/redis-log'

const RUNS = Number(process.env['FC_RUNS'] ?? 300)
const TOPICS = ['a', 'b', 'c']

type Action =
  /** Redis takes the node for dead; what it follows is cleared away, or not yet. */
  | { readonly kind: 'die'; readonly isCleared: boolean }
  /** `restart`: of Redis, with all its data; `wipe`: with none; `forget`: without the last of them. */
  | { readonly kind: 'beat' | 'cut' | 'rejoin' | 'restart' | 'wipe' | 'forget' }
  /** The line loses what is on its way, and nobody notices. */
  | { readonly kind: 'drop' }
  | { readonly kind: 'wait'; readonly ms: number }

const actions = fc.array(
  fc.oneof(
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('die'), isCleared: fc.boolean() }) },
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constantFrom('beat', 'cut', 'rejoin', 'restart', 'wipe', 'forget', 'drop'),
      }),
    },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('wait'), ms: fc.integer({ min: 1, max: 20 }) }) },
  ),
  { maxLength: 60 },
) as fc.Arbitrary<Action[]>

/** A Redis, a node of which it may forget that it is there, and the line by which the node hears. */
class World {
  readonly sent: { seq: number; topic: string }[] = []
  readonly received: number[] = []
  readonly ear: RedisEar
  readonly #random: Random
  readonly #follows = new Set<string>()
  /** Where the logs ended of which this one is the continuation. */
  readonly #past = new Map<string, number>()
  /** Where all began anew the last time. What was before, the log has let go. */
  #start = 0
  /** The log goes on with each restart of Redis under another one. */
  #epoch = 'e0'
  #isAlive = false
  #isConnected = true
  /** Of the events that were said. */
  #count = 0
  /** What is on its way to the node. */
  #said: string[] = []
  #isBeating = false
  #enlisting: Promise<void> | undefined

  constructor(seed: number) {
    this.#random = createRandom(seed)
    this.ear = new RedisEar(
      {
        read: (topics, after) => this.#ask(() => this.#read(topics, after)),
        see: () => {},
        tell: () => {},
      },
      {
        receive: ({ seq }) => this.received.push(seq),
        // From then on it receives all that is there: for those who have come since.
        lost: (_place, reason) => {
          assert.equal(reason, 'epoch', 'what was let go before is of no matter')
          this.received.splice(0)
        },
      },
      {
        topics: () => [...TOPICS],
        beSpokenTo: () => this.beat(),
        echo: (n) => this.#ask(() => this.#say(`b ${n} ${this.#count}`)),
        failed: (error) => assert.fail(String(error)),
      },
    )
  }

  do(action: Action): void {
    if (action.kind === 'die') this.#die(action.isCleared)
    else if (action.kind === 'beat') void this.beat()
    else if (action.kind === 'cut') this.#cut()
    else if (action.kind === 'rejoin') this.rejoin()
    else if (action.kind === 'restart') this.#restart()
    else if (action.kind === 'wipe') this.#wipe()
    else if (action.kind === 'forget') this.#forget()
    else if (action.kind === 'drop') this.#said = []
  }

  /** As a node does: who is told that Redis does not know it, enlists. */
  async beat(): Promise<void> {
    if (this.#isBeating) return
    this.#isBeating = true
    const epoch = await this.#ask(() => {
      if (!this.#isAlive) return undefined
      this.#say(`b 0 ${this.#count}`)
      return this.#epoch
    })
    if (epoch === undefined) await this.#enlist()
    else this.ear.check(epoch)
    this.#isBeating = false
  }

  rejoin(): void {
    if (this.#isConnected) return
    this.#isConnected = true
    this.ear.catchUp()
  }

  expected(): number[] {
    return this.sent.map(({ seq }) => seq).filter((seq) => seq > this.#start)
  }

  /** To one of its topics. */
  send(): void {
    const seq = this.sent.length + 1
    const topic = this.#random.pick(TOPICS)
    this.sent.push({ seq, topic })
    if (this.#isAlive && this.#follows.has(topic))
      this.#say(`e ${this.#epoch} ${seq} asker 1 ${++this.#count}\n${JSON.stringify(draftOf(topic))}`)
  }

  /** Some of what was said arrives. */
  hear(): void {
    for (const text of this.#said.splice(0, this.#delay())) {
      if (text.startsWith('b')) this.ear.hearEcho(text)
      else this.ear.hear(text)
    }
  }

  #enlist(): Promise<void> {
    this.#enlisting ??= this.#enlistNow().finally(() => {
      this.#enlisting = undefined
    })
    return this.#enlisting
  }

  async #enlistNow(): Promise<void> {
    this.ear.hold()
    const place = await this.#ask(() => {
      this.#isAlive = true
      this.#follows.clear()
      return { epoch: this.#epoch, seq: this.sent.length, said: this.#count }
    })
    for (const topic of TOPICS) await this.#ask(() => this.#follows.add(topic))
    this.ear.begin(place)
  }

  #die(isCleared: boolean): void {
    this.#isAlive = false
    if (isCleared) this.#follows.clear()
  }

  #say(text: string): void {
    if (this.#isConnected) this.#said.push(text)
  }

  #cut(): void {
    this.#isConnected = false
    this.#said = []
  }

  #restart(): void {
    this.#cut()
    this.#past.set(this.#epoch, this.sent.length)
    this.#epoch = `e${Number(this.#epoch.slice(1)) + 1}`
  }

  #forget(): void {
    this.#restart()
    this.#past.clear()
    this.#start = this.sent.length
  }

  #wipe(): void {
    this.#restart()
    this.#past.clear()
    this.sent.splice(0)
    this.#start = 0
    this.#count = 0
    this.#die(true)
  }

  #read(topics: readonly string[], { epoch, seq: from }: Position = { epoch: '', seq: 0 }): RedisHistory {
    const place = { epoch: this.#epoch, head: this.sent.length, start: this.#start }
    const isOver = epoch !== this.#epoch && from > (this.#past.get(epoch) ?? -1)
    if (isOver) return { ...place, entries: [], gap: 'epoch' }
    if (from < this.#start) return { ...place, entries: [], gap: 'floor' }
    const behind = this.sent.filter(({ seq, topic }) => seq > from && topics.includes(topic))
    const entries = behind.map(({ seq, topic }) => ({ ...draftOf(topic), epoch: this.#epoch, seq }))
    return { ...place, entries }
  }

  /** It is done some time after it was asked for, and answered some time after that. */
  async #ask<T>(act: () => T): Promise<T> {
    await sleep(this.#delay())
    const result = act()
    await sleep(this.#delay())
    return result
  }

  #delay(): number {
    return this.#random.whole(0, 3)
  }
}

const draftOf = (topic: string) => ({ topics: [topic], name: 'n', data: '', listening: false, key: '' })

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

test('whatever becomes of a node and its line to Redis, it receives each event once, and in order', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  await fc.assert(
    fc.asyncProperty(actions, fc.nat(), async (actions, seed) => {
      const world = new World(seed)
      const pass = async (ms: number, act = () => {}) => {
        for (let at = 0; at < ms; at++) {
          act()
          t.mock.timers.tick(1)
          world.hear()
          await turn()
        }
      }
      void world.beat()
      await pass(40)
      for (const action of actions) {
        world.do(action)
        if (action.kind === 'wait') await pass(action.ms, () => world.send())
      }
      const settle = async () => {
        for (let n = 0; n < 200 && !isDeepStrictEqual(world.received, world.expected()); n++) {
          void world.beat()
          await pass(20)
        }
      }
      world.rejoin()
      await settle()
      // That it hears of what is said now does not mean that it passed over nothing.
      world.send()
      await settle()
      assert.deepEqual(world.received, world.expected())
    }),
    { numRuns: RUNS },
  )
})
