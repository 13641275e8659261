import { randomBytes } from 'node:crypto'
import type { Position } from '../cursor'
import type { Draft, Entry, History } from '../store'
import type { Topic } from '../topic'
import { bytesOf, costOfEvent } from './cost'
import type { Limits } from './limits'
import type { Log } from './local-store'
import type { Database } from './sqlite-file'

interface Place {
  readonly epoch: string
  readonly head: number
  readonly forgotten: number
}

interface Row {
  readonly seq: number
  readonly draft: string
}

/** The number of a service in the file, under which all that is its own is kept. */
export function openService(db: Database, name: string): number {
  const epoch = randomBytes(5).toString('hex')
  db.prepare('INSERT INTO service (name, epoch) VALUES (?, ?) ON CONFLICT DO NOTHING').run(name, epoch)
  return Number(db.prepare('SELECT id FROM service WHERE name = ?').pluck().get(name))
}

/** @returns what makes the log of a service, by its number. */
export function sqliteLogs(db: Database, limits: Limits): (service: number) => Log {
  const sql = prepare(db)
  const { maxEvents, maxBytes, maxAge, maxTotalBytes, maxTopics } = limits

  function create(service: number, topic: Topic): number {
    const { topics } = sql.size.get(service) ?? { topics: 0 }
    if (topics >= maxTopics) {
      const oldest = sql.oldestTopic.get(service)
      sql.emptyTopic.run(oldest)
      sql.removeTopic.run(oldest)
    }
    return Number(sql.addTopic.run(topic, service).lastInsertRowid)
  }

  function file(service: number, topic: Topic, seq: number, bytes: number): void {
    const id = sql.topic.get(service, topic) ?? create(service, topic)
    sql.addPlace.run(id, seq, bytes)
    while (sql.isFull.get(maxEvents, maxBytes, id) === 1) sql.letGo.run({ id })
  }

  /** What is too old, or too much in all. */
  function trim(service: number, now: number): void {
    const bounds = { service, since: now - maxAge, maxTotalBytes }
    for (let row = sql.excess.get(bounds); row !== undefined; row = sql.excess.get(bounds)) {
      // The oldest of all is the oldest of each topic that still holds it.
      for (const topic of draftOf(row).topics) sql.letGoOf.run(row.seq, service, topic)
    }
  }

  function floorOf(service: number, topic: Topic, forgotten: number): number {
    return sql.floor.get(service, topic) ?? forgotten
  }

  function between(service: number, topics: readonly Topic[], { epoch, seq }: Position): Entry[] {
    const found = new Map<number, Entry>()
    for (const row of topics.flatMap((topic) => sql.behind.all(service, topic, seq)))
      if (!found.has(row.seq)) found.set(row.seq, { ...draftOf(row), epoch, seq: row.seq })
    return [...found.values()].sort((a, b) => a.seq - b.seq)
  }

  const append = db.transaction((service: number, draft: Draft): number => {
    const now = Date.now()
    const { topics, message = null } = draft
    const text = JSON.stringify(draft)
    const added = sql.addEvent.run(service, now, costOfEvent(draft), topics.length, message, text)
    const seq = Number(added.lastInsertRowid)
    const bytes = bytesOf(draft)
    for (const topic of topics) file(service, topic, seq, bytes)
    trim(service, now)
    return seq
  })

  const read = db.transaction((service: number, topics: readonly Topic[], after?: Position): History => {
    trim(service, Date.now())
    const { forgotten, ...here } = sql.place.get(service) ?? { epoch: '', head: 0, forgotten: 0 }
    if (after === undefined) return { ...here, entries: [] }
    if (after.epoch !== here.epoch || after.seq > here.head) return { ...here, entries: [], gap: 'epoch' }
    if (topics.some((topic) => floorOf(service, topic, forgotten) > after.seq))
      return { ...here, entries: [], gap: 'floor' }
    return { ...here, entries: between(service, topics, after) }
  })

  return (service) => {
    const epoch = sql.place.get(service)?.epoch ?? ''
    return {
      append: (draft) => ({ ...draft, epoch, seq: append(service, draft) }),
      read: (topics, after) => read(service, topics, after),
    }
  }
}

function draftOf({ draft }: Row): Draft {
  return JSON.parse(draft)
}

function prepare(db: Database) {
  return {
    place: db.prepare<[number], Place>('SELECT epoch, head, forgotten FROM service WHERE id = ?'),
    size: db.prepare<[number], { topics: number }>('SELECT topics FROM service WHERE id = ?'),
    addEvent: db.prepare(
      'INSERT INTO event (service, at, bytes, holders, message, draft) VALUES (?, ?, ?, ?, ?, ?)',
    ),
    excess: db.prepare<[object], Row>(`SELECT seq, draft FROM event
      WHERE seq = (SELECT min(seq) FROM event WHERE service = :service)
      AND (at < :since OR (SELECT bytes FROM service WHERE id = :service) > :maxTotalBytes)`),

    topic: db.prepare<[number, Topic], number>('SELECT id FROM topic WHERE service = ? AND name = ?').pluck(),
    floor: db
      .prepare<[number, Topic], number>('SELECT floor FROM topic WHERE service = ? AND name = ?')
      .pluck(),
    addTopic: db.prepare(
      'INSERT INTO topic (name, service, floor) SELECT ?, id, forgotten FROM service WHERE id = ?',
    ),
    oldestTopic: db.prepare('SELECT id FROM topic WHERE service = ? ORDER BY written LIMIT 1').pluck(),
    emptyTopic: db.prepare('DELETE FROM place WHERE topic = ?'),
    removeTopic: db.prepare('DELETE FROM topic WHERE id = ?'),

    addPlace: db.prepare('INSERT INTO place VALUES (?, ?, ?)'),
    isFull: db.prepare('SELECT count > ? OR bytes > ? FROM topic WHERE id = ?').pluck(),
    letGo: db.prepare(
      'DELETE FROM place WHERE topic = :id AND seq = (SELECT min(seq) FROM place WHERE topic = :id)',
    ),
    letGoOf: db.prepare(`DELETE FROM place
      WHERE seq = ? AND topic = (SELECT id FROM topic WHERE service = ? AND name = ?)`),
    behind: db.prepare<[number, Topic, number], Row>(`SELECT event.seq, event.draft FROM topic
      JOIN place ON place.topic = topic.id JOIN event ON event.seq = place.seq
      WHERE topic.service = ? AND topic.name = ? AND place.seq > ? AND NOT event.isRetracted`),
  }
}
