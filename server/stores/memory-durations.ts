import type { Durations } from './local-store'

/** How long absent users were active. */
export class MemoryDurations implements Durations {
  readonly #max: number
  readonly #seconds = new Map<string, number>()

  /** @param max Beyond that the oldest goes. */
  constructor(max: number) {
    this.#max = max
  }

  set(key: string, seconds: number): void {
    // A Map keeps the order of insertion: deleted first, the newest stands last.
    this.#seconds.delete(key)
    this.#seconds.set(key, seconds)
    if (this.#seconds.size <= this.#max) return
    const [oldest] = this.#seconds.keys()
    if (oldest !== undefined) this.#seconds.delete(oldest)
  }

  take(keys: readonly string[]): number | undefined {
    let taken: number | undefined
    for (const key of keys) {
      taken = this.#seconds.get(key) ?? taken
      this.#seconds.delete(key)
    }
    return taken
  }
}
