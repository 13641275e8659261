import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { Journal } from './journal'

/** What is to happen to the next request of those that a page sends; or at once. */
export type Arm = 'kill before' | 'kill after' | 'kill now' | 'no answer'

/** To the child. */
export type Order = { listen: number } | { arm: Arm | undefined } | { hold: boolean }

/** From the child. */
export interface Told {
  ready?: true
  port?: number
  /** What it was armed with has happened. */
  struck?: true
}

const CHILD = fileURLToPath(new URL('child.ts', import.meta.url))

/** A server process that is killed again and again, and of which another takes the place at once. */
export class Backend {
  port = 0
  /** How often something has happened to it. */
  strikes = 0
  readonly journal: Journal
  #child!: ChildProcess
  /** It has loaded all already: a start takes a second. */
  #spare!: Promise<ChildProcess>
  /** It listens. */
  #isUp!: Promise<void>
  #isClosed = false
  #failure: Error | undefined

  private constructor(journal: Journal) {
    this.journal = journal
  }

  static async start(journalPath: string): Promise<Backend> {
    const backend = new Backend(new Journal(journalPath))
    backend.#spare = backend.#fork()
    backend.#isUp = backend.#succeed()
    await backend.#isUp
    return backend
  }

  /** Resolves when it listens. */
  async up(): Promise<void> {
    if (this.#failure) throw this.#failure
    await this.#isUp
  }

  /** `undefined`: nothing more. */
  arm(arm: Arm | undefined): Promise<void> {
    return this.#order({ arm })
  }

  /** No handler goes on as long as they are held. */
  hold(hold: boolean): Promise<void> {
    return this.#order({ hold })
  }

  async #order(order: Order): Promise<void> {
    await this.up()
    // One that has just died need not know.
    if (this.#child.connected) this.#child.send(order, () => {})
  }

  async close(): Promise<void> {
    this.#isClosed = true
    const spare = await this.#spare
    for (const child of [this.#child, spare]) {
      const ended = child.exitCode === null && child.signalCode === null ? once(child, 'exit') : undefined
      child.kill('SIGKILL')
      await ended
    }
  }

  async #fork(): Promise<ChildProcess> {
    const child = fork(CHILD, [this.journal.path], { execArgv: ['--import', 'tsx'] })
    await once(child, 'message')
    return child
  }

  async #succeed(): Promise<void> {
    const child = await this.#spare
    this.#child = child
    child.send({ listen: this.port } satisfies Order)
    const died = once(child, 'exit').then(([code]) =>
      Promise.reject(new Error(`It ended with code ${code}.`)),
    )
    const [{ port = 0 }]: [Told] = (await Promise.race([once(child, 'message'), died])) as [Told]
    this.port = port
    child.on('message', ({ struck }: Told) => {
      if (struck) this.strikes++
    })
    child.once('exit', (code, signal) => this.#onExit(code, signal))
    this.#spare = this.#fork()
  }

  #onExit(code: number | null, signal: string | null): void {
    if (this.#isClosed) return
    if (signal !== 'SIGKILL') this.#failure = new Error(`The server ended by itself, with code ${code}.`)
    this.strikes++
    this.#isUp = this.#succeed()
    this.#isUp.catch((error) => {
      this.#failure = error
    })
  }
}
