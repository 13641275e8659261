import type { Connection } from './connection'
import { Hooks } from './hooks'
import { listenerNames, namesIn } from './listeners'
import type { OpenConnection } from './open-connection'
import type { Settings } from './options'
import type { Qos } from './qos'

/** A connection listens to other names than before. */
export interface ListeningChange<User extends object> {
  connection: Connection<User>
  before: readonly string[]
  after: readonly string[]
}

/** What connections listen to, as their clients change it. */
export class Listening<User extends object> {
  readonly changed: Hooks<[ListeningChange<User>]>
  readonly #settings: Settings<User>
  readonly #qos: Qos<User>

  constructor(settings: Settings<User>, qos: Qos<User>) {
    this.#settings = settings
    this.#qos = qos
    this.changed = new Hooks('onListeningChange', settings.report)
  }

  /** @throws HttpError 400 for what is no list of names, 413 for too many. */
  add(connection: OpenConnection<User>, names: unknown): readonly string[] {
    const { listeners: before } = connection
    const after = this.#change(connection, listenerNames(names, before, this.#settings))
    void this.#qos.bring(connection, after.slice(before.length))
    return after
  }

  /**
   * @param lastEventId What its client has handled.
   * @throws HttpError 400 for what is no list of names.
   */
  remove(
    connection: OpenConnection<User>,
    names: unknown,
    lastEventId: string | undefined,
  ): readonly string[] {
    const removed = new Set(namesIn(names, this.#settings))
    this.#qos.acknowledgements.unheard(connection, [...removed], lastEventId)
    return this.#change(
      connection,
      connection.listeners.filter((name) => !removed.has(name)),
    )
  }

  #change(connection: OpenConnection<User>, after: readonly string[]): readonly string[] {
    const before = connection.listeners
    // Names are only added or only taken away, so the number tells whether anything changed.
    if (after.length === before.length) return before
    connection.listeners = after
    this.changed.run({ connection, before, after })
    return after
  }
}
