import type { ConnectionRecord } from '../connection'
import type { Absence } from '../store'
import { isUser, type Topic } from '../topic'

/** ms for which who left by hiding is only hidden. A tab that is closed meanwhile has nothing to say goodbye with. */
export const HIDDEN_TIME = 60_000
/** How many users are known that are not simply gone; beyond that, who left first counts as gone. */
const MOST = 100_000

interface Last {
  readonly connectionId: string
  readonly absence: Absence
  /** ms since 1970. */
  readonly at: number
}

/** How the last connection of each user left. */
export class MemoryAbsences {
  readonly #byUser = new Map<Topic, Last>()

  set({ id, topics }: ConnectionRecord, absence: Absence): void {
    const user = topics.find(isUser)
    if (user === undefined) return
    // The last to leave comes last.
    this.#byUser.delete(user)
    if (absence === 'gone') return
    this.#byUser.set(user, { connectionId: id, absence, at: Date.now() })
    const [first] = this.#byUser.keys()
    if (this.#byUser.size > MOST && first !== undefined) this.#byUser.delete(first)
  }

  /** What was heard later of a connection that has left; another may have left since. */
  correct(record: ConnectionRecord, absence: Absence): void {
    const user = record.topics.find(isUser) ?? ''
    if (this.#byUser.get(user)?.connectionId === record.id) this.set(record, absence)
  }

  of(user: Topic): Absence {
    const { absence = 'gone', at = 0 } = this.#byUser.get(user) ?? {}
    return absence === 'hidden' && Date.now() - at > HIDDEN_TIME ? 'gone' : absence
  }
}
