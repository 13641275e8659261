import type { Connection } from './connection'
import type { OpenConnection } from './open-connection'
import { TOPIC_ALL, type Topic } from './topic'

type Page = Pick<Connection, 'instanceId'>
type Group<User extends object> = Set<OpenConnection<User>>

/** The open connections of this process: by id, by topic, by browser. */
export class Connections<User extends object> {
  readonly #byId = new Map<string, OpenConnection<User>>()
  readonly #byTopic = new Map<Topic, Group<User>>()
  readonly #byBrowser = new Map<string, Group<User>>()

  add(connection: OpenConnection<User>): void {
    this.#byId.set(connection.id, connection)
    for (const topic of connection.topics) join(this.#byTopic, topic, connection)
    join(this.#byBrowser, browserOf(connection), connection)
  }

  remove(connection: OpenConnection<User>): void {
    this.#byId.delete(connection.id)
    for (const topic of connection.topics) part(this.#byTopic, topic, connection)
    part(this.#byBrowser, browserOf(connection), connection)
  }

  get(id: string): OpenConnection<User> | undefined {
    return this.#byId.get(id)
  }

  /** Each connection that has one of these topics, once. */
  of(topics: readonly Topic[] = [TOPIC_ALL]): Iterable<OpenConnection<User>> {
    const groups = topics.map((topic) => this.#byTopic.get(topic) ?? new Set<OpenConnection<User>>())
    const [first] = groups
    return groups.length === 1 && first !== undefined ? first : new Set(groups.flatMap((group) => [...group]))
  }

  /** The same user's connections with the same client id, the oldest first; none if the client gave no id. */
  ofSameBrowser(connection: OpenConnection<User>): OpenConnection<User>[] {
    if (connection.clientId === undefined) return []
    return [...(this.#byBrowser.get(browserOf(connection)) ?? [])]
  }
}

/** Both are of one client object, which has one stream at a time. */
export function isSamePage({ instanceId }: Page, other: Page): boolean {
  return instanceId !== undefined && instanceId === other.instanceId
}

function browserOf<User extends object>({ owner, clientId }: OpenConnection<User>): string {
  return JSON.stringify([owner, clientId])
}

function join<User extends object>(
  groups: Map<string, Group<User>>,
  key: string,
  member: OpenConnection<User>,
): void {
  const group = groups.get(key)
  if (group === undefined) groups.set(key, new Set([member]))
  else group.add(member)
}

function part<User extends object>(
  groups: Map<string, Group<User>>,
  key: string,
  member: OpenConnection<User>,
): void {
  const group = groups.get(key)
  group?.delete(member)
  if (group?.size === 0) groups.delete(key)
}
