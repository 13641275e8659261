import { setTimeout as sleep } from 'node:timers/promises'
import { freePort, type RedisServer, startRedis } from '../../scripts/redis-server.mjs'
import { type FaultProxy, startProxy } from '../proxy'
import { createRandom, type Random } from '../soak/random'
import { until } from '../until'
import { Balancer } from './balancer'
import { Books } from './books'
import { Child } from './child'
import { ChaosClient } from './client'

export interface ChaosOptions {
  readonly seconds: number
  readonly seed: number
  readonly clients?: number
  readonly nodes?: number
  readonly publishers?: number
  /** Of each publisher. */
  readonly sendsPerSecond?: number
  readonly onProgress?: (line: string) => void
}

export interface Outcome {
  readonly violations: readonly string[]
  readonly figures: Record<string, unknown>
}

/**
 * ms within which presence is true again after a fault: a dead node counts for `nodeTimeout`, is cleared away with the
 * next beat of another, and a client that has lost its node comes back within its longest delay.
 */
const PRESENCE_TIME = 6000 + 1500 + 30_000
/** ms of faults between two looks at who is there. */
const ROUND = 30_000
/** ms of faults a second. */
const FAULTS_PER_SECOND = 0.5
const PAUSE = 10_000

/** What may break: one fault at a time. */
interface Place {
  readonly name: string
  readonly faults: readonly { readonly name: string; readonly weight: number; run(): Promise<void> }[]
  isBroken: boolean
}

/** Nodes, publishers and a Redis that break in every way, and clients that must not mind. */
class Chaos {
  readonly violations: string[] = []
  readonly counts = new Map<string, number>()
  readonly presenceTimes: number[] = []
  readonly random: Random
  readonly books: Books
  readonly #options: Required<ChaosOptions>
  readonly #clients: ChaosClient[] = []
  readonly #nodes: Child[] = []
  readonly #publishers: Child[] = []
  readonly #lines: FaultProxy[] = []
  readonly #answers = new Map<number, (answer: { users?: unknown[]; error?: string }) => void>()
  readonly #over = new Set<string>()
  #places: Place[] = []
  #redis!: RedisServer
  #balancer!: Balancer
  #asked = 0
  #running = new Set<Promise<void>>()

  constructor(options: Required<ChaosOptions>) {
    this.#options = options
    this.random = createRandom(options.seed)
    this.books = new Books(options.clients, (what) => this.violate(what))
  }

  violate(what: string): void {
    this.violations.push(what)
    this.#options.onProgress(`VIOLATION ${what}`)
  }

