import { unwrap } from 'idb'
import type { KeptRequest } from './kept'
import { faultOf } from './kept-fault'
import { erase, type Place, type Transaction } from './outbox-database'

/** A request that was put by another tab, and is ours now. */
export interface Adopted {
  id: number
  request: KeptRequest
}

/** What there is besides our own. */
export interface Survey {
  /** Those with requests of this owner. */
  sessions: string[]
  hasStrays: boolean
}

/** Errors of a value whose file on the disk is lost: it will never be read again. Others may pass. */
const LOST = ['NotReadableError', 'DataError']

/** All sessions of an owner, whatever was written there as a session. */
const sessionsOf = ({ scope, owner }: Place): IDBKeyRange =>
  IDBKeyRange.bound([scope, owner], [scope, `${owner}\0`], true, true)

/** Reads keys only: a living tab may have put much. */
export async function survey(transaction: Transaction<'readonly'>, mine: Place): Promise<Survey> {
  const requests = transaction.objectStore('requests')
  const index = requests.index('place')
  const [all, placed] = await Promise.all([requests.count(), index.count()])
  const sessions: string[] = []
  let cursor = await index.openKeyCursor(sessionsOf(mine), 'nextunique')
  while (cursor) {
    const [, , session] = cursor.key
    if (session !== mine.session) sessions.push(session)
    cursor = await cursor.continue()
  }
  return { sessions, hasStrays: all !== placed }
}

/** A stray lacks a part of its place, and so is in no index: nobody would ever find it. */
export async function eraseStrays(transaction: Transaction<'readwrite'>, faults: string[]): Promise<void> {
  const requests = transaction.objectStore('requests')
  const placed = new Set<number>()
  let cursor = await requests.index('place').openKeyCursor()
  while (cursor) {
    placed.add(cursor.primaryKey)
    cursor = await cursor.continue()
  }
  const strays = (await requests.getAllKeys()).filter((id) => !placed.has(id))
  await Promise.all(strays.map((id) => erase(transaction, id)))
  faults.push(...strays.map((id) => `request ${id}: belongs to nobody`))
}

/** Looks again where they are: of two tabs that adopt at once, the second finds nothing. */
export async function takeOver(
  transaction: Transaction<'readwrite'>,
  mine: Place,
  sessions: string[],
  faults: string[],
): Promise<Adopted[]> {
  const index = transaction.objectStore('requests').index('place')
  const idsOf = (session: string): Promise<number[]> => index.getAllKeys([mine.scope, mine.owner, session])
  const ids = (await Promise.all(sessions.map(idsOf))).flat()
  const taken = await Promise.all(ids.map((id) => take(transaction, id, mine.session, faults)))
  return taken.filter((one) => one !== undefined).sort((a, b) => a.id - b.id)
}

async function take(
  transaction: Transaction<'readwrite'>,
  id: number,
  session: string,
  faults: string[],
): Promise<Adopted | undefined> {
  const requests = transaction.objectStore('requests')
  const reading = [read(requests.get(id)), read(transaction.objectStore('bodies').get(id))] as const
  const [head, body] = await Promise.allSettled(reading)
  // The browser cannot read it now, but may the next time.
  if (head.status === 'rejected' || body.status === 'rejected') return undefined
  const request = { ...head.value?.request, body: body.value }
  const fault = typeof id === 'number' ? faultOf(request) : 'wrong id'
  if (fault || !head.value) {
    await erase(transaction, id)
    faults.push(`request ${id}: ${fault}`)
    return undefined
  }
  await requests.put({ ...head.value, session })
  return { id, request: request as KeptRequest }
}

/** `undefined` for what is lost. One value that cannot be read does not abort the transaction of the others. */
async function read<T>(reading: Promise<T>): Promise<T | undefined> {
  unwrap(reading as Promise<never>).addEventListener('error', (event: Event) => {
    event.preventDefault()
    event.stopPropagation()
  })
  return reading.catch((error: Error) => {
    if (!LOST.includes(error.name)) throw error
    return undefined
  })
}
