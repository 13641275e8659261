import { randomBytes } from 'node:crypto'
import type { Position } from '../cursor'
import type { Draft, Peers, PendingMessage, ServiceNode } from '../store'
import type { Topic } from '../topic'
import { Latch } from './latch'
import { createNodeId } from './local-peers'
import type { Settle } from './local-store'
import type { RedisAnswers } from './redis-answers'
import type { RedisDurations } from './redis-durations'
import type { RedisLink, Writer } from './redis-link'
import type { RedisHistory, RedisLog } from './redis-log'
import { RedisNode, type Times } from './redis-node'
import type { RedisPending } from './redis-pending'
import { BEGIN } from './redis-place'
import type { Run, Script } from './redis-script'
import { type Settled, tellSettled } from './redis-settling'

/** Messages that are remembered to have settled: more than settle between two beats. */
const MOST_SETTLED = 20_000

/** What makes the parts of a service. */
export interface Makers {
  readonly log: (run: Run, asker: string, settle: Settle) => RedisLog
  readonly pending: (run: Run, asker: string, settle: Settle) => RedisPending
  readonly answers: (run: Run) => RedisAnswers
  readonly durations: (run: Run) => RedisDurations
}

/** What others answer to one call. */
interface Tally {
  sum: number
  answers: number
  /** How many will answer; unknown as long as Redis has not said so. */
  expected: number
  resolve: () => void
}

/** One service, as this process takes part in it. */
export class RedisService {
  readonly log: RedisLog
  readonly pending: RedisPending
  readonly answers: RedisAnswers
  readonly durations: RedisDurations
  readonly run: Run
  /** Who asks: what others answer is said to it. */
  readonly asker = createNodeId()
  readonly times: Times
  readonly #base: string
  readonly #link: RedisLink
  readonly #nodes = new Set<RedisNode>()
  readonly #tallies = new Map<number, Tally>()
  readonly #questions = new Map<number, (answer: unknown) => void>()
  /** What is said to the asker is heard. */
  readonly #listens = new Latch()
  /** Of what has settled lately, to hear of each once: it is said, and stands in the books. */
  readonly #settledLately = new Set<string>()
  #calls = 0
  #seen: Position = { epoch: '', seq: 0 }
  #begun: Promise<void> | undefined

