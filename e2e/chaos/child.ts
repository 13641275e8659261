import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/** A process of the chaos, that can be killed, paused and started again. */
export class Child {
  readonly #path: string
  readonly #args: () => readonly string[]
  readonly #hear: (message: unknown) => void
  #child: ChildProcess | undefined

  /** @param args Asked for at each start. */
  constructor(file: string, args: () => readonly string[], hear: (message: unknown) => void = () => {}) {
    this.#path = fileURLToPath(new URL(file, import.meta.url))
    this.#args = args
    this.#hear = hear
  }

  async start(): Promise<void> {
    const child = fork(this.#path, this.#args())
    this.#child = child
    child.on('message', this.#hear).on('error', () => {})
    await once(child, 'spawn')
  }

  tell(message: object | string): void {
    this.#child?.send(message, () => {})
  }

  pause(): void {
    this.#child?.kill('SIGSTOP')
  }

  resume(): void {
    this.#child?.kill('SIGCONT')
  }

  async kill(): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
  }
}
