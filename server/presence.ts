import type { Absence, Absences } from './absences'
import type { Connections } from './connections'
import type { OpenConnection } from './open-connection'
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

/** Who is here. */
export class Presence<User extends object> {
  readonly #connections: Connections<User>
  readonly #absences: Absences<User>

  constructor(connections: Connections<User>, absences: Absences<User>) {
    this.#connections = connections
    this.#absences = absences
  }

  /** @throws TypeError for what is no id. */
  state(userId: Id): PresenceState {
    const here = [...this.#connections.of([topicOf('user', userId)])]
    if (here.length === 0) return this.#absences.of(userId)
    return here.every(({ isAway }) => isAway) ? 'away' : 'visible'
  }

  /** @throws TypeError for what is no filter: a member spelt wrong would quietly fit everybody. */
  connections(filter: ConnectionFilter = {}): OpenConnection<User>[] {
    checkFilter(filter)
    const { clientId, listening } = filter
    return this.#inAll(topicsIn(filter)).filter(
      (connection) =>
        (clientId === undefined || connection.clientId === clientId) &&
        (listening === undefined || connection.listeners.includes(listening)),
    )
  }

  /** Each user once, however many connections it has; as `getUser` returned it for the oldest of them. */
  users(filter: ConnectionFilter = {}): User[] {
    const users = new Map<string, User>()
    for (const { owner, user } of this.connections(filter)) if (!users.has(owner)) users.set(owner, user)
    return [...users.values()]
  }

  userIds(): Id[] {
    return this.#distinct((connection) => connection.userId)
  }

  tenantIds(): Id[] {
    return this.#distinct((connection) => connection.tenantId)
  }

  accessTokens(): Id[] {
    return this.#distinct((connection) => connection.accessToken)
  }

  channels(): string[] {
    return this.#distinct((connection) => connection.channel)
  }

  #inAll(topics: Topic[]): OpenConnection<User>[] {
    const [first, ...others] = topics
    const candidates = [...this.#connections.of(first === undefined ? [] : [first])]
    return candidates.filter((connection) => others.every((topic) => connection.topics.includes(topic)))
  }

  #distinct<Value extends Id>(pick: (connection: OpenConnection<User>) => Value | undefined): Value[] {
    const values = new Map<string, Value>()
    for (const connection of this.#connections.of()) {
      const value = pick(connection)
      // 7 and '7' are the same.
      if (value !== undefined && !values.has(String(value))) values.set(String(value), value)
    }
    return [...values.values()]
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
