import type { Router } from 'express'
import type { Arrival, Connection } from './connection'
import type { SendOptions } from './draft'
import type { ListeningChange } from './listening'
import type { ConnectionFilter, PresenceState } from './presence'
import type { QosOptions, QosPromise } from './qos'
import type { Id } from './topic'

/** One id, or several. */
export type OneOrMany<Value = Id> = Value | Iterable<Value>

/** As the senders of the service, but at least once. */
export interface QosSenders {
  sendAll(name: string, data?: unknown, options?: QosOptions): QosPromise
  sendByUserId(ids: OneOrMany, name: string, data?: unknown, options?: QosOptions): QosPromise
  sendByTenantId(ids: OneOrMany, name: string, data?: unknown, options?: QosOptions): QosPromise
  sendByAccessToken(tokens: OneOrMany, name: string, data?: unknown, options?: QosOptions): QosPromise
  sendByChannel(channels: OneOrMany, name: string, data?: unknown, options?: QosOptions): QosPromise
}

/**
 * What any process may do with a service, with HTTP or without: all of it is about the connections of all nodes.
 *
 * Every `send…` resolves to the number of connections the event was written to, and rejects with a TypeError if the
 * name is empty or holds CR, LF or NUL, if the data does not fit into JSON, or if an id is no string or number.
 * Strings are sent as they are, `undefined` as the empty string, everything else as JSON.
 * What needs a store that is out of reach rejects with a StoreUnavailableError; see `redisStore` for how long it waits.
 */
export interface Publisher<User extends object> {
  /** As given to `createSse` or `createPublisher`. */
  readonly name: string

  /** To every connection. */
  sendAll(name: string, data?: unknown, options?: SendOptions): Promise<number>
  sendByUserId(ids: OneOrMany, name: string, data?: unknown, options?: SendOptions): Promise<number>
  sendByTenantId(ids: OneOrMany, name: string, data?: unknown, options?: SendOptions): Promise<number>
  sendByAccessToken(tokens: OneOrMany, name: string, data?: unknown, options?: SendOptions): Promise<number>
  sendByChannel(channels: OneOrMany, name: string, data?: unknown, options?: SendOptions): Promise<number>

  /**
   * At least once: what is sent by these is kept in the store, and sent again, also to who comes later, until one
   * recipient's page has shown it to its listeners (`each`: one of each user's).
   */
  qos(): QosSenders

  /** The users that are online, each once: as `getUser` returned them; of other processes, what JSON keeps of them. */
  getUsers(): Promise<User[]>
  /** `undefined`: not online. */
  getUser(id: Id): Promise<User | undefined>
  getUserIds(): Promise<Id[]>
  /** Whether the user has an open connection, which means: is looking at a page. */
  isOnline(id: Id): Promise<boolean>
  /**
   * Where the user is, over all devices. `isOnline` is true for the first two.
   * - `visible`: has an open connection, with somebody at it.
   * - `away`: has open connections, but for a minute nobody was at any of them (see `connection.isAway`).
   * - `hidden`: looked elsewhere less than 60 s ago; after that it reads as `gone`.
   * - `gone`: said goodbye, was sent away by the server, or was never here.
   * - `lost`: the line broke without a goodbye, and nobody has come back since.
   *
   * Without a connection, what counts is how the last one to leave has left. This is known at once, also of who reloads
   * the page: for notices that do not flap see `onConnect`. It is known of 100,000 absent users until the process ends, or
   * in Redis for a day; who is not known is `gone`.
   */
  getPresence(id: Id): Promise<PresenceState>
  /** The users that have a connection listening to this event. */
  getUsersByListening(name: string): Promise<User[]>
  getUsersByTenantIdListening(tenantId: Id, name: string): Promise<User[]>
  getTenantIds(): Promise<Id[]>
  getChannels(): Promise<string[]>
  getAccessTokens(): Promise<Id[]>
  /** Every member of the filter must fit. Default: all connections. Rejects with a TypeError for an unknown member. */
  getConnections(filter?: ConnectionFilter): Promise<Connection<User>[]>
  /** `undefined`: no such connection is open. */
  getConnection(id: string): Promise<Connection<User> | undefined>
  getUserCount(): Promise<number>
  getAccessTokenCount(): Promise<number>
  getConnectionCount(): Promise<number>

