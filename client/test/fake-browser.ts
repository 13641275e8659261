import 'fake-indexeddb/auto'
import { IDBFactory } from 'fake-indexeddb'
import { type IDBPDatabase, wrap } from 'idb'
import type Sse from '../index'
import type { SseEvent } from '../index'
import type { SseOptions } from '../options'
import { loadKeeper } from '../parts'
import { FakePage } from './fake'
import { FakeInbox } from './fake-inbox'
import { FakeLocks, type TabLocks } from './fake-locks'

/** Turns of the event loop in which a database has done what it was asked for. */
const TURNS = 400

/** A page that keeps what it sends. */
export interface FakeTab {
  readonly page: FakePage
  readonly locks: TabLocks
  readonly sse: Sse
  /** What `sse-outbox` told. */
  readonly heard: { type: string; key?: string; reason?: string }[]
  /** It is gone from one moment to the next, and hears of nothing any more. What it has sent goes on. */
  crash(): Promise<void>
}

/** A browser whose pages share the time, the network, a database and locks; and the server. */
export class FakeBrowser {
  indexedDB: Pick<IDBFactory, 'open'> | undefined = new IDBFactory()
  readonly locks = new FakeLocks()
  readonly page = new FakePage()
  readonly inbox = new FakeInbox(this.page)

  /** Opens a page: another one, or the same after a reload. */
  async openTab(
    options: Partial<SseOptions> = {},
    visibility: 'visible' | 'hidden' = 'visible',
  ): Promise<FakeTab> {
    const page = new FakePage(this.page)
    page.visibility = visibility
    const locks = this.locks.openTab()
    const heard: FakeTab['heard'] = []
    Object.assign(page.env, { indexedDB: this.indexedDB })
    Object.assign(page.env.navigator, { locks: locks.manager })
    const die = makeMortal(page)
    const onOutbox = ({ data }: SseEvent<unknown>): void => void heard.push(data as FakeTab['heard'][number])
    const listeners = { 'sse-outbox': onOutbox as never }
    const sse = page.create({ persist: true, eventListeners: listeners, ...options })
    await this.settle()
    // An import takes real time; ours comes after the page's.
    await loadKeeper(0)
    await this.settle()
    const crash = async (): Promise<void> => {
      die()
      locks.die()
      await this.settle()
    }
    return { page, locks, sse, heard, crash }
  }

  /** Everything that is kept, in the order in which it was put. */
  async kept(): Promise<{ key: string; body: unknown }[]> {
    return this.raw(async (database) => {
      const [records, bodies] = [await database.getAll('requests'), await database.getAll('bodies')]
      return records.map(({ request }, i) => ({ key: request.key, body: bodies[i] }))
    })
  }

  /** The database itself, as other code sees it. */
  async raw<T>(work: (database: IDBPDatabase) => Promise<T>): Promise<T> {
    if (!this.indexedDB) throw new Error('There is no database.')
    const database = (await wrap(this.indexedDB.open('tabwire'))) as unknown as IDBPDatabase
    try {
      return await work(database)
    } finally {
      database.close()
    }
  }

  async settle(): Promise<void> {
    for (let turn = 0; turn < TURNS; turn++) await new Promise((resolve) => setImmediate(resolve))
  }
  async tick(ms: number): Promise<void> {
    await this.page.clock.tickAsync(ms)
    await this.settle()
  }
}

/** @returns what ends it: its timers and what it waits for come no more, and its lines break */
function makeMortal({ env, server }: FakePage): () => void {
  const { fetch, setTimeout, clearTimeout, queueMicrotask } = env
  const timers = new Set<unknown>()
  const noted = (timer: unknown): unknown => {
    timers.add(timer)
    return timer
  }
  const signals = new Set<AbortSignal | null | undefined>()
  let isDead = false
  const untilDeath = <T>(promise: Promise<T>): Promise<T> =>
    new Promise((resolve, reject) => {
      promise.then(
        (value) => isDead || resolve(value),
        (error) => isDead || reject(error),
      )
    })
  Object.assign(env, {
    setTimeout: (run: () => void, ms: number) => (isDead ? 0 : noted(setTimeout(run, ms))),
    queueMicrotask: (run: () => void) => queueMicrotask(() => isDead || run()),
    fetch: (url: string, init: RequestInit) => {
      if (isDead) return new Promise(() => {})
      signals.add(init.signal)
      return untilDeath(fetch(url, init))
    },
  })
  return () => {
    isDead = true
    for (const timer of timers) clearTimeout(timer)
    for (const stream of server.openStreams) if (signals.has(stream.request.signal)) stream.fail()
  }
}
