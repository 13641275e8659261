import type { SseOptions } from 'tabwire'

export type CatchUps = NonNullable<SseOptions['catchUp']>

/** What the soak's `getUser` returns. */
export interface User {
  readonly id: number
  readonly name: string
  readonly tenantId: number
  readonly accessToken: string
}

/** Whom an event is for, as the application says it. */
export type Audience =
  | { readonly to: 'all' }
  | { readonly to: 'user' | 'tenant'; readonly ids: readonly number[] }
  | { readonly to: 'token' | 'channel'; readonly ids: readonly string[] }
  /** The connection that this client has just now. */
  | { readonly to: 'connection'; readonly client: number }

/** One client: whose it is, and what its page asks for. */
export interface Role {
  readonly client: number
  readonly user: User
  /** The browser: two clients of a user may be two tabs of one. */
  readonly browser: string
  readonly channel: string | undefined
  readonly resumeOnReload: boolean
  readonly listensToQuiet: boolean
  readonly catchUp: CatchUps
}

/** Users share tenants, tokens and channels; every second user has two clients. */
export class Cast {
  readonly roles: readonly Role[]
  readonly users: readonly User[]
  readonly tenants: readonly number[]
  readonly tokens: readonly string[]
  readonly channels: readonly string[]
  readonly #byTopic = new Map<string, Role[]>()

  constructor(clients: number) {
    const count = (per: number): number => Math.max(2, Math.round(clients / per))
    this.tenants = Array.from({ length: count(15) }, (_, n) => n)
    this.tokens = Array.from({ length: count(5) }, (_, n) => `token-${n}`)
    this.channels = Array.from({ length: count(30) }, (_, n) => `channel-${n}`)
    this.users = Array.from({ length: count(1.5) }, (_, id) => ({
      id,
      name: `user ${id}`,
      tenantId: id % this.tenants.length,
      accessToken: `token-${id % this.tokens.length}`,
    }))
    this.roles = Array.from({ length: clients }, (_, client) => this.#roleOf(client))
    for (const role of this.roles) for (const topic of topicsOf(role)) this.#join(topic, role)
  }

  user(id: number): User | undefined {
    return this.users[id]
  }

  /** Who is to get it, each once. What is for a connection alone only its sender knows. */
  audience(audience: Audience): readonly Role[] {
    if (audience.to === 'all') return this.roles
    if (audience.to === 'connection') return []
    const found = audience.ids.flatMap((id) => this.#byTopic.get(`${audience.to}:${id}`) ?? [])
    return [...new Set(found)]
  }

  #roleOf(client: number): Role {
    const user = this.users[client % this.users.length]
    if (user === undefined) throw new RangeError('No such user.')
    const isSecond = client >= this.users.length
    return {
      client,
      user,
      browser: isSecond && client % 4 === 0 ? `second browser of ${user.id}` : `browser of ${user.id}`,
      channel: client % 10 < 7 ? this.channels[client % this.channels.length] : undefined,
      resumeOnReload: client % 4 !== 3,
      listensToQuiet: client % 3 !== 2,
      catchUp: client % 2 === 0 ? { ticker: 'latest', mail: 'count', typing: 'drop' } : {},
    }
  }

  #join(topic: string, role: Role): void {
    const roles = this.#byTopic.get(topic)
    if (roles === undefined) this.#byTopic.set(topic, [role])
    else roles.push(role)
  }
}

function topicsOf({ user, channel }: Role): string[] {
  return [
    `user:${user.id}`,
    `tenant:${user.tenantId}`,
    `token:${user.accessToken}`,
    ...(channel === undefined ? [] : [`channel:${channel}`]),
  ]
}
