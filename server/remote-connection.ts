import type { Connection, ConnectionRecord, DisconnectOptions } from './connection'
import { recordOf } from './known-connection'
import type { Topic } from './topic'

/** What a connection on another node does through this one. */
export interface Reach {
  send(topics: readonly Topic[], name: string, data: unknown): Promise<number>
  disconnect(connection: ConnectionRecord, reason: string | undefined, options: DisconnectOptions): void
}

/** A connection that another node holds. */
export interface RemoteConnection<User extends object> extends ConnectionRecord<User> {}
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: its fields are those of the record, which the constructor gives it
export class RemoteConnection<User extends object> implements Connection<User> {
  readonly #reach: Reach

  constructor(record: ConnectionRecord<User>, reach: Reach) {
    Object.assign(this, recordOf(record))
    this.#reach = reach
  }

  async send(name: string, data?: unknown): Promise<number> {
    return this.#reach.send(this.topics.slice(-1), name, data)
  }

  disconnect(reason?: string, options: DisconnectOptions = {}): void {
    this.#reach.disconnect(this, reason, options)
  }
}
