import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import type { SoakClient } from './client'
import { plan } from './plan'
import { play } from './play'
import { createRandom } from './random'
import type { Tally } from './tally'
import { World } from './world'

export interface SoakOptions {
  readonly seconds: number
  readonly clients: number
  readonly seed: number
  readonly sendsPerSecond?: number
  /** 1: as many faults as usual. */
  readonly faults?: number
  /** Events to be delivered: a machine that is too busy for so many goes on, up to four times as long. Default 0. */
  readonly atLeast?: number
  /** Go on after the first violation. */
  readonly keepGoing?: boolean
  /** Told now and then how it goes. */
  readonly onProgress?: (line: string) => void
  readonly onViolation?: (violation: string) => void
}

export interface SoakResult {
  readonly tally: Tally
  /** What must not be, the first first, with what happened to that client before. */
  readonly violations: readonly string[]
}

const PROXIES = 12
/** Short, so that much happens in little time: a dead line is noticed, a stream renewed, a slow reader sent away. */
const SETTINGS = { heartbeatInterval: 400, reconnectTime: 200, keepaliveTime: 20_000, bufferLimit: 100_000 }
const PROGRESS = 10_000
/** How long all may take to come back by themselves; the longest delay of a client is 30 s. ms */
const RETURN_TIME = 45_000
/** How long the last event may take. ms */
const LAST_TIME = 15_000

/** Runs the plan that a seed makes, and checks that every client gets what is for it: nothing lost, nothing double. */
export async function soak(options: SoakOptions): Promise<SoakResult> {
  const run = new Run(options)
  await run.start()
  try {
    await run.play()
    await run.finish()
  } finally {
    await run.close()
  }
  return run
}

class Run implements SoakResult {
  readonly violations: string[] = []
  readonly #options: SoakOptions
  readonly #startedAt = performance.now()
  /** Too much of it on a busy machine, and the clients take their streams for dead. */
  readonly #lag = monitorEventLoopDelay()
  #world!: World

  constructor(options: SoakOptions) {
    this.#options = options
  }

  get tally(): Tally {
    return this.#world.tally
  }

  async start(): Promise<void> {
    this.#lag.enable()
    this.#world = await World.start({
      clients: this.#options.clients,
      lines: PROXIES,
      settings: SETTINGS,
      violate: (client, what) => this.#violate(what, client),
      onError: (error, where) => {
        this.tally.wrong++
        this.#violate(`${where} failed: ${error instanceof Error ? error.stack : error}`)
      },
    })
  }

  async play(): Promise<void> {
    const { seed, seconds, sendsPerSecond = 150, faults = 1, atLeast = 0 } = this.#options
    const least = seconds * 1000
    const { cast } = this.#world
    const steps = plan(createRandom(seed), { cast, lines: PROXIES, sendsPerSecond, faults })
    let nextProgress = PROGRESS
    await play(this.#world, steps, (ms) => {
      if (ms >= nextProgress) {
        nextProgress += PROGRESS
        this.#progress()
      }
      return this.#isOver || ms >= (this.tally.delivered >= atLeast ? least : 4 * least)
    })
  }

  async finish(): Promise<void> {
    if (this.#isOver) return
    await this.#world.calm()
    const { clients } = this.#world
    await this.#within(RETURN_TIME, () => this.#lookAgain())
    this.#progress()
    for (const client of clients) if (!client.isOpen) this.#wrong('it does not come back', client)
    this.#world.sendLast()
    await this.#within(LAST_TIME, () => clients.every(({ ledger }) => ledger.due.length === 0))
    for (const { ledger } of clients) ledger.close()
    if (this.tally.open !== 0) this.#violate(`the books are open by ${this.tally.open} events`)
  }

  close(): Promise<void> {
    return this.#world.close()
  }

  get #isOver(): boolean {
    return this.violations.length > 0 && !this.#options.keepGoing
  }

  /** Who was sent away comes back when its person looks at the page again. @returns whether all are there */
  #lookAgain(): boolean {
    const { clients } = this.#world
    for (const client of clients.filter(({ isClosed }) => isClosed)) client.glance()
    return clients.every(({ isOpen }) => isOpen)
  }

  async #within(ms: number, isDone: () => boolean): Promise<void> {
    const deadline = performance.now() + ms
    while (!isDone() && performance.now() < deadline) await sleep(50)
  }

  #wrong(what: string, client: SoakClient): void {
    this.tally.wrong++
    this.#violate(what, client)
  }

  #violate(what: string, client?: SoakClient): void {
    const told = [`${this.#seconds()} s: ${what}`]
    if (client) told.push(`client ${JSON.stringify(client.role)}`, client.history.toString(this.#startedAt))
    const violation = told.join('\n')
    this.violations.push(violation)
    this.#options.onViolation?.(violation)
  }

  #progress(): void {
    const { openClients, clients } = this.#world
    const { sent, delivered, replayed, gaps, lost, double, misordered, wrong } = this.tally
    const lag = (this.#lag.max / 1e6).toFixed()
    this.#lag.reset()
    this.#options.onProgress?.(
      `${this.#seconds()} s: ${openClients}/${clients.length} open, sent ${sent}, delivered ${delivered} (replayed ${replayed}), gaps ${gaps}, lost ${lost}, double ${double}, misordered ${misordered}, wrong ${wrong}; longest lag ${lag} ms`,
    )
  }

  #seconds(): string {
    return ((performance.now() - this.#startedAt) / 1000).toFixed(1)
  }
}
