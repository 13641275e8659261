import type { Connections } from './connections'
import type { Found, Nodes } from './nodes'
import type { OpenConnection } from './open-connection'
import type { Absence } from './store'
import { type Id, TOPIC_ALL, type Topic, topicOf } from './topic'

/** Which connections; every member given must fit. */
export interface ConnectionFilter {
  userId?: Id | undefined
  tenantId?: Id | undefined
  accessToken?: Id | undefined
  channel?: string | undefined
  clientId?: string | undefined
  /** Only those that listen to this name. */
  listening?: string | undefined
}

/** Where a user is; see `getPresence`. */
export type PresenceState = 'visible' | 'away' | Absence

const MEMBERS: Record<keyof ConnectionFilter, true> = {
  userId: true,
  tenantId: true,
  accessToken: true,
  channel: true,
  clientId: true,
  listening: true,
}

/** Who is here, on whichever node. */
export class Presence<User extends object> {
  readonly #connections: Connections<OpenConnection<User>>
  readonly #nodes: Nodes<User>

  constructor(connections: Connections<OpenConnection<User>>, nodes: Nodes<User>) {
    this.#connections = connections
    this.#nodes = nodes
  }

  /** Rejects with a TypeError for what is no id. */
  async state(userId: Id): Promise<PresenceState> {
    const topic = topicOf('user', userId)
    const here = await this.#nodes.of([topic])
    if (here.length === 0) return this.#nodes.peers.absence(topic)
    return here.every(({ isAway }) => isAway) ? 'away' : 'visible'
  }

  /** Those of this node. */
  ours(): OpenConnection<User>[] {
    return [...this.#connections.of()]
  }

  /** Rejects with a TypeError for what is no filter: a member spelt wrong would quietly fit everybody. */
  async connections(filter: ConnectionFilter = {}): Promise<Found<User>[]> {
    checkFilter(filter)
    const { clientId, listening } = filter
    const [first = TOPIC_ALL, ...others] = topicsIn(filter)
    const candidates = await this.#nodes.of([first])
    return candidates.filter(
      (connection) =>
        others.every((topic) => connection.topics.includes(topic)) &&
        (clientId === undefined || connection.clientId === clientId) &&
        (listening === undefined || connection.listeners.includes(listening)),
    )
  }

  /** Each user once, however many connections it has; as `getUser` returned it for the oldest of them here. */
  async users(filter: ConnectionFilter = {}): Promise<User[]> {
    const users = new Map<string, User>()
    for (const { owner, user } of await this.connections(filter))
      if (!users.has(owner)) users.set(owner, user)
    return [...users.values()]
  }

  /** The values that connections have. */
  async distinct<Value extends Id>(pick: (connection: Found<User>) => Value | undefined): Promise<Value[]> {
    const values = new Map<string, Value>()
    for (const connection of await this.#nodes.of()) {
      const value = pick(connection)
      // 7 and '7' are the same.
      if (value !== undefined && !values.has(String(value))) values.set(String(value), value)
    }
    return [...values.values()]
  }

  count(): Promise<{ connections: number; users: number }> {
    return this.#nodes.peers.count()
  }
}

function checkFilter(filter: unknown): void {
  if (typeof filter !== 'object' || filter === null || Array.isArray(filter)) {
    throw new TypeError('The filter of getConnections must be an object.')
  }
  const unknown = Object.keys(filter).find((name) => !Object.hasOwn(MEMBERS, name))
  if (unknown !== undefined) throw new TypeError(`The filter of getConnections knows no ${unknown}.`)
}

/** The narrowest topic first: its connections are the fewest to look through. */
function topicsIn({ userId, tenantId, accessToken, channel }: ConnectionFilter): Topic[] {
  const topics: Topic[] = []
  if (userId !== undefined) topics.push(topicOf('user', userId))
  if (accessToken !== undefined) topics.push(topicOf('token', accessToken))
  if (channel !== undefined) topics.push(topicOf('channel', channel))
  if (tenantId !== undefined) topics.push(topicOf('tenant', tenantId))
  return [...topics, TOPIC_ALL]
}
