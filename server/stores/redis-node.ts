import type { ConnectionRecord } from '../connection'
import { StoreUnavailableError } from '../errors'
import { type Absence, type Arrived, type Leave, NODE_LENGTH, type Peers, type ServiceNode } from '../store'
import type { Topic } from '../topic'
import { Latch } from './latch'
import { createNodeId } from './local-peers'
import { OwnConnections } from './own-connections'
import { RedisEar, type Source } from './redis-ear'
import { isNewcomer, type RedisPresence, redisPresence } from './redis-presence'
import type { Run } from './redis-script'
import type { Settled } from './redis-settling'
import { Rotation } from './rotation'

/** Beats in the time after which a node that gives none counts as dead. */
const BEATS = 4
/** What Redis is told at once. */
const AT_ONCE = 100
/** Beats in which each topic is named once, so that it is known to be followed. */
const NAMED_IN = 5000
/** ms that what is left of a dead node waits for one that tells the application of it. */
const LATE = 60_000
/** Beats that may pass without one being heard, until the line that listens counts as dead. */
const MOST_UNHEARD = 3

/** ms that others are waited for. */
export interface Times {
  /** A send waits for the nodes to say to how many it was written, a question for its answer. */
  readonly countTimeout: number
  /** A node that gives no sign of life counts as dead. */
  readonly nodeTimeout: number
}

/** What a node needs of its service. */
interface Service extends Source {
  readonly run: Run
  /** Who asks in the name of all nodes of this process. */
  readonly asker: string
  /** Messages that were held by it wait no more. @returns which */
  settleRest(settled: Settled): readonly string[]
  readonly times: Times
  ask(node: string, question: unknown): Promise<unknown>
  say(node: string, text: string): Promise<unknown>
  /** Opens the latch when it is heard. */
  listen(node: string, hear: (text: string) => void, listens: Latch): void
  unlisten(node: string): void
  /** Called each time that something may have been said that nobody has heard. @returns its release */
  onRejoin(rejoined: () => void): () => void
  /** The line that listens hears nothing. */
  relisten(): void
  /** @throws StoreUnavailableError if it is shut for longer than a call may wait */
  pass(latch: Latch): Promise<void>
}

/** A node of a service. What it has told Redis it tells again when Redis has forgotten it, or did not hear. */
export class RedisNode implements Peers {
  readonly node = createNodeId()
  readonly #service: Service
  readonly #self: ServiceNode
  readonly #presence: RedisPresence
  readonly #ear: RedisEar
  readonly #releases: (() => void)[]
  readonly #mine = new OwnConnections()
  readonly #changing = new WeakMap<ConnectionRecord, Promise<void>>()
  /** Grows with each change of these, so that Redis knows the later one of two. */
  #changes = 0
  readonly #listens = new Latch()
  #isEnlisted = false
  #enlisting: Promise<void> | undefined
  #isBeating = false
  #unheard = 0
  readonly #named = new Rotation<Topic>()
  /** Messages that have settled, and it has heard so; Redis does not know that yet. */
  #confirmed: readonly string[] = []
  #hasFailed = false
  #isEnded = false

