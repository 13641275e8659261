import type { Connections } from './connections'
import type { OpenConnection } from './open-connection'
import type { Settings } from './options'
import type { Topic } from './topic'

/** How long people were active, as the server sets it; for those who are absent the store remembers it. */
export class Durations<User extends object> {
  readonly #connections: Connections<User>
  readonly #settings: Settings<User>

  constructor(connections: Connections<User>, settings: Settings<User>) {
    this.#connections = connections
    this.#settings = settings
  }

  /** @returns the number of connections that were told. */
  async set(topics: readonly Topic[], seconds: number): Promise<number> {
    checkSeconds(seconds)
    const counts = await Promise.all(topics.map((topic) => this.#setOne(topic, seconds)))
    return counts.reduce((sum, count) => sum + count, 0)
  }

  /** @returns the number of connections that were told. A connection that is gone does not come back: nothing is kept. */
  setForConnections(ids: readonly string[], seconds: number): number {
    checkSeconds(seconds)
    return ids.filter((id) => this.#connections.get(id)?.setDuration(seconds)).length
  }

  /** Tells a connection that has just come what was remembered for it. */
  async tell(connection: OpenConnection<User>): Promise<void> {
    const { store, name, report } = this.#settings
    try {
      const seconds = await store.takeDuration(name, connection.topics)
      if (seconds === undefined || connection.setDuration(seconds)) return
      // It was gone before it could be told: kept for the next one of the same user.
      const [, topic] = connection.topics
      if (topic !== undefined) await store.setDuration(name, topic, seconds)
    } catch (error) {
      report(error, 'the store')
    }
  }

  async #setOne(topic: Topic, seconds: number): Promise<number> {
    const told = [...this.#connections.of([topic])].filter((connection) => connection.setDuration(seconds))
    if (told.length === 0) await this.#settings.store.setDuration(this.#settings.name, topic, seconds)
    return told.length
  }
}

function checkSeconds(seconds: unknown): void {
  if (typeof seconds === 'number' && Number.isFinite(seconds) && seconds >= 0) return
  throw new TypeError('A duration is a number of seconds, 0 or more.')
}
