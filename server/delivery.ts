import type { Connections } from './connections'
import { encode } from './encode'
import type { Topic } from './topic'

/** How an event is sent. */
export interface SendOptions {
  /** Only to connections that listen to the event's name. Default `false`. */
  listening?: boolean
}

/** Audience → topics → connections: the event is encoded once, and all get the same bytes. */
export class Delivery<User extends object> {
  readonly #connections: Connections<User>

  constructor(connections: Connections<User>) {
    this.#connections = connections
  }

  /** @returns the number of connections it was written to. */
  send(
    topics: readonly Topic[],
    name: string,
    data: unknown,
    { listening = false }: SendOptions = {},
  ): number {
    const event = encode(name, data)
    let count = 0
    for (const connection of this.#connections.of(topics)) {
      if (listening && !connection.listeners.includes(name)) continue
      if (connection.deliver(event)) count++
    }
    return count
  }
}