  constructor(service: Service, self: ServiceNode, ended: () => void) {
    this.#service = service
    this.#self = self
    this.#presence = redisPresence(service.run, this.node, service.asker, self.grace ?? 0)
    this.#ear = new RedisEar(service, self, {
      topics: () => [...this.#mine.topics.keys()],
      beSpokenTo: () => this.#beat(),
      echo: (n) => this.#presence.echo(n),
      failed: (error) => this.#failed(error),
    })
    const beating = setInterval(() => void this.#beat(), service.times.nodeTimeout / BEATS).unref()
    this.#releases = [
      () => clearInterval(beating),
      service.onRejoin(() => this.#ear.catchUp()),
      () => service.unlisten(this.node),
      ended,
    ]
    service.listen(this.node, (text) => this.#hear(text), this.#listens)
    this.enlist().catch((error) => this.#failed(error))
  }

  settle(message: string, count: number): void {
    this.#self.settle?.(message, count)
  }

  async arrive(record: ConnectionRecord): Promise<Arrived> {
    await this.enlist()
    if (this.#isEnded) throw new StoreUnavailableError('This service has been closed.', false)
    this.#mine.add(record)
    const arrived = await this.#arriveOrEnlist(record).catch(async (error) => {
      await this.leave(record, { grace: 0 })
      throw error
    })
    // It left meanwhile, and Redis may have heard of that first.
    if (!this.#mine.hasId(record)) await this.#leave(record, { grace: 0 })
    return arrived
  }

  /** One after the other, so that what is told last is how it is. */
  async change(record: ConnectionRecord): Promise<void> {
    const before = this.#changing.get(record)
    const changing = Promise.resolve(before).then(async () => {
      if (this.#mine.has(record)) await this.#tell(() => this.#presence.change(record))
    })
    this.#changing.set(record, changing)
    await changing
  }

  async leave(record: ConnectionRecord, leave: Leave): Promise<void> {
    if (!this.#mine.has(record)) return
    this.#mine.remove(record)
    await this.#leave(record, leave)
  }

  explain(record: ConnectionRecord, absence: Absence): Promise<void> {
    return this.#presence.explain(record, absence)
  }

  takeEnded(newcomer: ConnectionRecord): Promise<ConnectionRecord | undefined> {
    return this.#presence.takeEnded(newcomer)
  }

  isTaken(ended: ConnectionRecord): Promise<boolean> {
    return this.#presence.isTaken(ended)
  }

  list(topic?: Topic): Promise<ConnectionRecord[]> {
    return this.#presence.list(topic)
  }

  find(id: string, mayHaveLeft: boolean): Promise<ConnectionRecord | undefined> {
    return this.#presence.find(id.slice(-NODE_LENGTH), id, mayHaveLeft)
  }

  readonly count = () => this.#presence.count()
  readonly absence = (user: Topic) => this.#presence.absence(user)

  ask(node: string, question: unknown): Promise<unknown> {
    return this.#service.ask(node, question)
  }

  async end(): Promise<void> {
    if (this.#isEnded) return
    this.stop()
    await this.#presence.resign()
  }

  /** Without a word. */
  stop(): void {
    this.#isEnded = true
    for (const release of this.#releases) release()
    this.#ear.close()
  }

  async #arriveOrEnlist(record: ConnectionRecord): Promise<Arrived> {
    try {
      return await this.#presence.arrive(record, ++this.#changes)
    } catch (error) {
      // Redis has forgotten it, or took it for dead. Who enlists tells of all connections, this one too.
      this.#isEnlisted = false
      if (!isNewcomer(error)) throw error
      await this.enlist()
      return this.#presence.arrive(record, ++this.#changes)
    }
  }

  #leave(record: ConnectionRecord, leave: Leave): Promise<void> {
    const unfollowed = this.#mine.forsaken(record)
    const change = ++this.#changes
    return this.#tell(() => this.#presence.leave(record, leave, change, unfollowed))
  }

  /** If Redis does not hear it, it is told all anew. */
  async #tell(tell: () => Promise<void>): Promise<void> {
    try {
      await tell()
    } catch (error) {
      this.#isEnlisted = false
      this.#failed(error)
    }
  }

  /** When this has ended, what is sent to its topics is said to it. */
  enlist(): Promise<void> {
    if (this.#isEnlisted) return Promise.resolve()
    this.#enlisting ??= this.#enlistNow()
      .catch((error) => {
        // Half of it may have been told.
        this.#isEnlisted = false
        throw error
      })
      .finally(() => {
        this.#enlisting = undefined
      })
    return this.#enlisting
  }

  async #enlistNow(): Promise<void> {
    await this.#service.pass(this.#listens)
    this.#ear.hold()
    const place = await this.#presence.enlist(this.#service.times.nodeTimeout, ++this.#changes)
    const topics = [...this.#mine.topics.keys()]
    const records = this.#mine.all()
    // Those that come from now on see to themselves.
    this.#isEnlisted = true
    for (let at = 0; at < topics.length; at += AT_ONCE)
      await this.#presence.follow(++this.#changes, topics.slice(at, at + AT_ONCE))
    for (let at = 0; at < records.length; at += AT_ONCE)
      await Promise.all(records.slice(at, at + AT_ONCE).map((record) => this.#tellAgain(record)))
    this.#ear.begin(place)
  }

  async #tellAgain(record: ConnectionRecord): Promise<void> {
    if (this.#mine.has(record)) await this.#presence.arrive(record, ++this.#changes)
    if (!this.#mine.hasId(record)) await this.#leave(record, { grace: 0 })
  }

  async #beat(): Promise<void> {
    try {
      // While many connections are told anew, it has enlisted, and goes on beating.
      await this.enlist()
    } catch (error) {
      return this.#failed(error)
    }
    if (this.#isBeating || this.#isEnded) return
    this.#isBeating = true
    try {
      const { nodeTimeout } = this.#service.times
      // Who has nobody to tell leaves it to the others.
      const late = this.#self.bereaved === undefined ? LATE : 0
      const named = this.#named.next(this.#mine.topics, NAMED_IN)
      const beaten = await this.#presence.beat(nodeTimeout, late, this.#confirmed, named)
      this.#hasFailed = false
      for (const record of beaten.fallen) this.#self.bereaved?.(record)
      this.#confirmed = this.#service.settleRest(beaten.settled)
      this.#service.see({ epoch: beaten.epoch, seq: beaten.head })
      this.#ear.check(beaten.epoch)
      if (++this.#unheard > MOST_UNHEARD) this.#relisten()
    } catch (error) {
      if (isNewcomer(error)) this.#isEnlisted = false
      else this.#failed(error)
    }
    this.#isBeating = false
    // Not only with the next beat: till then nobody says anything to it.
    if (!this.#isEnlisted) this.enlist().catch((error) => this.#failed(error))
  }

  #relisten(): void {
    this.#unheard = 0
    this.#service.relisten()
  }

  #hear(text: string): void {
    if (this.#isEnded) return
    this.#unheard = 0
    const kind = text[0]
    try {
      if (kind === 'e') this.#ear.hear(text)
      else if (kind === 'q') this.#reply(text).catch((error) => this.#failed(error))
      else if (kind === 'b') this.#ear.hearEcho(text)
      else if (kind === 'w') void this.#beat()
    } catch (error) {
      // What cannot be read was not said by one of us, and must not end the process.
      this.#failed(error)
    }
  }

  /** `q {asker} {n} {question}` */
  async #reply(text: string): Promise<void> {
    const [, asker = '', n = ''] = text.split(' ', 3)
    const question: unknown = JSON.parse(text.slice(4 + asker.length + n.length))
    const answer = (await this.#self.answer?.(question)) ?? null
    await this.#service.say(asker, `a ${n} ${JSON.stringify(answer)}`)
  }

  /** Once, and again only when it has worked meanwhile. */
  #failed(error: unknown): void {
    if (!this.#hasFailed && !this.#isEnded) this.#self.failed?.(error)
    this.#hasFailed = true
  }
}
