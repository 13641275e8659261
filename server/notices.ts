import { absenceAfter } from './absence'
import type { Arrival, Connection, ConnectionRecord } from './connection'
import { Connections, isSamePage } from './connections'
import { type End, LOST } from './end'
import { Hooks } from './hooks'
import { OpenConnection } from './open-connection'
import type { Settings } from './options'
import type { RemoteConnection } from './remote-connection'
import type { Peers } from './store'

/** ms that a lost connection waits for its client's goodbye, which is a request of its own and comes a moment later. */
const GOODBYE_TIME = 300

/** ms that the page of a connection has to come back whose line, or node, is gone. */
export function lostGrace({ disconnectGrace }: { readonly disconnectGrace: number }): number {
  return Math.max(GOODBYE_TIME, disconnectGrace)
}

/** One of this node, or of a node that has died. */
type Gone<User extends object> = OpenConnection<User> | RemoteConnection<User>

interface Waiting {
  readonly end: End
  readonly timer: NodeJS.Timeout
}

/** What the application hears of connections that come and go. Whose page is back in a moment was never gone. */
export class Notices<User extends object> {
  readonly connected: Hooks<[Connection<User>, Arrival<User>]>
  readonly disconnected: Hooks<[Connection<User>, reason: string]>
  readonly #peers: Peers
  readonly #report: Settings<User>['report']
  /** A page may come back to another node. */
  readonly #isShared: boolean
  #grace: number
  /** Ended, and nobody has heard of it. */
  readonly #ended = new Connections<Gone<User>>()
  readonly #waiting = new Map<Gone<User>, Waiting>()

  constructor({ disconnectGrace, report, store }: Settings<User>, peers: Peers) {
    this.#grace = disconnectGrace
    this.#peers = peers
    this.#report = report
    this.#isShared = store.isShared
    this.connected = new Hooks('onConnect', report)
    this.disconnected = new Hooks('onDisconnect', report)
  }

  /** @param elsewhere the one whose place it takes, if that ended on another node */
  came(connection: OpenConnection<User>, elsewhere?: RemoteConnection<User>): void {
    const ended = this.#ended.ofSameBrowser(connection)
    const here = ended.find((other) => isSamePage(other, connection)) ?? ended[0]
    const previous = here ?? elsewhere
    if (previous === undefined) return this.connected.run(connection, { isReturn: false })
    if (here !== undefined && this.#take(here)) this.#forget(here)
    this.connected.run(connection, { isReturn: true, previous })
  }

  /** @returns when the other nodes know, as for all that is told of an end */
  left(connection: OpenConnection<User>, end: End): Promise<void> {
    const grace = this.#timeFor(end)
    const mayStillSend = end === LOST || end.by === 'client'
    const leave = { absence: absenceAfter(end), grace, mayStillSend }
    const told = this.#try(() => this.#peers.leave(connection, leave))
    this.#wait(connection, end, grace)
    return told
  }

  /** Nobody was told of it, and nobody will be. */
  neverCame(connection: OpenConnection<User>): Promise<void> {
    return this.#try(() => this.#peers.leave(connection, { grace: 0 }))
  }

  /** A node has died, and this connection of it is told from here. */
  bereaved(connection: RemoteConnection<User>): void {
    this.#wait(connection, LOST, this.#timeFor(LOST))
  }

  /** The connection with this id whose line is gone, and of whose end nobody has heard, its client included. */
  lost(id: string): OpenConnection<User> | undefined {
    const connection = this.#ended.get(id)
    const isLost = connection instanceof OpenConnection && this.#waiting.get(connection)?.end === LOST
    return isLost ? connection : undefined
  }

  /** Whether one of its browser has ended here, and nobody has heard of it. */
  hasEnded(newcomer: OpenConnection<User>): boolean {
    return this.#ended.ofSameBrowser(newcomer).length > 0
  }

  /** The client of a connection that is lost says why. */
  explain(connection: OpenConnection<User>, reason: string): Promise<void> {
    const waiting = this.#waiting.get(connection)
    if (waiting === undefined) return Promise.resolve()
    const end: End = { by: 'client', reason }
    const told = connection.left.then(() =>
      this.#try(() => this.#peers.explain(connection, absenceAfter(end))),
    )
    this.#waiting.set(connection, { ...waiting, end })
    if (this.#grace === 0) void this.#tell(connection)
    return told
  }

  /** Nobody can come back any more: what waits is told, and what is still to end is told at once. */
  async settle(): Promise<void> {
    this.#grace = 0
    await Promise.all([...this.#waiting.keys()].map((connection) => this.#tell(connection)))
  }

  #wait(connection: Gone<User>, end: End, time: number): void {
    if (time === 0) return this.disconnected.run(connection, end.reason)
    const timer = setTimeout(() => void this.#tell(connection), time).unref()
    this.#ended.add(connection)
    this.#waiting.set(connection, { end, timer })
  }

  #timeFor({ by, reason }: End): number {
    if (by === 'server') return 0
    if (by === 'client') return this.#grace
    // The successor of what is superseded comes in this turn.
    const least = reason === 'lost' ? GOODBYE_TIME : reason === 'superseded' ? 1 : 0
    return Math.max(least, this.#grace)
  }

  async #tell(connection: Gone<User>): Promise<void> {
    const waiting = this.#take(connection)
    if (waiting === undefined) return
    const mayBeElsewhere = this.#isShared && connection.browser !== undefined
    if (mayBeElsewhere && !(await this.#isOurs(connection))) return
    this.disconnected.run(connection, waiting.end.reason)
  }

  /** Whether its page has not come back on another node. */
  async #isOurs(connection: Gone<User>): Promise<boolean> {
    try {
      return !(await this.#peers.isTaken(connection))
    } catch (error) {
      this.#report(error, 'the store')
      return true
    }
  }

  #forget(connection: ConnectionRecord): void {
    if (this.#isShared && connection.browser !== undefined)
      void this.#try(() => this.#peers.isTaken(connection))
  }

  async #try(act: () => Promise<unknown>): Promise<void> {
    try {
      await act()
    } catch (error) {
      this.#report(error, 'the store')
    }
  }

  #take(connection: Gone<User>): Waiting | undefined {
    const waiting = this.#waiting.get(connection)
    clearTimeout(waiting?.timer)
    this.#waiting.delete(connection)
    this.#ended.remove(connection)
    return waiting
  }
}
