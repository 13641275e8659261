import type { PendingMessage } from './store'

/** A message that was sent from this process, till it waits no more. */
export class Sent {
  /** Settles when the store has it, or has refused it; to nothing if nobody could acknowledge it. */
  readonly held: Promise<PendingMessage | undefined>
  /** Resolves to the number of acknowledgements. */
  readonly settled: Promise<number>
  #resolve!: (count: number) => void
  #count: number | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(held: Promise<PendingMessage | undefined>) {
    this.held = held
    this.settled = new Promise((resolve) => {
      this.#resolve = resolve
    })
  }

  /** It waits no more, and nobody has acknowledged it. */
  get isTakenBack(): boolean {
    return this.#count === 0
  }

  get isOver(): boolean {
    return this.#count !== undefined
  }

  /** @param ms till it is to expire, if it still waits. */
  expireAfter(ms: number, expire: () => void): void {
    if (this.#count === undefined) this.#timer = setTimeout(expire, ms).unref()
  }

  settle(count: number): void {
    clearTimeout(this.#timer)
    this.#count = count
    this.#resolve(count)
  }
}
