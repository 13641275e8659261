import { setTimeout as sleep } from 'node:timers/promises'
import {
  type ConnectFinish,
  EVENT_CONNECT_FINISH,
  type GapReason,
  PATH_OUTBOX,
  PATH_REPORT,
  VERSION,
} from '../client/protocol'
import { BATCH } from './batch'
import { type Connections, isSamePage } from './connections'
import { formatCursor, type Position } from './cursor'
import type { Delivery } from './delivery'
import { Departed } from './departed'
import type { Durations } from './durations'
import { encode, encodeRetry, textOf } from './encode'
import { type End, LOST } from './end'
import { HttpError } from './errors'
import { ownerTag } from './identity'
import { createConnectionId } from './known-connection'
import type { Nodes } from './nodes'
import type { Notices } from './notices'
import { type ConnectionParts, OpenConnection } from './open-connection'
import type { Settings } from './options'
import type { Qos } from './qos'
import { type Recovered, recover } from './recovery'
import type { RemoteConnection } from './remote-connection'
import type { Arrived } from './store'
import type { Topic } from './topic'

/** ms that requests which are being answered have to end when all streams have. One of them may be what closes us. */
const ANSWER_TIME = 10_000

type Parts<User extends object> = Pick<
  ConnectionParts<User>,
  'caller' | 'handshake' | 'requestIp' | 'userAgent' | 'stream' | 'heartbeatInterval'
>

/** With the version, so that a page that lives over a deploy does not get the old one, or an old failure, from a cache. */
const OUTBOX = `${PATH_OUTBOX}?v=${VERSION}`

/** How connections come and go. */
export class Lifecycle<User extends object> {
  /** Connections whose clients left a moment ago, and may have sent something before. */
  readonly departed = new Departed<User>()
  readonly #settings: Settings<User>
  readonly #connections: Connections<OpenConnection<User>>
  readonly #durations: Durations<User>
  readonly #delivery: Delivery<User>
  readonly #qos: Qos<User>
  readonly #notices: Notices<User>
  readonly #nodes: Nodes<User>
  readonly #running = new Set<unknown>()
  readonly #heartbeat: NodeJS.Timeout | undefined
  #closing: Promise<void> | undefined

