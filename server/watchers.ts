import { setTimeout as sleep } from 'node:timers/promises'
import { EVENT_MONITOR } from '../client/protocol'
import { figuresOf } from './figures'
import type { OpenConnection } from './open-connection'
import type { Settings } from './options'
import type { Presence } from './presence'

/** ms between two figures. */
const EVERY = 1000

/** Connections of operators who look at the monitor: each is told the figures, again and again. */
export class Watchers<User extends object> {
  readonly #settings: Settings<User>
  readonly #presence: Presence<User>
  readonly #connections = new Set<OpenConnection<User>>()
  #isRunning = false

  constructor(settings: Settings<User>, presence: Presence<User>) {
    this.#settings = settings
    this.#presence = presence
  }

  /** Until it ends. */
  add(connection: OpenConnection<User>): void {
    this.#connections.add(connection)
    void connection.closed.then(() => this.#connections.delete(connection))
    if (!this.#isRunning) void this.#run()
  }

  async #run(): Promise<void> {
    this.#isRunning = true
    while (this.#connections.size > 0) {
      await this.#tell()
      await sleep(EVERY, undefined, { ref: false })
    }
    this.#isRunning = false
  }

  async #tell(): Promise<void> {
    try {
      const figures = await figuresOf(this.#settings, this.#presence)
      for (const connection of this.#connections) {
        // Who has not read the last ones has no use for these yet.
        if (connection.stream.waiting === 0) connection.tell(EVENT_MONITOR, figures)
      }
    } catch (error) {
      this.#settings.report(error, 'the monitor')
    }
  }
}
