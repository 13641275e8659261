/** What happened last to one client, to be read when something is wrong. */
export class History {
  readonly #entries: (readonly [at: number, ...what: unknown[]])[] = []
  readonly #limit: number

  constructor(limit = 60) {
    this.#limit = limit
  }

  add(...what: unknown[]): void {
    this.#entries.push([performance.now(), ...what])
    // Not one by one: this is called for every event of every client.
    if (this.#entries.length > 2 * this.#limit) this.#entries.splice(0, this.#limit)
  }

  /** @param since what `performance.now()` was at the start. */
  toString(since: number): string {
    return this.#entries
      .slice(-this.#limit)
      .map(([at, ...what]) => `  ${((at - since) / 1000).toFixed(3).padStart(8)}  ${what.join(' ')}`)
      .join('\n')
  }
}
