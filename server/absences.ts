import type { End } from './end'
import type { OpenConnection } from './open-connection'
import type { Id } from './topic'

/** Where a user is who has no connection. */
export type Absence = 'hidden' | 'gone' | 'lost'

/** ms for which who left by hiding is only hidden. A tab that is closed meanwhile has nothing to say goodbye with. */
const HIDDEN_TIME = 60_000
/** How many users are known that are not simply gone; beyond that, who left first counts as gone. */
const MOST = 100_000

/** What a client says when its page was hidden. */
const HIDING = ['visibilitychange', 'freeze']
/** What a client says when its line was dead, and nobody has left the page. */
const BROKEN = ['offline', 'silent']

interface Last {
  readonly connectionId: string
  readonly state: Absence
  /** ms since 1970. */
  readonly at: number
}

/** How the last connection of each user left. */
export class Absences<User extends object> {
  readonly #byUser = new Map<string, Last>()

  left({ id, userId }: OpenConnection<User>, end: End): void {
    if (userId === undefined) return
    const key = String(userId)
    // The last to leave comes last.
    this.#byUser.delete(key)
    const state = stateAfter(end)
    if (state === 'gone') return
    this.#byUser.set(key, { connectionId: id, state, at: Date.now() })
    const [first] = this.#byUser.keys()
    if (this.#byUser.size > MOST && first !== undefined) this.#byUser.delete(first)
  }

  /** What was heard later of a connection that has left; another may have left since. */
  correct(connection: OpenConnection<User>, end: End): void {
    if (this.#byUser.get(String(connection.userId))?.connectionId === connection.id)
      this.left(connection, end)
  }

  of(userId: Id): Absence {
    const { state = 'gone', at = 0 } = this.#byUser.get(String(userId)) ?? {}
    return state === 'hidden' && Date.now() - at > HIDDEN_TIME ? 'gone' : state
  }
}

function stateAfter({ by, reason }: End): Absence {
  if (by === 'server') return 'gone'
  if (by === 'line' || BROKEN.includes(reason)) return 'lost'
  return HIDING.includes(reason) ? 'hidden' : 'gone'
}
