import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/** Where the service is mounted. */
export const BASE = '/sse/torture'

/** To the server: an event for a user; `isSure`: by `qos()`. */
export interface Order {
  readonly user: string
  readonly n: number
  readonly isSure: boolean
}

/** What the server says is done. */
export type Told =
  | { readonly ready: number; readonly pending: readonly string[] }
  | { readonly stored: number }
  | { readonly held: string; readonly n: number }
  | { readonly acknowledged: string }
  | { readonly remembered: number }
  | { readonly failed: string }

const BACKEND = fileURLToPath(new URL('backend.ts', import.meta.url))

/** A server with a SQLite store, in a process of its own that is there to be killed. */
export class TortureServer {
  port = 0
  readonly #files: readonly string[]
  readonly #hear: (told: Told) => void
  #child: ChildProcess | undefined

  /** @param files that of the store, and the journal */
  constructor(files: readonly string[], hear: (told: Told) => void) {
    this.#files = files
    this.#hear = hear
  }

  /** @returns when it listens; or when it was killed before. */
  async start(): Promise<void> {
    const child = fork(BACKEND, [...this.#files, String(this.port)], { execArgv: ['--import', 'tsx'] })
    this.#child = child
    const ready = new Promise<void>((resolve) => {
      child.on('message', (told: Told) => {
        this.#hear(told)
        if (!('ready' in told)) return
        this.port = told.ready
        resolve()
      })
    })
    const ended = once(child, 'exit').then(([code]) => {
      if (code !== null) throw new Error(`The server ended with code ${code}.`)
    })
    await Promise.race([ready, ended])
  }

  send(order: Order): void {
    if (this.#child?.connected) this.#child.send(order)
  }

  /** SIGKILL: what it was about to do, it has not done. */
  async kill(): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    // Not `exit`: what it has told before must have been heard.
    const closed = once(child, 'close')
    child.kill('SIGKILL')
    await closed
  }
}
