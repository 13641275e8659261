import {
  type ConnectClose,
  EVENT_CONNECT_CLOSE,
  EVENT_SET_DURATION,
  type SetDuration,
} from '../client/protocol'
import { encode } from './encode'
import type { Handshake } from './handshake'
import { type Caller, topicsFor } from './identity'
import type { EventStream } from './stream'
import type { Id, Topic } from './topic'

/** The largest delay a timer can hold; beyond it Node would fire at once. */
export const LONGEST_DELAY = 2 ** 31 - 1

/** One open stream of one client instance of one user. Times are ms since 1970. */
export interface Connection<User extends object = object> {
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
  /** When the last request of this connection came. */
  readonly lastRequestTime: number | undefined
  /** Events written to it. */
  readonly messageCount: number
  /** Messages that came from it. */
  readonly requestMessageCount: number
  /** Uploads that came from it. */
  readonly requestUploadCount: number

  /**
   * Sends an event to this connection alone.
   * @returns 1 if it was written, 0 if the connection is not open any more. Rejects with a TypeError as `encode` throws.
   */
  send(name: string, data?: unknown): Promise<number>

  /**
   * Ends the connection; the client is told why.
   * @param reason Default `'server-close'`.
   * @param options `reconnect: false`: the client does not come back before its page is shown again. Default `true`.
   */
  disconnect(reason?: string, options?: { reconnect?: boolean }): void
}

/** What a connection is made of. */
export interface ConnectionParts<User extends object> {
  readonly id: string
  readonly caller: Caller<User>
  readonly handshake: Handshake
  readonly requestIp: string | undefined
  readonly userAgent: string | undefined
  readonly serverId: string
  readonly stream: EventStream
}

/** Called once, when a connection has ended; without a reason if the socket was simply gone. */
export type Leave<User extends object> = (
  connection: OpenConnection<User>,
  reason: string | undefined,
) => void

/** The connection as the server holds it. */
export class OpenConnection<User extends object> implements Connection<User> {
  readonly id: string
  readonly user: User
  readonly userId: Id | undefined
  readonly userName: string | undefined
  readonly tenantId: Id | undefined
  readonly accessToken: Id | undefined
  readonly channel: string | undefined
  readonly clientId: string | undefined
  readonly instanceId: string | undefined
  readonly clientVersion: string | undefined
  readonly locationHref: string | undefined
  readonly screen: string | undefined
  readonly accessTime: number | undefined
  readonly attributes: Record<string, unknown>
  readonly requestIp: string | undefined
  readonly userAgent: string | undefined
  readonly serverId: string
  readonly createTime = Date.now()

  /** Whose it is; see `Identity`. */
  readonly owner: string
  readonly topics: readonly Topic[]
  readonly closed: Promise<void>

  listeners: readonly string[]
  sessionDuration: number
  lastRequestTime: number | undefined
  messageCount = 0
  requestMessageCount = 0
  requestUploadCount = 0

  readonly #stream: EventStream
  readonly #leave: Leave<User>
  #expiry: NodeJS.Timeout | undefined
  #isOpen = true

  constructor(
    { id, caller, handshake, requestIp, userAgent, serverId, stream }: ConnectionParts<User>,
    leave: Leave<User>,
  ) {
    this.id = id
    this.user = caller.user
    this.userId = caller.identity.userId
    this.userName = caller.identity.userName
    this.tenantId = caller.identity.tenantId
    this.accessToken = caller.identity.accessToken
    this.owner = caller.identity.owner
    this.channel = handshake.channel
    this.clientId = handshake.clientId
    this.instanceId = handshake.instanceId
    this.clientVersion = handshake.clientVersion
    this.locationHref = handshake.locationHref
    this.screen = handshake.screen
    this.accessTime = handshake.accessTime
    this.attributes = handshake.attributes
    this.listeners = handshake.listeners
    this.sessionDuration = handshake.sessionDuration
    this.requestIp = requestIp
    this.userAgent = userAgent
    this.serverId = serverId
    this.topics = topicsFor(caller.identity, handshake.channel)
    this.closed = stream.closed
    this.#stream = stream
    this.#leave = leave
    this.#expireAfter(handshake.keepaliveTime)
    void stream.closed.then(() => this.#end(undefined))
  }

  async send(name: string, data?: unknown): Promise<number> {
    return this.deliver(encode(name, data)) ? 1 : 0
  }

  disconnect(reason = 'server-close', { reconnect = true }: { reconnect?: boolean } = {}): void {
    const close: ConnectClose = { connectionId: this.id, reason, reconnect }
    this.deliver(encode(EVENT_CONNECT_CLOSE, close))
    this.#end(reason)
  }

  /** Writes an encoded event. @returns whether it was written. */
  deliver(event: Buffer): boolean {
    if (!this.#isOpen || !this.#stream.write(event)) return false
    this.messageCount++
    return true
  }

  /** Tells the client what its session duration is. */
  setDuration(seconds: number): boolean {
    const told: SetDuration = { duration: String(seconds) }
    if (!this.deliver(encode(EVENT_SET_DURATION, told))) return false
    this.sessionDuration = seconds
    return true
  }

  /**
   * The client said goodbye. If its stream is still open it is told all the same: the original client, when its page is
   * hidden, keeps the stream until this comes, and an end without a word would bring it back.
   */
  goodbye(reason: string): void {
    this.disconnect(reason, { reconnect: false })
  }

  beat(): void {
    this.#stream.beat()
  }

  #expireAfter(ms: number): void {
    if (ms === 0) return
    this.#expiry = setTimeout(() => this.#end('timeout'), Math.min(ms, LONGEST_DELAY))
    this.#expiry.unref()
  }

  #end(reason: string | undefined): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    clearTimeout(this.#expiry)
    this.#stream.end()
    this.#leave(this, reason)
  }
}
