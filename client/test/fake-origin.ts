import 'fake-indexeddb/auto'
import { createClock } from '@sinonjs/fake-timers'
import { IDBFactory } from 'fake-indexeddb'
import { type IDBPDatabase, wrap } from 'idb'
import type { Env } from '../env'
import type { Keeper, KeptRequest } from '../kept'
import { openKeeper } from '../outbox-store'
import { settle } from './fake'
import { FakeLocks, type TabLocks } from './fake-locks'

export const SCOPE = '/sse/hr'

/** A tab of an origin, and what it keeps. */
export interface FakeTab {
  readonly keeper: Keeper
  readonly locks: TabLocks
  /** What it writes as its session. */
  readonly session: string
  /** It is gone from one moment to the next. */
  crash(): void
}

/** What the tabs of one origin share: the database and the locks. The clock stands still. */
export class FakeOrigin {
  readonly indexedDB = new IDBFactory()
  readonly locks = new FakeLocks()
  readonly clock = createClock(1_700_000_000_000)
  #tabs = 0

  env(locks: TabLocks = this.locks.openTab(), fill = 0): Env {
    const { clock, indexedDB } = this
    return {
      setTimeout: clock.setTimeout,
      clearTimeout: clock.clearTimeout,
      crypto: { getRandomValues: (numbers: Uint32Array) => numbers.fill(fill) },
      navigator: { locks: locks.manager },
      indexedDB,
    } as unknown as Env
  }
  /** A tab that nobody sees yet. */
  async openHidden(scope = SCOPE): Promise<FakeTab> {
    this.#tabs++
    const [locks, fill] = [this.locks.openTab(), this.#tabs]
    const keeper = await openKeeper(this.env(locks, fill), scope)
    const session = Array(4).fill(fill).join('-')
    return { keeper, locks, session, crash: () => locks.die() }
  }
  async openTab(scope = SCOPE): Promise<FakeTab> {
    const tab = await this.openHidden(scope)
    tab.keeper.hold()
    await settle()
    return tab
  }
  /** The database itself, as other code sees it; closed when `work` is done. */
  async raw<T>(work: (database: IDBPDatabase) => Promise<T>): Promise<T> {
    const database = (await wrap(this.indexedDB.open('tabwire'))) as unknown as IDBPDatabase
    try {
      return await work(database)
    } finally {
      database.close()
    }
  }
}

/** A request that says no more than its key. */
export function requestOf(key: string, members: Partial<KeptRequest> = {}): KeptRequest {
  return {
    key,
    path: `/${key}`,
    body: `{"key":"${key}"}`,
    query: 'a=1',
    headers: [['X-Token', 'secret']],
    lane: `/${key}`,
    createTime: 1,
    expiryTime: 2,
    ...members,
  }
}
