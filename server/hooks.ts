/** Takes a failure of the application's own code, and where it happened. */
export type Report = (error: unknown, where: string) => void

/** Functions of the application that want to hear of something. One that fails is reported and harms no other. */
export class Hooks<Heard extends unknown[]> {
  readonly #name: string
  readonly #report: Report
  readonly #functions = new Set<{ run: (...heard: Heard) => unknown }>()

  constructor(name: string, report: Report) {
    this.#name = name
    this.#report = report
  }

  /** @returns the function that unsubscribes. */
  add(run: (...heard: Heard) => unknown): () => void {
    if (typeof run !== 'function') throw new TypeError(`${this.#name} takes a function.`)
    // Wrapped, so that the same function given twice is heard twice and released once each.
    const entry = { run }
    this.#functions.add(entry)
    return () => void this.#functions.delete(entry)
  }

  run(...heard: Heard): void {
    for (const entry of [...this.#functions]) void this.#runOne(entry.run, heard)
  }

  async #runOne(run: (...heard: Heard) => unknown, heard: Heard): Promise<void> {
    try {
      await run(...heard)
    } catch (error) {
      this.#report(error, this.#name)
    }
  }
}
