import { randomBytes } from 'node:crypto'
import { type ConnectFinish, EVENT_CONNECT_FINISH, VERSION } from '../client/protocol'
import { type Connection, type ConnectionParts, OpenConnection } from './connection'
import type { Connections } from './connections'
import type { Durations } from './durations'
import { encode, encodeRetry } from './encode'
import { HttpError } from './errors'
import { Hooks } from './hooks'
import type { Settings } from './options'

/** ms that a lost connection waits for its client's goodbye, which is a request of its own and comes a moment later. */
const GOODBYE_TIME = 300

type Parts<User extends object> = Omit<ConnectionParts<User>, 'id' | 'serverId'>

/** How connections come and go. */
export class Lifecycle<User extends object> {
  readonly connected: Hooks<[Connection<User>]>
  readonly disconnected: Hooks<[Connection<User>, reason: string]>
  readonly #settings: Settings<User>
  readonly #connections: Connections<User>
  readonly #durations: Durations<User>
  readonly #heartbeat: NodeJS.Timeout | undefined
  readonly #lost = new Map<string, { connection: OpenConnection<User>; timer: NodeJS.Timeout }>()
  #closing: Promise<void> | undefined

  constructor(settings: Settings<User>, connections: Connections<User>, durations: Durations<User>) {
    this.#settings = settings
    this.#connections = connections
    this.#durations = durations
    this.connected = new Hooks('onConnect', settings.report)
    this.disconnected = new Hooks('onDisconnect', settings.report)
    if (settings.heartbeatInterval > 0) {
      this.#heartbeat = setInterval(() => this.#beat(), settings.heartbeatInterval).unref()
    }
  }

  /** @throws HttpError 503 once the service is closing. */
  checkOpen(): void {
    if (this.#closing === undefined) return
    const seconds = Math.max(1, Math.ceil(this.#settings.reconnectTime / 1000))
    throw new HttpError(503, 'The server is closing; try again later.', { 'Retry-After': String(seconds) })
  }

  open(parts: Parts<User>): void {
    // 144 bits: whoever holds the id could not have guessed it.
    const id = randomBytes(18).toString('base64url')
    const connection = new OpenConnection<User>(
      { ...parts, id, serverId: this.#settings.serverId },
      (leaving, reason) => this.#left(leaving, reason),
    )
    this.#connections.add(connection)
    connection.deliver(this.#welcome(id))
    this.connected.run(connection)
    this.#evict(connection)
    void this.#durations.tell(connection)
  }

  /** The connection with this id that is open, or was until a moment ago. */
  find(id: string): OpenConnection<User> | undefined {
    return this.#connections.get(id) ?? this.#lost.get(id)?.connection
  }

  /** The client says that it has left. */
  goodbye(connection: OpenConnection<User>, reason: string): void {
    if (this.#lost.has(connection.id)) this.#settle(connection, reason)
    else connection.goodbye(reason)
  }

  /** Ends all connections, each after a random part of `within` ms, so that the clients do not all come back at once. */
  close(within: number): Promise<void> {
    this.#closing ??= this.#drain(within)
    return this.#closing
  }

  async #drain(within: number): Promise<void> {
    await Promise.all(
      [...this.#connections.of()].map((connection) => dismiss(connection, Math.random() * within)),
    )
    // Till then proxies must see that the streams live.
    clearInterval(this.#heartbeat)
    for (const { connection } of [...this.#lost.values()]) this.#settle(connection, 'lost')
  }

  #welcome(connectionId: string): Buffer {
    const { reconnectTime, name } = this.#settings
    const finish: ConnectFinish = {
      connectionId,
      serverTime: Date.now(),
      reconnectTime,
      name,
      enableCluster: false,
      version: VERSION,
    }
    return Buffer.concat([encodeRetry(reconnectTime), encode(EVENT_CONNECT_FINISH, finish)])
  }

  #evict(newcomer: OpenConnection<User>): void {
    const all = this.#connections.ofSameBrowser(newcomer)
    const surplus = Math.max(0, all.length - this.#settings.clientIdMaxConnections)
    for (const oldest of all.slice(0, surplus))
      oldest.disconnect('too-many-connections', { reconnect: false })
  }

  #left(connection: OpenConnection<User>, reason: string | undefined): void {
    this.#connections.remove(connection)
    if (reason !== undefined) return this.disconnected.run(connection, reason)
    const timer = setTimeout(() => this.#settle(connection, 'lost'), GOODBYE_TIME)
    this.#lost.set(connection.id, { connection, timer })
  }

  #settle(connection: OpenConnection<User>, reason: string): void {
    clearTimeout(this.#lost.get(connection.id)?.timer)
    this.#lost.delete(connection.id)
    this.disconnected.run(connection, reason)
  }

  #beat(): void {
    for (const connection of this.#connections.of()) connection.beat()
  }
}

function dismiss<User extends object>(connection: OpenConnection<User>, delay: number): Promise<void> {
  const timer = setTimeout(() => connection.disconnect('server-shutdown'), delay)
  return connection.closed.then(() => clearTimeout(timer))
}
