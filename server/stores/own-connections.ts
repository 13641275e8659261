import type { ConnectionRecord } from '../connection'
import type { Topic } from '../topic'

/** The connections of a node, and how many of them have each topic. */
export class OwnConnections {
  readonly topics = new Map<Topic, number>()
  readonly #records = new Map<string, ConnectionRecord>()

  /** Whether this one is here; another one may have its id by now: one that continues here. */
  has(record: ConnectionRecord): boolean {
    return this.#records.get(record.id) === record
  }

  /** Whether this one is here, or one that continues it. */
  hasId({ id }: ConnectionRecord): boolean {
    return this.#records.has(id)
  }

  all(): ConnectionRecord[] {
    return [...this.#records.values()]
  }

  add(record: ConnectionRecord): void {
    this.#records.set(record.id, record)
    for (const topic of record.topics) this.topics.set(topic, (this.topics.get(topic) ?? 0) + 1)
  }

  remove(record: ConnectionRecord): void {
    this.#records.delete(record.id)
    for (const topic of record.topics) this.topics.set(topic, (this.topics.get(topic) ?? 1) - 1)
  }

  /** Those of its topics that nobody here has any more. */
  forsaken({ topics }: ConnectionRecord): Topic[] {
    const forsaken = topics.filter((topic) => !this.topics.get(topic))
    for (const topic of forsaken) this.topics.delete(topic)
    return forsaken
  }
}
