import { setImmediate } from 'node:timers/promises'
import type { Connections } from './connections'
import { formatCursor } from './cursor'
import { checkName, encode, textOf } from './encode'
import type { Settings } from './options'
import type { Entry } from './store'
import { checkId, type Id, type Topic } from './topic'

/** Characters that may be sent in one turn of the event loop. */
const MOST_IN_A_TURN = 256 * 1024

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
  /** Characters that were sent since the sockets could write. */
  #inThisTurn = 0
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
    const draft = { topics, name, data: textOf(data), listening, key: String(checkId(key)) }
    if (topics.length === 0) return 0
    const count = await this.#settings.store.append(this.#settings.name, draft)
    await this.#pace(draft.data.length)
    return count
  }

  /** Who sends much without a pause lets the sockets write now and then: nothing would leave before the turn is over. */
  async #pace(size: number): Promise<void> {
    this.#inThisTurn += size
    if (this.#inThisTurn < MOST_IN_A_TURN) return
    await setImmediate()
    this.#inThisTurn = 0
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
