import type { Connection, ConnectionRecord } from './connection'
import { TOPIC_ALL, type Topic } from './topic'

type Page = Pick<Connection, 'instanceId'>

/** Connections of this process: by id, by topic, by browser. */
export class Connections<Member extends ConnectionRecord> {
  readonly #byId = new Map<string, Member>()
  readonly #byTopic = new Map<Topic, Set<Member>>()
  readonly #byBrowser = new Map<string, Set<Member>>()

  add(connection: Member): void {
    this.#byId.set(connection.id, connection)
    for (const topic of connection.topics) join(this.#byTopic, topic, connection)
    if (connection.browser !== undefined) join(this.#byBrowser, connection.browser, connection)
  }

  remove(connection: Member): void {
    // Another one may have its id by now.
    if (this.#byId.get(connection.id) === connection) this.#byId.delete(connection.id)
    for (const topic of connection.topics) part(this.#byTopic, topic, connection)
    if (connection.browser !== undefined) part(this.#byBrowser, connection.browser, connection)
  }

  get(id: string): Member | undefined {
    return this.#byId.get(id)
  }

  /** Each connection that has one of these topics, once. */
  of(topics: readonly Topic[] = [TOPIC_ALL]): Iterable<Member> {
    const groups = topics.map((topic) => this.#byTopic.get(topic) ?? new Set<Member>())
    const [first] = groups
    return groups.length === 1 && first !== undefined ? first : new Set(groups.flatMap((group) => [...group]))
  }

  /** The same user's connections with the same client id, the oldest first; none if the client gave no id. */
  ofSameBrowser({ browser }: ConnectionRecord): Member[] {
    return [...((browser !== undefined && this.#byBrowser.get(browser)) || [])]
  }
}

/** Both are of one client object, which has one stream at a time. */
export function isSamePage({ instanceId }: Page, other: Page): boolean {
  return instanceId !== undefined && instanceId === other.instanceId
}

function join<Member>(groups: Map<string, Set<Member>>, key: string, member: Member): void {
  const group = groups.get(key)
  if (group === undefined) groups.set(key, new Set([member]))
  else group.add(member)
}

function part<Member>(groups: Map<string, Set<Member>>, key: string, member: Member): void {
  const group = groups.get(key)
  group?.delete(member)
  if (group?.size === 0) groups.delete(key)
}