  /** Ends all connections of these users. @returns their number. The clients are told `server-close`. */
  disconnectByUserId(ids: OneOrMany): Promise<number>
  disconnectByAccessToken(tokens: OneOrMany): Promise<number>
  disconnectByConnectionId(ids: OneOrMany<string>): Promise<number>

  /**
   * Sets what the clients of a user take as the seconds the person was active. For a user who is absent it is
   * remembered and told when the user comes.
   * @param seconds A finite number, 0 or more; else the promise rejects with a TypeError.
   * @returns the number of connections that were told.
   */
  setDurationByUserId(ids: OneOrMany, seconds: number): Promise<number>
  setDurationByAccessToken(tokens: OneOrMany, seconds: number): Promise<number>
  /** As above, but a connection that is not open is not remembered. */
  setDurationByConnectionId(ids: OneOrMany<string>, seconds: number): Promise<number>
  /** The same with 0 seconds. */
  clearDurationByUserId(ids: OneOrMany): Promise<number>
  clearDurationByAccessToken(tokens: OneOrMany): Promise<number>
  clearDurationByConnectionId(ids: OneOrMany<string>): Promise<number>

  /** Ends it: nothing is sent or asked from here any more. Messages of `qos()` that wait resolve to 0 and live on in the store. */
  close(): Promise<void>
}

/** One service: its own users, its own connections. */
export interface SseService<User extends object> extends Omit<Publisher<User>, 'close'> {
  /** Mount it: `app.use('/sse/hr', hr.router)`. */
  readonly router: Router

  /**
   * Called for each connection that came. One that takes the place of another is a return: a page was reloaded, its line
   * broke, its stream was renewed. Then it comes from the same client object as the other, or at least from the same
   * browser of the same user, within `disconnectGrace` after the other's end; `onDisconnect` is not called for
   * `previous`. A client that gives no `clientId` never returns.
   *
   * @example
   * const here = new Map() // right at any time: who is in it has not left, or may be back in a moment
   * hr.onConnect((connection, { previous }) => {
   *   if (previous) here.delete(previous.id)
   *   here.set(connection.id, connection)
   * })
   * hr.onDisconnect((connection) => here.delete(connection.id))
   *
   * @returns the function that unsubscribes. A function that throws or rejects is reported and harms nothing.
   */
  onConnect(fn: (connection: Connection<User>, arrival: Arrival<User>) => unknown): () => void
  /**
   * Called once for each connection that ended, if no other took its place (see `onConnect`): on the node that had it,
   * or, if that has died, on one of the others.
   * After `disconnectGrace`, because its page may come back: what the client said at its goodbye, or `lost` (the socket
   * was gone), `timeout` (`keepaliveTime`), `slow-reader` (`bufferLimit`). At once: `server-close`, `server-shutdown`,
   * `too-many-connections`, or what was given to `disconnect`. `close()` tells all that waits.
   */
  onDisconnect(fn: (connection: Connection<User>, reason: string) => unknown): () => void
  /** Called when the client of an open connection adds or removes listeners. */
  onListeningChange(fn: (change: ListeningChange<User>) => unknown): () => void

  /**
   * What Prometheus reads, with the label `service`: connections, users, events, messages, what waits. The same is at
   * `{base}/metrics`, for operators. Rejects with an HttpError 501 if the package prom-client is not installed.
   */
  metrics(): Promise<string>

  /**
   * Drains: takes no new connections (503) and ends the open ones, telling the clients `server-shutdown`.
   * @param options `within`: ms over which the ends are spread at random, so that not all clients come back at once.
   *   A whole number, at most 2³¹−1; default 0.
   * @returns resolves when all streams have ended. Rejects with a TypeError if `within` is wrong.
   */
  close(options?: { within?: number }): Promise<void>
}
