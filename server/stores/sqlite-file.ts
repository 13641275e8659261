import { createRequire } from 'node:module'
import type SQLite from 'better-sqlite3'
import { APPLICATION_ID, SCHEMA, SCHEMA_VERSION } from './sqlite-schema'

export type Database = SQLite.Database

/** How far the numbers of events jump when the file is opened: more than a power loss can take away. */
const JUMP = 1_000_000

/**
 * Opens the file for this process alone, and makes its tables if it is new.
 * @throws TypeError if `file` is no path, Error that says why it cannot be used.
 */
export function openFile(file: string): Database {
  if (typeof file !== 'string' || file === '')
    throw new TypeError('sqliteStore: file must be the path of the file to keep everything in.')
  const Sqlite = load()
  try {
    // Nobody is waited for: what has the file keeps it.
    const db = new Sqlite(file, { timeout: 0 })
    try {
      prepare(db)
      return db
    } catch (error) {
      db.close()
      throw error
    }
  } catch (cause) {
    throw new Error(`sqliteStore: ${file} cannot be used: ${reasonOf(cause)}`, { cause })
  }
}

function load(): typeof SQLite {
  // Not imported: this module must load without it, to be able to say what is missing.
  const require = createRequire(import.meta.url)
  let Sqlite: typeof SQLite
  try {
    Sqlite = require('better-sqlite3')
  } catch (cause) {
    throw new Error('sqliteStore needs better-sqlite3, which is not installed: npm install better-sqlite3', {
      cause,
    })
  }
  try {
    // Only now it loads its native half.
    new Sqlite(':memory:').close()
  } catch (cause) {
    throw new Error(
      'sqliteStore: better-sqlite3 does not work with this Node; npm rebuild better-sqlite3 may mend it.',
      { cause },
    )
  }
  return Sqlite
}

function prepare(db: Database): void {
  // Before the first access: so SQLite needs no memory that is shared with others, and lets nobody else in.
  db.pragma('locking_mode = EXCLUSIVE')
  checkOwner(db)
  db.pragma('journal_mode = WAL')
  db.pragma('synchronous = NORMAL')
  db.transaction(() => {
    if (versionOf(db) === 0) {
      db.exec(SCHEMA)
      db.pragma(`user_version = ${SCHEMA_VERSION}`)
      db.pragma(`application_id = ${APPLICATION_ID}`)
    }
    // A power loss may have taken the last events. Who has seen their numbers must not take the next ones for them.
    db.exec(
      "INSERT INTO sqlite_sequence SELECT 'event', 0 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'event')",
    )
    db.prepare("UPDATE sqlite_sequence SET seq = seq + ? WHERE name = 'event'").run(JUMP)
  }).exclusive()
}

/** @throws Error for what is not ours to write into. */
function checkOwner(db: Database): void {
  const isEmpty = db.prepare('SELECT count(*) FROM sqlite_schema').pluck().get() === 0
  const isOurs = db.pragma('application_id', { simple: true }) === APPLICATION_ID
  if (!isEmpty && !isOurs) throw new Error('it is the database of something else.')
  if (versionOf(db) > SCHEMA_VERSION) throw new Error('a newer version of tabwire has written it; update.')
}

function versionOf(db: Database): number {
  return Number(db.pragma('user_version', { simple: true }))
}

function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause)
  const code = 'code' in cause ? cause.code : undefined
  return code === 'SQLITE_BUSY'
    ? 'another process has it open, or this one a second time; a file is for one store.'
    : cause.message
}
