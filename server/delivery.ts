import type { Connections } from './connections'
import { draftOf, type SendOptions } from './draft'
import { encodeEntry } from './encode'
import type { OpenConnection } from './open-connection'
import type { Settings } from './options'
import type { Pace } from './pace'
import type { Entry } from './store'
import type { Topic } from './topic'

/** Audience → topics → log → connections: an event is encoded once, and all get the same bytes. */
export class Delivery<User extends object> {
  readonly #connections: Connections<OpenConnection<User>>
  readonly #settings: Settings<User>
  readonly #pace: Pace

  constructor(connections: Connections<OpenConnection<User>>, settings: Settings<User>, pace: Pace) {
    this.#connections = connections
    this.#settings = settings
    this.#pace = pace
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

  /** An event of the log, sent here or elsewhere. @returns the number of connections here that it was written to */
  deliver(entry: Entry): number {
    const event = encodeEntry(entry.name, entry.data, entry, entry.message)
    let count = 0
    for (const connection of this.#connections.of(entry.topics)) {
      if (connection.takes(entry) && connection.deliver(event, entry)) count++
    }
    this.#settings.counters.delivered += count
    return count
  }
}
