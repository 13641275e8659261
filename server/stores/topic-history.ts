import type { Entry } from '../store'

/** An entry that some topics still hold; in a chain by age over all topics. */
export interface Item {
  readonly entry: Entry
  readonly bytes: number
  /** ms since 1970 */
  readonly at: number
  /** How many topics hold it. */
  holders: number
  older: Item | undefined
  newer: Item | undefined
  /** Nobody is to get it any more. */
  isRetracted: boolean
}

/** The entries of one topic, the oldest first. */
export class TopicHistory {
  /** The highest number that was let go. */
  floor = 0
  bytes = 0
  #items: (Item | undefined)[] = []
  /** Those before it are gone; taking them out one by one would move all the others each time. */
  #start = 0

  get count(): number {
    return this.#items.length - this.#start
  }

  get oldest(): Item | undefined {
    return this.#items[this.#start]
  }

  push(item: Item): void {
    this.#items.push(item)
    this.bytes += item.bytes
  }

  /** Lets go of the oldest. */
  shift(): Item | undefined {
    const item = this.#items[this.#start]
    if (item === undefined) return undefined
    // Else it would stay in memory till the topic is written to again.
    this.#items[this.#start] = undefined
    this.#start++
    this.bytes -= item.bytes
    this.floor = item.entry.seq
    if (this.#start > 32 && this.#start * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#start)
      this.#start = 0
    }
    return item
  }

  /** Those with higher numbers, the newest first: it costs what there is to find. */
  *newestDownTo(seq: number): Generator<Entry> {
    for (let at = this.#items.length - 1; at >= this.#start; at--) {
      const item = this.#items[at]
      if (item === undefined || item.entry.seq <= seq) return
      if (!item.isRetracted) yield item.entry
    }
  }
}
