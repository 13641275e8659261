import type { Store } from '../store'
import { type StoreOptions, settleLimits } from './limits'
import { localStore } from './local-store'
import { sqliteAnswers } from './sqlite-answers'
import { sqliteDurations } from './sqlite-durations'
import { openFile } from './sqlite-file'
import { openService, sqliteLogs } from './sqlite-log'
import { sqlitePending } from './sqlite-pending'

/** Options of `sqliteStore`. They may be others each time that the file is opened. */
export type SqliteStoreOptions = StoreOptions

/** What `sqliteStore` returns. */
export interface SqliteStore extends Store {
  /**
   * Lets go of the file, for the next to open. Call it when the services of the store have ended: after
   * `await hr.close()`. Every later call fails. A process that ends without it loses nothing.
   */
  close(): void
}

/**
 * Keeps everything in one file, for one process: what was sent, what waits to be acknowledged, the answers to requests
 * with a key, durations. It all survives the process, however that dies: clients go on where they were. A loss of power
 * or a crash of the operating system does not harm the file, but may take the last moments before it away
 * (`synchronous = NORMAL` of SQLite). Needs the package `better-sqlite3`. Its calls block the process, for a part of a
 * millisecond as a rule.
 * @param file Its path; made if it is not there. While it is open there is another beside it, `…-wal`: they belong together.
 * @throws TypeError that names the option that is wrong, Error that says why the file cannot be used: among others
 * because another process has it open, or a newer version has written it.
 */
export function sqliteStore(file: string, options: SqliteStoreOptions = {}): SqliteStore {
  const limits = settleLimits('sqliteStore', options)
  const db = openFile(file)
  const openLog = sqliteLogs(db, limits)
  const openPending = sqlitePending(db, limits)
  const store = localStore({
    answers: sqliteAnswers(db, limits),
    durations: sqliteDurations(db, limits.maxDurations),
    createService(name, settle) {
      const service = openService(db, name)
      return { log: openLog(service), pending: openPending(service, settle) }
    },
  })
  return { ...store, close: () => void db.close() }
}