  constructor(
    settings: Settings<User>,
    connections: Connections<OpenConnection<User>>,
    durations: Durations<User>,
    delivery: Delivery<User>,
    qos: Qos<User>,
    notices: Notices<User>,
    nodes: Nodes<User>,
  ) {
    this.#settings = settings
    this.#connections = connections
    this.#durations = durations
    this.#delivery = delivery
    this.#qos = qos
    this.#notices = notices
    this.#nodes = nodes
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

  /** Work that `close` waits for. */
  async during(work: unknown): Promise<void> {
    this.#running.add(work)
    try {
      await work
    } finally {
      this.#running.delete(work)
    }
  }

  /**
   * @param continued Id of a connection by polling that was on another node till now; its client knows it already.
   * @throws HttpError 503 if the store cannot be reached.
   */
  async open(parts: Parts<User>, continued?: string): Promise<OpenConnection<User>> {
    this.checkOpen()
    const { node } = this.#nodes.peers
    const { serverId, bufferLimit } = this.#settings
    const connection = new OpenConnection<User>(
      {
        ...{ ...parts, id: continued ?? createConnectionId(node), node, serverId, bufferLimit },
        send: (...sent) => this.#delivery.send(...sent),
        written: (...written) => this.#qos.written(...written),
      },
      (leaving, end) => this.#left(leaving, end),
    )
    // First the live events, then those of before: so none falls between.
    this.#connections.add(connection)
    const arrived = await this.#orRefuse(connection, () => this.#nodes.peers.arrive(connection))
    // It left while it came.
    if (!connection.isOpen) void this.#notices.neverCame(connection)
    // Who continues was not away: what is live for it is not to be caught up on.
    const catchUp = continued === undefined ? connection.catchUp : new Map()
    const recovered = await this.#recover(connection, parts.handshake.lastEventId, catchUp)
    const isKnown = continued !== undefined && recovered.told.recovered === true
    // First: the application hears of one in the place of another, and not of one more.
    if (connection.isOpen) this.#supersede(connection, arrived)
    const elsewhere = await this.#endedElsewhere(connection, arrived)
    if (!connection.isOpen && elsewhere) this.#notices.disconnected.run(elsewhere, LOST.reason)
    if (!connection.isOpen) return connection
    connection.welcome(isKnown ? undefined : this.#welcome(connection, recovered))
    this.#catchUp(connection, recovered)
    // One that continues has not come.
    if (elsewhere?.id !== connection.id) this.#notices.came(connection, elsewhere)
    if (connection.isOpen) this.#evict(connection, arrived)
    connection.release()
    void this.#durations.tell(connection)
    // A poll that is to be answered at once brings that, too.
    await this.#qos.greet(connection, parts.handshake.lastEventId)
    return connection
  }

  /**
   * The client of an open connection asks for what is behind the place where it is.
   * @param isCurrent whether it has not asked once more since.
   * @throws HttpError as `open`.
   */
  async resume(
    connection: OpenConnection<User>,
    lastEventId: string | undefined,
    isCurrent: () => boolean,
  ): Promise<void> {
    connection.hold()
    void this.#qos.acknowledgements.acknowledged(connection, lastEventId)
    // It was not away: what is live for it is not to be caught up on.
    const recovered = await this.#recover(connection, lastEventId, new Map())
    if (!isCurrent()) return
    // Who does not know where it is, or cannot go on from there, is to be told.
    if (recovered.told.recovered !== true) connection.welcome(this.#welcome(connection, recovered))
    this.#catchUp(connection, recovered)
    connection.release()
    if (recovered.told.recovered !== true) await this.#qos.bring(connection)
  }

  /** Nobody can tell what was sent before this place: to these topics, or to any. */
  lost(place: Position, reason: GapReason, topics?: readonly Topic[]): void {
    const told = { recovered: false, reason }
    const id = formatCursor(place)
    // Who has come since is in the log that is now, and gets what is sent to it.
    const goesOn = (connection: OpenConnection<User>) =>
      reason === 'epoch' ? connection.epoch === place.epoch : connection.isAt(place)
    const all = [...this.#connections.of(topics)].filter((connection) => !goesOn(connection))
    for (const connection of all) connection.beginAnew(this.#welcome(connection, { told, id }), place)
    void this.#qos.bringAll(all)
  }

  /** The connection with this id that is open, or was until a moment ago. */
  find(id: string): OpenConnection<User> | undefined {
    return this.#connections.get(id) ?? this.#notices.lost(id)
  }

  /** The client says that it has left. @returns when the other nodes know */
  goodbye(connection: OpenConnection<User>, reason: string): Promise<void> {
    this.departed.add(connection)
    if (!connection.isOpen) return this.#notices.explain(connection, reason)
    connection.goodbye(reason)
    return connection.left
  }

  /** Ends all connections, each after a random part of `within` ms, so that the clients do not all come back at once. */
  close(within: number): Promise<void> {
    this.#closing ??= this.#drain(within)
    return this.#closing
  }

  async #drain(within: number): Promise<void> {
    const ended = [...this.#connections.of()].map((connection) => dismiss(connection, Math.random() * within))
    await Promise.all([this.#notices.settle(), ...ended])
    // Till then proxies must see that the streams live.
    clearInterval(this.#heartbeat)
    await this.#notices.settle()
    await Promise.race([Promise.allSettled(this.#running), sleep(ANSWER_TIME, undefined, { ref: false })])
    this.#qos.close()
    await this.#nodes.peers.end().catch((error) => this.#settings.report(error, 'the store'))
  }

  #recover(
    connection: OpenConnection<User>,
    lastEventId: string | undefined,
    catchUp: OpenConnection<User>['catchUp'],
  ): Promise<Recovered> {
    return this.#orRefuse(connection, () => recover(this.#settings, connection, lastEventId, catchUp))
  }

  async #orRefuse<T>(connection: OpenConnection<User>, ask: () => Promise<T>): Promise<T> {
    try {
      return await ask()
    } catch (error) {
      connection.abandon()
      this.#settings.report(error, 'the store')
      throw new HttpError(503, 'The events cannot be read; try again later.', { 'Retry-After': '1' })
    }
  }

  #welcome(connection: OpenConnection<User>, { told, id }: Pick<Recovered, 'told' | 'id'>): Buffer {
    const { reconnectTime, name, handlers, uploadChunk } = this.#settings
    const finish: ConnectFinish = {
      connectionId: connection.id,
      serverTime: Date.now(),
      reconnectTime,
      name,
      enableCluster: this.#settings.store.isShared,
      version: VERSION,
      heartbeatInterval: connection.heartbeatInterval,
      outbox: OUTBOX,
      report: PATH_REPORT,
      owner: ownerTag(connection.owner),
      batch: BATCH,
      ...(handlers.onUpload === undefined ? {} : { uploads: { chunk: uploadChunk } }),
      ...told,
    }
    return Buffer.concat([encodeRetry(reconnectTime), encode(EVENT_CONNECT_FINISH, textOf(finish), id)])
  }

  /** Writes what was missed. */
  #catchUp(connection: OpenConnection<User>, { replay, readUpTo }: Recovered): void {
    if (replay !== undefined) connection.pour(replay)
    connection.readTo(readUpTo)
  }

  /** One stream for one client instance. */
  #supersede(newcomer: OpenConnection<User>, { others }: Arrived): void {
    const sameBrowser = this.#connections.ofSameBrowser(newcomer)
    // One that came later, and whose history is still being read, stays. If the newcomer is an old attempt that was long
    // on the way, the client comes back.
    const older = sameBrowser.slice(0, sameBrowser.indexOf(newcomer))
    for (const other of older) if (isSamePage(other, newcomer)) other.supersede()
    for (const other of others)
      if (isSamePage(other, newcomer))
        this.#nodes.tell(other, { kind: other.id === newcomer.id ? 'move' : 'supersede' })
  }

  async #endedElsewhere(
    newcomer: OpenConnection<User>,
    { others, hasEnded }: Arrived,
  ): Promise<RemoteConnection<User> | undefined> {
    const replaced = others.find((other) => isSamePage(other, newcomer))
    if (replaced !== undefined) return this.#nodes.remote(replaced)
    if (!hasEnded || this.#notices.hasEnded(newcomer)) return undefined
    const record = await this.#orRefuse(newcomer, () => this.#nodes.peers.takeEnded(newcomer))
    return record && this.#nodes.remote(record)
  }

  #evict(newcomer: OpenConnection<User>, { others }: Arrived): void {
    // Those of other nodes count as older: their clocks may be others.
    const elsewhere = others.filter((other) => !isSamePage(other, newcomer))
    const all = [...elsewhere, ...this.#connections.ofSameBrowser(newcomer)]
    const surplus = Math.max(0, all.length - this.#settings.clientIdMaxConnections)
    const [reason, options] = ['too-many-connections', { reconnect: false }]
    for (const oldest of all.slice(0, surplus)) {
      if (oldest instanceof OpenConnection) oldest.disconnect(reason, options)
      else this.#nodes.tell(oldest, { kind: 'end', reason, options })
    }
  }

  #left(connection: OpenConnection<User>, end: End): Promise<void> {
    this.#connections.remove(connection)
    this.#qos.acknowledgements.left(connection)
    // Nobody heard of its coming.
    if (!connection.isWelcome) return this.#notices.neverCame(connection)
    if (end === LOST) this.departed.add(connection)
    return this.#notices.left(connection, end)
  }

  #beat(): void {
    for (const connection of this.#connections.of()) connection.stream.beat()
  }
}

/** Told at a moment of its own, each comes back at once: to another node, or to the next process. */
function dismiss<User extends object>(connection: OpenConnection<User>, delay: number): Promise<void> {
  const timer = setTimeout(() => connection.disconnect('server-shutdown', { reconnectDelay: 0 }), delay)
  return connection.closed.then(() => clearTimeout(timer))
}
