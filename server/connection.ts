import type { Id, Topic } from './topic'

/** What is known of one open stream of one client instance of one user. Times are ms since 1970. */
export interface ConnectionFacts<User extends object = object> {
  /** Unguessable, and good only for the user who opened the connection. */
  readonly id: string
  /** What `getUser` returned when the connection was opened. */
  readonly user: User
  readonly userId: Id | undefined
  readonly userName: string | undefined
  readonly tenantId: Id | undefined
  readonly accessToken: Id | undefined
  /** The channel it joined. */
  readonly channel: string | undefined
  /** The browser, as the client says. */
  readonly clientId: string | undefined
  /** The client object in the page, as the client says. */
  readonly instanceId: string | undefined
  readonly clientVersion: string | undefined
  /** The page's address without query and hash, as the client says. */
  readonly locationHref: string | undefined
  /** E.g. `1920x1080`, as the client says. */
  readonly screen: string | undefined
  /** When the tab's session began, as the client says. */
  readonly accessTime: number | undefined
  /** The event names it listens to. */
  readonly listeners: readonly string[]
  /** All parameters of the connect request (no prototype); the application may keep values of its own here. */
  readonly attributes: Record<string, unknown>
  readonly requestIp: string | undefined
  readonly userAgent: string | undefined
  /** The node that holds the stream. */
  readonly serverId: string
  readonly createTime: number
  /** Seconds that the person was active in the tab: as told on connect, at the goodbye, or set by the server. */
  readonly sessionDuration: number
  /** Nobody was at the page for a minute, as the client says. */
  readonly isAway: boolean
  /** When the last request of this connection came. */
  readonly lastRequestTime: number | undefined
  /** Events written to it. */
  readonly messageCount: number
  /** Messages that came from it. */
  readonly requestMessageCount: number
  /** Uploads that came from it. */
  readonly requestUploadCount: number
}

/**
 * A connection, on this node or another. Of one on another node the user is what JSON keeps of it, values that this
 * process puts into `attributes` stay here, and the counts are as its node told them last.
 */
export interface Connection<User extends object = object> extends ConnectionFacts<User> {
  /**
   * Sends an event to this client instance alone: what it misses while its connection is away, it gets when it is back.
   * @returns 1 if it was written, 0 if no connection of the instance is open. Rejects with a TypeError for a bad name,
   *   and for data that JSON cannot hold.
   */
  send(name: string, data?: unknown): Promise<number>

  /**
   * Ends the connection; the client is told why.
   * @param reason Default `'server-close'`.
   */
  disconnect(reason?: string, options?: DisconnectOptions): void
}

/** A connection as the other nodes of its service know it: plain data that fit into JSON. */
export interface ConnectionRecord<User extends object = object> extends ConnectionFacts<User> {
  /** Who has it; see `Peers`. */
  readonly node: string
  /** Whose it is; see `Identity`. */
  readonly owner: string
  readonly topics: readonly Topic[]
  readonly keepaliveTime: number
  /** The same for the connections of one browser of one user; not there: the client does not say which it is. */
  readonly browser?: string | undefined
}

/** How a connection came. */
export type Arrival<User extends object = object> =
  | {
      /** Its page was here a moment ago: nobody was told that `previous` had ended, and nobody will be. */
      readonly isReturn: true
      /** The connection whose place it takes. */
      readonly previous: Connection<User>
    }
  | { readonly isReturn: false; readonly previous?: undefined }

/** What the client is to do after its connection was ended. */
export interface DisconnectOptions {
  /** `false`: it does not come back before its page is shown again. Default `true`. */
  reconnect?: boolean
  /** ms until it comes back. Default: a random delay of its own. */
  reconnectDelay?: number
}

/** A message or an upload, as its handler gets to know it. */
export interface ConnectionRequest {
  /**
   * `Idempotency-Key`; not there: the client gave none. The handler runs once for a key, and its answer is remembered;
   * but a process that dies between the effect and the remembering leaves an effect that nobody remembers, and a repeat
   * runs the handler again. Where that must not happen either, write the key into the same transaction as the effect,
   * in a column that is unique together with the user (a key belongs to its user), and do nothing if it is there.
   */
  readonly key?: string
}
