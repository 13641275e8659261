import type { Router } from 'express'
import type { Connection } from './connection'
import type { SendOptions } from './delivery'
import type { ListeningChange } from './listening'
import type { ConnectionFilter } from './presence'
import type { Id } from './topic'

/** One id, or several. */
export type OneOrMany<Value = Id> = Value | Iterable<Value>

/**
 * One service: its own users, its own connections.
 *
 * Every `send…` resolves to the number of connections the event was written to, and rejects with a TypeError if the
 * name is empty or holds CR, LF or NUL, if the data does not fit into JSON, or if an id is no string or number.
 * Strings are sent as they are, `undefined` as the empty string, everything else as JSON.
 */
export interface SseService<User extends object> {
  /** As given to `createSse`. */
  readonly name: string
  /** Mount it: `app.use('/sse/hr', hr.router)`. */
  readonly router: Router

  /** To every connection. */
  sendAll(name: string, data?: unknown, options?: SendOptions): Promise<number>
  sendByUserId(ids: OneOrMany, name: string, data?: unknown, options?: SendOptions): Promise<number>
  sendByTenantId(ids: OneOrMany, name: string, data?: unknown, options?: SendOptions): Promise<number>
  sendByAccessToken(tokens: OneOrMany, name: string, data?: unknown, options?: SendOptions): Promise<number>
  sendByChannel(channels: OneOrMany, name: string, data?: unknown, options?: SendOptions): Promise<number>

  /** The users that are online, each once: as `getUser` returned them. */
  getUsers(): Promise<User[]>
  /** `undefined`: not online. */
  getUser(id: Id): Promise<User | undefined>
  getUserIds(): Promise<Id[]>
  /** Whether the user has an open connection, which means: is looking at a page. */
  isOnline(id: Id): Promise<boolean>
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

  /** @returns the function that unsubscribes. A function that throws or rejects is reported and harms nothing. */
  onConnect(fn: (connection: Connection<User>) => unknown): () => void
  /**
   * Called once for each connection that ended.
   * `reason`: what the client said at its goodbye, or `lost` (the socket was gone), `timeout` (`keepaliveTime`),
   * `server-close`, `server-shutdown`, `too-many-connections`, `superseded` (the same client object connected anew),
   * `slow-reader` (`bufferLimit`), or what was given to `disconnect`.
   */
  onDisconnect(fn: (connection: Connection<User>, reason: string) => unknown): () => void
  /** Called when the client of an open connection adds or removes listeners. */
  onListeningChange(fn: (change: ListeningChange<User>) => unknown): () => void

  /**
   * Drains: takes no new connections (503) and ends the open ones, telling the clients `server-shutdown`.
   * @param options `within`: ms over which the ends are spread at random, so that not all clients come back at once.
   *   A whole number, at most 2³¹−1; default 0.
   * @returns resolves when all streams have ended. Rejects with a TypeError if `within` is wrong.
   */
  close(options?: { within?: number }): Promise<void>
}
