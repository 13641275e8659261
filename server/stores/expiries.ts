/** What ends at some time. */
export interface Expiring {
  /** ms since 1970 */
  readonly expiryTime: number
}

/** What expires first, found in the time that its place in a heap takes. What has ended before may stay in it. */
export class Expiries<Item extends Expiring> {
  /** None expires before the one at half its place. */
  #heap: Item[] = []

  get size(): number {
    return this.#heap.length
  }

  get first(): Item | undefined {
    return this.#heap[0]
  }

  /** Starts anew with these. */
  reset(items: Iterable<Item>): void {
    this.#heap = [...items].sort((a, b) => a.expiryTime - b.expiryTime)
  }

  push(item: Item): void {
    let at = this.#heap.length
    while (at > 0) {
      const above = (at - 1) >> 1
      const other = this.#heap[above]
      if (other === undefined || other.expiryTime <= item.expiryTime) break
      this.#heap[at] = other
      at = above
    }
    this.#heap[at] = item
  }

  /** Takes the first one out. */
  shift(): void {
    const item = this.#heap.pop()
    if (item === undefined || this.#heap.length === 0) return
    let at = 0
    for (;;) {
      const [below, other] = this.#firstBelow(at)
      if (other === undefined || other.expiryTime >= item.expiryTime) break
      this.#heap[at] = other
      at = below
    }
    this.#heap[at] = item
  }

  #firstBelow(at: number): [at: number, item: Item | undefined] {
    const [left, right] = [this.#heap[2 * at + 1], this.#heap[2 * at + 2]]
    const isRight = left !== undefined && right !== undefined && right.expiryTime < left.expiryTime
    return isRight ? [2 * at + 2, right] : [2 * at + 1, left]
  }
}
