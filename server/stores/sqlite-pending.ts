import type { PendingMessage } from '../store'
import type { Topic } from '../topic'
import { costOfMessage } from './cost'
import type { Limits } from './limits'
import { type Pending, type Settle, tooMuchWaits } from './local-store'
import type { Database } from './sqlite-file'

interface Row {
  readonly seq: number
  readonly missing: number
  readonly body: string
}

interface Settled {
  readonly id: string
  readonly count: number
}

/** @returns what keeps the pending messages of a service, by its number. */
export function sqlitePending(db: Database, limits: Limits): (service: number, settle: Settle) => Pending {
  const sql = prepare(db)

  const hold = db.transaction((service: number, message: PendingMessage): void => {
    const { message: id, expiryTime, topics, recipients } = message
    if (sql.find.get(service, id) !== undefined) return
    const bytes = costOfMessage(message)
    const { waiting, waitingBytes } = sql.size.get(service) ?? { waiting: 0, waitingBytes: 0 }
    if (waiting >= limits.maxPending || waitingBytes + bytes > limits.maxPendingBytes) throw tooMuchWaits()
    const missing = new Set(recipients)
    const added = sql.add.run(service, id, expiryTime, bytes, missing.size, JSON.stringify(message))
    for (const topic of topics) sql.addTopic.run(added.lastInsertRowid, topic, service)
    for (const topic of missing) sql.addMissing.run(added.lastInsertRowid, topic)
  })

  const acknowledge = db.transaction((service: number, id: string, topics: readonly Topic[]): Settled[] => {
    const waiting = sql.find.get(service, id)
    if (waiting === undefined) return []
    const found = topics.filter((topic) => sql.removeMissing.run(waiting.seq, topic).changes > 0).length
    if (waiting.missing > 0 && found === 0) return []
    sql.count.run(Math.max(1, found), found, waiting.seq)
    return found === waiting.missing ? sql.remove.all(service, id) : []
  })

  const retract = (service: number, gone: Settled[]): Settled[] => {
    for (const { id } of gone) sql.retract.run(service, id)
    return gone
  }
  const cancel = db.transaction((service: number, id: string) =>
    retract(service, sql.remove.all(service, id)),
  )
  const expire = db.transaction((service: number) => retract(service, sql.expire.all(service, Date.now())))

  return (service, settle) => {
    const tell = (settled: Settled[]): boolean => {
      for (const { id, count } of settled) settle(id, count)
      return settled.length > 0
    }
    return {
      expire: () => void tell(expire(service)),
      hold: (message) => hold(service, message),
      of: (topics) => waitingFor(sql, service, topics),
      page: (offset, limit) => ({
        list: sql.page.all(service, limit, offset).map((row) => asItIs(sql, row)),
        total: sql.size.get(service)?.waiting ?? 0,
      }),
      acknowledge: (id, topics) => void tell(acknowledge(service, id, topics)),
      cancel: (id) => tell(cancel(service, id)),
    }
  }
}

function waitingFor(sql: Statements, service: number, topics: readonly Topic[]): PendingMessage[] {
  // One that is for several of the topics is found for each.
  const rows = new Map(topics.flatMap((topic) => sql.of.all(service, topic)).map((row) => [row.seq, row]))
  return [...rows.values()].sort((a, b) => a.seq - b.seq).map((row) => asItIs(sql, row))
}

/** With those of its recipients who have yet to acknowledge. */
function asItIs(sql: Statements, { seq, missing, body }: Row): PendingMessage {
  const message: PendingMessage = JSON.parse(body)
  if (message.recipients.length === missing) return message
  const left = new Set(sql.missing.all(seq))
  return { ...message, recipients: [...new Set(message.recipients)].filter((topic) => left.has(topic)) }
}

type Statements = ReturnType<typeof prepare>

function prepare(db: Database) {
  return {
    size: db.prepare<[number], { waiting: number; waitingBytes: number }>(
      'SELECT waiting, waitingBytes FROM service WHERE id = ?',
    ),
    add: db.prepare(
      'INSERT INTO message (service, id, expiry, bytes, missing, body) VALUES (?, ?, ?, ?, ?, ?)',
    ),
    addTopic: db.prepare('INSERT INTO audience (message, topic, service) VALUES (?, ?, ?)'),
    addMissing: db.prepare('INSERT INTO missing VALUES (?, ?)'),
    find: db.prepare<[number, string], { seq: number; missing: number }>(
      'SELECT seq, missing FROM message WHERE service = ? AND id = ?',
    ),
    of: db.prepare<[number, Topic], Row>(`SELECT message.seq, message.missing, message.body FROM audience
      JOIN message ON message.seq = audience.message WHERE audience.service = ? AND audience.topic = ?`),
    page: db.prepare<[number, number, number], Row>(
      'SELECT seq, missing, body FROM message WHERE service = ? ORDER BY seq LIMIT ? OFFSET ?',
    ),
    missing: db.prepare<[number], Topic>('SELECT topic FROM missing WHERE message = ?').pluck(),
    removeMissing: db.prepare('DELETE FROM missing WHERE message = ? AND topic = ?'),
    count: db.prepare('UPDATE message SET count = count + ?, missing = missing - ? WHERE seq = ?'),
    remove: db.prepare<[number, string], Settled>(
      'DELETE FROM message WHERE service = ? AND id = ? RETURNING id, count',
    ),
    retract: db.prepare('UPDATE event SET isRetracted = 1 WHERE service = ? AND message = ?'),
    expire: db.prepare<[number, number], Settled>(
      'DELETE FROM message WHERE service = ? AND expiry <= ? RETURNING id, count',
    ),
  }
}
