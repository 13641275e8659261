import { type Adopted, eraseStrays, survey, takeOver } from './adoption'
import { randomId } from './env'
import type { Keeper, KeeperModule, KeptRequest } from './kept'
import { erase, OutboxDatabase, split } from './outbox-database'
import { findAlive, type Locks, TabLock } from './tab-lock'

class OutboxStore implements Keeper {
  readonly #database: OutboxDatabase
  readonly #locks: Locks
  readonly #scope: string
  readonly #session: string
  readonly #lock: TabLock
  /** The keys of what the caller has already. By number alone it could be another one's, as a new database counts from 1. */
  readonly #known = new Map<number, string>()
  #isClosed = false

  constructor(database: OutboxDatabase, locks: Locks, scope: string, session: string) {
    this.#database = database
    this.#locks = locks
    this.#scope = scope
    this.#session = session
    this.#lock = new TabLock(locks, session)
  }

  async put(owner: string, request: KeptRequest): Promise<number> {
    const { body, head } = split(request)
    const place = { scope: this.#scope, owner, session: this.#session }
    const id = await this.#database.run('readwrite', async (transaction) => {
      const number = await transaction.objectStore('requests').add({ ...place, request: head })
      await transaction.objectStore('bodies').add(body, number)
      return number
    })
    // Not before: the number of what was aborted is given to the next.
    this.#known.set(id, request.key)
    return id
  }

  async update(id: number, request: KeptRequest): Promise<void> {
    if (this.#isClosed) return
    const { head } = split(request)
    await this.#database.run('readwrite', async (transaction) => {
      const requests = transaction.objectStore('requests')
      const stored = await requests.get(id)
      if (stored) await requests.put({ ...stored, request: head })
    })
  }

  async remove(id: number): Promise<void> {
    if (this.#isClosed) return
    await this.#database.run('readwrite', (transaction) => erase(transaction, id))
    this.#known.delete(id)
  }

  async adopt(owner: string, onCorrupt: (reason: string) => void): Promise<Adopted[]> {
    if (this.#isClosed) return []
    const mine = { scope: this.#scope, owner, session: this.#session }
    const found = await this.#database.run('readonly', (transaction) => survey(transaction, mine))
    // After the survey: who was seen when it put something, and is not now, is dead or hidden.
    const alive = await findAlive(this.#locks, found.sessions)
    const dead = found.sessions.filter((session) => !alive.has(session))
    // Who finds nothing does not queue for the right to write.
    if (this.#isClosed || (dead.length === 0 && !found.hasStrays)) return []
    const faults: string[] = []
    const taken = await this.#database.run('readwrite', async (transaction) => {
      if (found.hasStrays) await eraseStrays(transaction, faults)
      return takeOver(transaction, mine, dead, faults)
    })
    // Closed meanwhile: another tab finds it with a session that nobody holds.
    if (this.#isClosed) return []
    const isNew = ({ id, request }: Adopted): boolean => this.#known.get(id) !== request.key
    const handedOut = taken.filter(isNew)
    for (const { id, request } of handedOut) this.#known.set(id, request.key)
    for (const fault of faults) onCorrupt(fault)
    return handedOut
  }

  hold(): void {
    if (!this.#isClosed) this.#lock.hold()
  }

  release(): void {
    this.#lock.release()
  }

  close(): void {
    this.#isClosed = true
    this.#lock.release()
    this.#database.close()
  }
}

/** Keeps requests in IndexedDB; Web Locks tell which tab of the origin is alive. */
export const openKeeper: KeeperModule['openKeeper'] = async (env, scope) => {
  const { locks } = env.navigator
  if (!locks) throw new Error('The browser has no Web Locks here; a page needs https for them.')
  const database = new OutboxDatabase(env)
  await database.open()
  return new OutboxStore(database, locks, scope, randomId(env))
}
