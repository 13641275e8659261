import { type DBSchema, type IDBPDatabase, type IDBPTransaction, wrap } from 'idb'
import type { Env } from './env'
import type { KeptRequest } from './kept'

const NAME = 'tabwire'
const VERSION = 1
/** ms */
const OPEN_TIMEOUT = 5000

/** Where a request belongs. */
export interface Place {
  readonly scope: string
  readonly owner: string
  readonly session: string
}

interface Schema extends DBSchema {
  /** Numbered in the order of the puts. Small: written anew when another tab takes it over. */
  requests: {
    key: number
    value: Place & { id?: number; request: Omit<KeptRequest, 'body'> }
    indexes: { place: [scope: string, owner: string, session: string] }
  }
  /** By the number of the request. Apart from it, as the browser copies a file on the disk each time its record is written. */
  bodies: { key: number; value: KeptRequest['body'] }
}

type Database = IDBPDatabase<Schema>
type Mode = 'readonly' | 'readwrite'
const STORES: ('requests' | 'bodies')[] = ['requests', 'bodies']
const INDEX = 'place'
const INDEX_PATH = ['scope', 'owner', 'session']

/** A transaction over all there is. */
export type Transaction<M extends Mode> = IDBPTransaction<Schema, typeof STORES, M>

/** What goes into which store. */
export function split({ body, ...head }: KeptRequest): {
  body: KeptRequest['body']
  head: Omit<KeptRequest, 'body'>
} {
  return { body, head }
}

/** Nothing happens if it is gone. */
export async function erase(transaction: Transaction<'readwrite'>, id: number): Promise<void> {
  await Promise.all([
    transaction.objectStore('requests').delete(id),
    transaction.objectStore('bodies').delete(id),
  ])
}

function createStores(database: Database): void {
  const requests = database.createObjectStore('requests', { keyPath: 'id', autoIncrement: true })
  requests.createIndex(INDEX, INDEX_PATH)
  database.createObjectStore('bodies')
}

/** Throws if it is not as `createStores` makes it: somebody else's, or one that was left half made. */
function checkStores(database: Database): void {
  const transaction = database.transaction(STORES)
  transaction.done.catch(() => {})
  const requests = transaction.objectStore('requests')
  const paths = [requests.keyPath, requests.index(INDEX).keyPath, transaction.objectStore('bodies').keyPath]
  if (!requests.autoIncrement || JSON.stringify(paths) !== JSON.stringify(['id', INDEX_PATH, null]))
    throw new Error(`The database "${NAME}" was made by something else.`)
}

async function connect({ indexedDB }: Env): Promise<Database> {
  if (!indexedDB) throw new Error('This browser has no IndexedDB.')
  const request = indexedDB.open(NAME, VERSION)
  request.addEventListener('upgradeneeded', () => createStores(wrap(request.result) as unknown as Database))
  const database = (await wrap(request)) as unknown as Database
  // Whoever wants to delete or upgrade it must not wait for us.
  database.addEventListener('versionchange', () => database.close())
  try {
    checkStores(database)
    return database
  } catch (error) {
    database.close()
    throw error
  }
}

async function connectInTime(env: Env): Promise<Database> {
  const connecting = connect(env)
  let timer: unknown
  const tooLate = new Promise<never>((_, reject) => {
    const fail = (): void => reject(new Error(`The database did not open within ${OPEN_TIMEOUT} ms.`))
    timer = env.setTimeout(fail, OPEN_TIMEOUT)
  })
  try {
    return await Promise.race([connecting, tooLate])
  } catch (error) {
    connecting.then((database) => database.close()).catch(() => {})
    throw error
  } finally {
    env.clearTimeout(timer)
  }
}

function abort(transaction: Transaction<Mode>): void {
  try {
    transaction.abort()
  } catch {
    // It has ended already.
  }
}

/** The database of all scopes. A connection that is lost (the database deleted, the browser's service gone) is opened anew. */
export class OutboxDatabase {
  readonly #env: Env
  #connection: Promise<Database> | undefined
  #isClosed = false

  constructor(env: Env) {
    this.#env = env
  }

  /** Rejects if the browser keeps nothing, or what is there is not ours. */
  open(): Promise<Database> {
    if (this.#isClosed) return Promise.reject(new Error('What keeps the requests was closed.'))
    if (this.#connection) return this.#connection
    const connection = connectInTime(this.#env)
    const forget = (): void => this.#forget(connection)
    connection.then((database) => {
      database.addEventListener('versionchange', forget)
      database.addEventListener('close', forget)
    }, forget)
    this.#connection = connection
    return connection
  }

  /**
   * Resolves when the transaction is complete; rejects, and changes nothing, if anything in it fails. Transactions
   * that write follow each other in the order of the calls.
   */
  async run<M extends Mode, T>(mode: M, work: (transaction: Transaction<M>) => Promise<T>): Promise<T> {
    const transaction = await this.#begin(mode)
    transaction.done.catch(() => {})
    try {
      const result = await work(transaction)
      await transaction.done
      return result
    } catch (error) {
      abort(transaction)
      // [IndexedDB] A request says only AbortError where its transaction knows why.
      throw transaction.error ?? error
    }
  }

  /** What was begun by a call before goes on to its end. */
  close(): void {
    this.#connection?.then((database) => database.close()).catch(() => {})
    this.#isClosed = true
  }

  async #begin<M extends Mode>(mode: M): Promise<Transaction<M>> {
    // Outlives the browser, not a loss of power; to wait for the disk would take longer.
    const begin = (database: Database) => database.transaction(STORES, mode, { durability: 'relaxed' })
    const connection = this.open()
    const database = await connection
    try {
      return begin(database)
    } catch {
      // A connection may die without a word, as in Safari after a time in the background.
      database.close()
      this.#forget(connection)
      return begin(await this.open())
    }
  }

  #forget(connection: Promise<Database>): void {
    if (this.#connection === connection) this.#connection = undefined
  }
}
