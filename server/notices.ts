import type { Absences } from './absences'
import type { Arrival, Connection } from './connection'
import { Connections, isSamePage } from './connections'
import { type End, LOST } from './end'
import { Hooks } from './hooks'
import type { OpenConnection } from './open-connection'
import type { Settings } from './options'

/** ms that a lost connection waits for its client's goodbye, which is a request of its own and comes a moment later. */
const GOODBYE_TIME = 300

interface Waiting {
  readonly end: End
  readonly timer: NodeJS.Timeout
}

/** What the application hears of connections that come and go. Whose page is back in a moment was never gone. */
export class Notices<User extends object> {
  readonly connected: Hooks<[Connection<User>, Arrival<User>]>
  readonly disconnected: Hooks<[Connection<User>, reason: string]>
  readonly #absences: Absences<User>
  #grace: number
  /** Ended, and nobody has heard of it. */
  readonly #ended = new Connections<User>()
  readonly #waiting = new Map<OpenConnection<User>, Waiting>()

  constructor({ disconnectGrace, report }: Settings<User>, absences: Absences<User>) {
    this.#grace = disconnectGrace
    this.#absences = absences
    this.connected = new Hooks('onConnect', report)
    this.disconnected = new Hooks('onDisconnect', report)
  }

  came(connection: OpenConnection<User>): void {
    const ended = this.#ended.ofSameBrowser(connection)
    const previous = ended.find((other) => isSamePage(other, connection)) ?? ended[0]
    if (previous === undefined) return this.connected.run(connection, { isReturn: false })
    this.#take(previous)
    this.connected.run(connection, { isReturn: true, previous })
  }

  left(connection: OpenConnection<User>, end: End): void {
    this.#absences.left(connection, end)
    const time = this.#timeFor(end)
    if (time === 0) return this.disconnected.run(connection, end.reason)
    const timer = setTimeout(() => this.#tell(connection), time).unref()
    this.#ended.add(connection)
    this.#waiting.set(connection, { end, timer })
  }

  /** The connection with this id whose line is gone, and of whose end nobody has heard, its client included. */
  lost(id: string): OpenConnection<User> | undefined {
    const connection = this.#ended.get(id)
    return connection && this.#waiting.get(connection)?.end === LOST ? connection : undefined
  }

  /** The client of a connection that is lost says why. */
  explain(connection: OpenConnection<User>, reason: string): void {
    const waiting = this.#waiting.get(connection)
    if (waiting === undefined) return
    const end: End = { by: 'client', reason }
    this.#absences.correct(connection, end)
    this.#waiting.set(connection, { ...waiting, end })
    if (this.#grace === 0) this.#tell(connection)
  }

  /** Nobody can come back any more: what waits is told, and what is still to end is told at once. */
  settle(): void {
    this.#grace = 0
    for (const connection of [...this.#waiting.keys()]) this.#tell(connection)
  }

  #timeFor({ by, reason }: End): number {
    if (by === 'server') return 0
    if (by === 'client') return this.#grace
    // The successor of what is superseded comes in this turn.
    const least = reason === 'lost' ? GOODBYE_TIME : reason === 'superseded' ? 1 : 0
    return Math.max(least, this.#grace)
  }

  #tell(connection: OpenConnection<User>): void {
    const waiting = this.#take(connection)
    if (waiting !== undefined) this.disconnected.run(connection, waiting.end.reason)
  }

  #take(connection: OpenConnection<User>): Waiting | undefined {
    const waiting = this.#waiting.get(connection)
    clearTimeout(waiting?.timer)
    this.#waiting.delete(connection)
    this.#ended.remove(connection)
    return waiting
  }
}
