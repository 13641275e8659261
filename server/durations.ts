import type { OpenConnection } from './open-connection'
import type { Settings } from './options'
import type { Topic } from './topic'

/** How long people were active, as the server sets it; for those who are absent the store remembers it. */
export class Durations<User extends object> {
  readonly #settings: Settings<User>

  constructor(settings: Settings<User>) {
    this.#settings = settings
  }

  /**
   * @param tell Tells the connections of a topic.
   * @returns the number of connections that were told.
   */
  async set(
    topics: readonly Topic[],
    seconds: number,
    tell: (topic: Topic) => Promise<number>,
  ): Promise<number> {
    checkSeconds(seconds)
    const { store, name } = this.#settings
    const setOne = async (topic: Topic) => {
      const told = await tell(topic)
      if (told === 0) await store.setDuration(name, topic, seconds)
      return told
    }
    const counts = await Promise.all(topics.map(setOne))
    return counts.reduce((sum, count) => sum + count, 0)
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
}

/** @throws TypeError */
export function checkSeconds(seconds: unknown): void {
  if (typeof seconds === 'number' && Number.isFinite(seconds) && seconds >= 0) return
  throw new TypeError('A duration is a number of seconds, 0 or more.')
}
