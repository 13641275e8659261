/** The time is over. */
export class Late extends Error {}

/** Something that is open now, or will be. Who has waited in vain leaves nothing behind, however long it stays shut. */
export class Latch {
  #isOpen = false
  readonly #waiting = new Set<() => void>()

  open(): void {
    this.#isOpen = true
    for (const go of [...this.#waiting]) go()
  }

  shut(): void {
    this.#isOpen = false
  }

  /** @param deadline Of the process' clock, ms. @throws Late */
  async pass(deadline: number): Promise<void> {
    if (this.#isOpen) return
    await new Promise<void>((resolve, reject) => {
      const leave = (): void => {
        clearTimeout(timer)
        this.#waiting.delete(go)
      }
      const go = (): void => {
        leave()
        resolve()
      }
      const timer = setTimeout(
        () => {
          leave()
          reject(new Late('Redis cannot be reached.'))
        },
        Math.max(0, deadline - performance.now()),
      )
      this.#waiting.add(go)
    })
  }
}
