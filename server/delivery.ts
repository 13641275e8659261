import type { Connections } from './connections'
import { formatCursor } from './cursor'
import { checkName, encode, textOf } from './encode'
import type { Settings } from './options'
import type { Entry } from './store'
import type { Id, Topic } from './topic'

/** How an event is sent. */
export interface SendOptions {
  /** Only to connections that listen to the event's name. Default `false`. */
  listening?: boolean
  /**
   * What the event is about, e.g. a share of a ticker: for a client that catches up on the latest only, events of one
   * name and key replace one another. Default: none, all events of one name do.
   */
  key?: Id
}

/** Audience → topics → log → connections: an event is encoded once, and all get the same bytes. */
export class Delivery<User extends object> {
  readonly #connections: Connections<User>
  readonly #settings: Settings<User>
  /** No more events from the log. */
  readonly end: () => void

  constructor(connections: Connections<User>, settings: Settings<User>) {
    this.#connections = connections
    this.#settings = settings
    this.end = settings.store.subscribe(settings.name, (entry) => this.#deliver(entry))
  }

  /** @returns the number of connections it was written to. @throws TypeError for what cannot be sent. */
  async send(
    topics: readonly Topic[],
    name: string,
    data: unknown,
    { listening = false, key = '' }: SendOptions = {},
  ): Promise<number> {
    checkName(name)
    const draft = { topics, name, data: textOf(data), listening, key: String(key) }
    return topics.length === 0 ? 0 : this.#settings.store.append(this.#settings.name, draft)
  }

  #deliver(entry: Entry): number {
    const event = encode(entry.name, entry.data, formatCursor(entry))
    let count = 0
    for (const connection of this.#connections.of(entry.topics)) {
      if (entry.listening && !connection.listeners.includes(entry.name)) continue
      if (connection.deliver(event, entry.seq)) count++
    }
    return count
  }
}