  constructor(link: RedisLink, base: string, makers: Makers, times: Times) {
    this.#link = link
    this.#base = base
    this.times = times
    const writer: Writer = { name: this.asker, calls: 0, settled: [] }
    this.run = (script: Script, ...args) => link.run(script, base, writer, args, () => this.#begin())
    this.log = makers.log(this.run, this.asker, this.settle)
    this.pending = makers.pending(this.run, this.asker, this.settle)
    this.answers = makers.answers(this.run)
    this.durations = makers.durations(this.run)
    this.listen(this.asker, (text) => this.#hear(text), this.#listens)
  }

  readonly settle: Settle = (message, count) => {
    if (this.#settledLately.has(message)) return
    this.#settledLately.add(message)
    const [first] = this.#settledLately
    if (this.#settledLately.size > MOST_SETTLED && first !== undefined) this.#settledLately.delete(first)
    for (const node of this.#nodes) node.settle(message, count)
  }

  /** What has settled, from the books: in case that it was not heard when it was said. @returns which messages */
  settleRest(settled: Settled): readonly string[] {
    const messages: string[] = []
    tellSettled(settled, (message, count) => {
      messages.push(message)
      this.settle(message, count)
    })
    return messages
  }

  /** @returns the number of connections it was written to, as far as the nodes say it in time. */
  async append(draft: Draft): Promise<number> {
    const n = ++this.#calls
    const tally = this.#open(n)
    try {
      await this.#link.pass(this.#listens)
      const { heard, ...position } = await this.log.append(draft, n)
      this.see(position)
      return await this.#count(tally, heard)
    } finally {
      this.#tallies.delete(n)
    }
  }

  /** By then its nodes notice it if Redis loses what is kept; not before they have enlisted. */
  async hold(message: PendingMessage): Promise<void> {
    await Promise.all([...this.#nodes].map((node) => node.enlist()))
    await this.pending.hold(message)
  }

  async read(topics: readonly Topic[], after?: Position): Promise<RedisHistory> {
    const history = await this.log.read(topics, after)
    this.see({ epoch: history.epoch, seq: history.head })
    return history
  }

  join(node: ServiceNode): Peers {
    const joined: RedisNode = new RedisNode(this, node, () => this.#nodes.delete(joined))
    this.#nodes.add(joined)
    return joined
  }

  /** Asks another node. @returns nothing if it does not answer in time. */
  async ask(node: string, question: unknown): Promise<unknown> {
    await this.#link.pass(this.#listens)
    const n = ++this.#calls
    const answered = new Promise((resolve) => this.#questions.set(n, resolve))
    const timer = setTimeout(() => this.#answer(n, undefined), this.times.countTimeout)
    try {
      const heard = await this.say(node, `q ${this.asker} ${n} ${JSON.stringify(question)}`)
      if (heard === 0 && !this.#link.isCluster) return undefined
      return await answered
    } finally {
      clearTimeout(timer)
      this.#questions.delete(n)
    }
  }

  pass(latch: Latch): Promise<void> {
    return this.#link.pass(latch)
  }

  /** Redis is not asked any more. */
  close(): void {
    for (const node of [...this.#nodes]) node.stop()
  }

  say(node: string, text: string): Promise<number> {
    return this.#link.publish(`${this.#base}to:${node}`, text)
  }

  listen(node: string, hear: (text: string) => void, listens: Latch): void {
    this.#link.listen(`${this.#base}to:${node}`, hear, listens)
  }

  unlisten(node: string): void {
    this.#link.unlisten(`${this.#base}to:${node}`)
  }

  onRejoin(rejoined: () => void): () => void {
    return this.#link.onRejoin(rejoined)
  }

  relisten(): void {
    this.#link.relisten()
  }

  tell(asker: string, n: number, count: number): void {
    if (asker === this.asker) this.#add(n, count)
    // Nobody is harmed: the sender waits no longer than it has to.
    else this.say(asker, `c ${n} ${count}`).catch(() => {})
  }

  see({ epoch, seq }: Position): void {
    const seen = this.#seen
    if (seen.epoch === '' || (epoch === seen.epoch && seq > seen.seq)) this.#seen = { epoch, seq }
    // It goes on under another epoch. How far the one before reached is to be said, in case that was forgotten.
    else if (epoch !== seen.epoch) this.#begin().catch(() => {})
  }

  #hear(text: string): void {
    const [kind, first = '', second = ''] = text.split(' ', 3)
    if (kind === 'c') this.#add(Number(first), Number(second))
    else if (kind === 's') this.settle(text.slice(3 + first.length), Number(first))
    else if (kind === 'a') this.#answer(Number(first), answerIn(text.slice(3 + first.length)))
  }

  #open(n: number): Tally {
    const tally = { sum: 0, answers: 0, expected: Number.POSITIVE_INFINITY, resolve: () => {} }
    this.#tallies.set(n, tally)
    return tally
  }

  #add(n: number, count: number): void {
    const tally = this.#tallies.get(n)
    if (tally === undefined) return
    tally.sum += count
    tally.answers++
    if (tally.answers >= tally.expected) tally.resolve()
  }

  async #count(tally: Tally, expected: number): Promise<number> {
    tally.expected = expected
    if (tally.answers >= expected) return tally.sum
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, this.times.countTimeout)
      tally.resolve = () => {
        clearTimeout(timer)
        resolve()
      }
    })
    return tally.sum
  }

  #answer(n: number, answer: unknown): void {
    this.#questions.get(n)?.(answer)
  }

  /** Several may find out at once that the log is to be begun. */
  #begin(): Promise<void> {
    this.#begun ??= this.#beginNow().finally(() => {
      this.#begun = undefined
    })
    return this.#begun
  }

  async #beginNow(): Promise<void> {
    const epoch = randomBytes(5).toString('hex')
    const place = await this.run(BEGIN, epoch, this.#seen.epoch, this.#seen.seq)
    const [now, head] = place as [string, string]
    this.#seen = { epoch: now, seq: Number(head) }
  }
}

/** What cannot be read was not said by one of us. */
function answerIn(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