  async start(): Promise<void> {
    const { nodes, publishers, clients, sendsPerSecond } = this.#options
    this.#redis = await startRedis({ keeps: true })
    const ports: number[] = []
    for (let n = 0; n < nodes; n++) {
      const line = await startProxy(this.#redis.port)
      const port = await freePort()
      const node = new Child('web-node.mjs', () => [`redis://127.0.0.1:${line.port}`, String(port)])
      await node.start()
      ports.push(port)
      this.#lines.push(line)
      this.#nodes.push(node)
    }
    this.#balancer = new Balancer(ports)
    const url = `${await this.#balancer.start()}/sse/chaos`
    for (let user = 0; user < clients; user++)
      this.#clients.push(new ChaosClient(user, url, this.books, (what) => this.violate(what)))
    await until(() => this.#clients.every(({ isOpen }) => isOpen), 'all clients to be connected', 30_000)
    for (let n = 0; n < publishers; n++) this.#publishers.push(await this.#startPublisher(n, sendsPerSecond))
    this.#places = this.#findPlaces()
  }

  async run(): Promise<void> {
    const endsAt = Date.now() + this.#options.seconds * 1000
    while (Date.now() < endsAt) {
      await this.#breakThings(Math.min(endsAt, Date.now() + ROUND))
      await Promise.all(this.#running)
      await this.#checkPresence()
      this.#options.onProgress(this.#summary())
    }
  }

  async finish(): Promise<void> {
    for (const publisher of this.#publishers) publisher.tell('end')
    for (const client of this.#clients) client.show()
    await until(() => this.#clients.every(({ isOpen }) => isOpen), 'all clients to be back', 60_000)
    await this.#until(() => this.books.missing().length === 0, 60_000)
    for (const what of this.books.missing()) this.violate(what)
    for (const user of this.books.untold()) this.violate(`wrong: user ${user} was not told of the gap`)
  }

  figures(): Record<string, unknown> {
    const { sends, gaps, delivered, wipes } = this.books
    const all = [...sends.values()]
    return {
      sends: all.length,
      accepted: all.filter(({ isAccepted, isRefused }) => isAccepted && !isRefused).length,
      refused: all.filter(({ isRefused }) => isRefused).length,
      sure: all.filter(({ isSure }) => isSure).length,
      ...{ delivered, gaps, wipes: wipes.length },
      faults: Object.fromEntries([...this.counts].sort()),
      presenceTrueAfterMs: this.presenceTimes,
    }
  }

  async close(): Promise<void> {
    for (const client of this.#clients) client.close()
    await Promise.all([...this.#nodes, ...this.#publishers].map((child) => child.kill()))
    this.#balancer?.close()
    for (const line of this.#lines) await line.close()
    await this.#redis?.close()
  }

  async #startPublisher(n: number, rate: number): Promise<Child> {
    let generation = 0
    const { clients } = this.#options
    // Another name each time: what its predecessor sent is not its own.
    const args = () => [this.#redis.url, `${n}.${++generation}`, String(clients), String(rate)]
    const publisher = new Child('publisher.mjs', args, (message) => this.#hear(n, message as Told))
    await publisher.start()
    return publisher
  }

  #hear(publisher: number, told: Told): void {
    if (told.begin !== undefined) {
      const { user = 0, isSure = false, at = 0 } = told
      this.books.begun(told.begin, { user, isSure, at, publisher: String(publisher) })
    } else if (told.accepted !== undefined) this.books.accepted(told.accepted)
    else if (told.refused !== undefined) this.books.refused(told.refused)
    else if (told.done !== undefined) this.books.settled(told.done, told.count ?? 0)
    else if (told.over !== undefined) this.#over.add(`${publisher} ${told.over}`)
    else if (told.answer !== undefined) this.#answers.get(told.answer)?.(told)
  }

  async #breakThings(until: number): Promise<void> {
    while (Date.now() < until) {
      await sleep(Math.min(this.random.pause(FAULTS_PER_SECOND), 5000))
      const place = this.random.pick(this.#places)
      if (place.isBroken) continue
      const fault = this.random.weighted(place.faults)
      place.isBroken = true
      const name = `${fault.name} ${place.name}`
      this.counts.set(name, (this.counts.get(name) ?? 0) + 1)
      const running = fault.run().finally(() => {
        place.isBroken = false
        this.#running.delete(running)
      })
      this.#running.add(running)
      this.#hideSome()
    }
  }

  /** People look away and back while all this happens. */
  #hideSome(): void {
    for (let n = 0; n < 20; n++) {
      const client = this.random.pick(this.#clients)
      if (client.isVisible) client.hide()
      else client.show()
    }
  }

  #findPlaces(): Place[] {
    const { random } = this
    const short = () => sleep(random.whole(200, 3000))
    const process = (name: string, child: Child, onKill = () => {}): Place => ({
      ...{ name, isBroken: false },
      faults: [
        {
          ...{ name: 'kill', weight: 3 },
          run: async () => {
            await child.kill()
            onKill()
            await short()
            await child.start()
          },
        },
        {
          ...{ name: 'pause', weight: 1 },
          run: async () => {
            child.pause()
            await sleep(PAUSE)
            child.resume()
          },
        },
      ],
    })
    const line = (at: FaultProxy): Place => ({
      ...{ name: 'line', isBroken: false },
      faults: [
        { ...{ name: 'cut', weight: 2 }, run: async () => at.cut() },
        {
          ...{ name: 'stall', weight: 1 },
          run: async () => {
            at.stall()
            await sleep(random.whole(500, 9000))
            at.resume()
          },
        },
        {
          ...{ name: 'refuse', weight: 1 },
          run: async () => {
            await at.refuse(true)
            at.cut()
            await sleep(random.whole(500, 9000))
            await at.refuse(false)
          },
        },
      ],
    })
    const restart = async (forget: boolean) => {
      await this.#redis.stop()
      if (forget) this.#redis.forget()
      await sleep(random.whole(100, 2000))
      await this.#redis.start()
    }
    const redis: Place = {
      ...{ name: 'Redis', isBroken: false },
      faults: [
        { ...{ name: 'restart', weight: 3 }, run: () => restart(false) },
        {
          ...{ name: 'wipe', weight: 1 },
          run: async () => {
            this.books.wipes.push(Date.now())
            await restart(true)
          },
        },
        {
          ...{ name: 'pause', weight: 1 },
          run: async () => {
            this.#redis.pause()
            await sleep(random.whole(500, 8000))
            this.#redis.resume()
          },
        },
      ],
    }
    return [
      redis,
      ...this.#nodes.map((node) => process('node', node)),
      ...this.#publishers.map((publisher, n) =>
        process('publisher', publisher, () => this.books.orphaned(String(n))),
      ),
      ...this.#lines.map(line),
    ]
  }

  /** All is well again: in time, who is there is who looks at its page, and nobody else. */
  async #checkPresence(): Promise<void> {
    const since = Date.now()
    let told = ''
    const isTrue = await this.#until(async () => {
      const visible = this.#clients.filter(({ isVisible }) => isVisible).map(({ user }) => user)
      const online = await this.#online()
      if (online === undefined) return false
      const seen = new Set(online.map(Number))
      const absent = visible.filter((user) => !seen.has(user))
      const ghosts = [...seen].filter((user) => !visible.includes(user))
      told = `${absent.length} are not seen, ${ghosts.length} are seen and gone: ${ghosts.slice(0, 5)}`
      return absent.length === 0 && ghosts.length === 0
    }, PRESENCE_TIME)
    if (isTrue) this.presenceTimes.push(Date.now() - since)
    else this.violate(`presence is not true after ${PRESENCE_TIME} ms: ${told}`)
  }

  async #online(): Promise<unknown[] | undefined> {
    const id = ++this.#asked
    const answered = new Promise<{ users?: unknown[] }>((resolve) => this.#answers.set(id, resolve))
    this.#publishers[0]?.tell({ ask: 'online', id })
    const { users } = await Promise.race([answered, sleep(8000, { users: undefined })])
    this.#answers.delete(id)
    return users
  }

  async #until(condition: () => boolean | Promise<boolean>, ms: number): Promise<boolean> {
    const endsAt = Date.now() + ms
    while (!(await condition())) {
      if (Date.now() > endsAt) return false
      await sleep(50)
    }
    return true
  }

  #summary(): string {
    const { sends, delivered, refused, gaps, wipes } = this.figures()
    return `${sends} sends, ${delivered} delivered, ${refused} refused, ${wipes} wipes, ${gaps} gaps, presence true after ${this.presenceTimes.at(-1)} ms`
  }
}

/** What a publisher says. */
interface Told {
  begin?: string
  user?: number
  isSure?: boolean
  at?: number
  accepted?: string
  refused?: string
  done?: string
  count?: number
  over?: number
  answer?: number
  users?: unknown[]
}

export async function chaos(options: ChaosOptions): Promise<Outcome> {
  const standard = { clients: 300, nodes: 3, publishers: 2, sendsPerSecond: 100, onProgress: () => {} }
  const played = new Chaos({ ...standard, ...options })
  try {
    await played.start()
    await played.run()
    await played.finish()
  } finally {
    await played.close()
  }
  return { violations: played.violations, figures: played.figures() }
}
