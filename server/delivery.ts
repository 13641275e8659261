import type { Connections } from './connections'
import { draftOf, type SendOptions } from './draft'
import { encodeEntry } from './encode'
import type { Settings } from './options'
import type { Pace } from './pace'
import type { Qos } from './qos'
import type { Entry } from './store'
import type { Topic } from './topic'

/** Audience → topics → log → connections: an event is encoded once, and all get the same bytes. */
export class Delivery<User extends object> {
  readonly #connections: Connections<User>
  readonly #settings: Settings<User>
  readonly #pace: Pace
  /** No more events from the log. */
  readonly end: () => void

  constructor(connections: Connections<User>, settings: Settings<User>, qos: Qos<User>, pace: Pace) {
    this.#connections = connections
    this.#settings = settings
    this.#pace = pace
    this.end = settings.store.subscribe(
      settings.name,
      (entry) => this.#deliver(entry),
      (message, count) => qos.settled(message, count),
    )
  }

  /** @returns the number of connections it was written to. @throws TypeError for what cannot be sent. */
  async send(topics: readonly Topic[], name: string, data: unknown, options?: SendOptions): Promise<number> {
    const draft = draftOf(topics, name, data, options)
    if (topics.length === 0) return 0
    this.#settings.counters.sent++
    const count = await this.#settings.store.append(this.#settings.name, draft)
    await this.#pace.sent(draft.data.length)
    return count
  }

  #deliver(entry: Entry): number {
    const event = encodeEntry(entry.name, entry.data, entry, entry.message)
    let count = 0
    for (const connection of this.#connections.of(entry.topics)) {
      if (connection.takes(entry) && connection.deliver(event, entry)) count++
    }
    this.#settings.counters.delivered += count
    return count
  }
}
