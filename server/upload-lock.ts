import type { Lock, Locker } from '@tus/server'

/** What the library answers a request that is refused. */
const TAKEN = { status_code: 423, body: '' }

/** An upload that a request is at work on. */
interface Taken {
  /** Asks that request to come to an end. */
  readonly end: () => unknown
  /** The request that waits for that. */
  next?: { enter(): void; refuse(reason: unknown): void }
}

/**
 * One request at a time for each upload. The latest takes over, and is the only one that waits: those between are
 * refused at once, or a client that comes back would stand behind all its lines that broke unseen.
 */
export class UploadLocker implements Locker {
  readonly #taken = new Map<string, Taken>()

  newLock(id: string): Lock {
    return {
      lock: (_signal, end) => this.#lock(id, end),
      unlock: async () => this.#unlock(id),
    }
  }

  async #lock(id: string, end: () => unknown): Promise<void> {
    const taken = this.#taken.get(id)
    if (taken === undefined) return void this.#taken.set(id, { end })
    taken.next?.refuse(TAKEN)
    taken.end()
    await new Promise<void>((resolve, refuse) => {
      const enter = () => {
        this.#taken.set(id, { end })
        resolve()
      }
      taken.next = { enter, refuse }
    })
  }

  #unlock(id: string): void {
    const next = this.#taken.get(id)?.next
    this.#taken.delete(id)
    next?.enter()
  }
}
