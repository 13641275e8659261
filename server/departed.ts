import type { OpenConnection } from './open-connection'

/** ms that requests of a connection may come after its end. */
const TIME = 10_000
/** How many are known; beyond that the oldest goes. It is enough if 1000 go within a second: the requests are on the way. */
const MOST = 1000

/**
 * Connections whose clients have just left: what a page sends in its last moment may come after its goodbye, or after the
 * end of its line.
 */
export class Departed<User extends object> {
  readonly #byId = new Map<string, OpenConnection<User>>()

  add(connection: OpenConnection<User>): void {
    this.#byId.set(connection.id, connection)
    setTimeout(() => this.#byId.delete(connection.id), TIME).unref()
    const [oldest] = this.#byId.keys()
    if (this.#byId.size > MOST && oldest !== undefined) this.#byId.delete(oldest)
  }

  get(id: string): OpenConnection<User> | undefined {
    return this.#byId.get(id)
  }
}
