import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { CATCH_UPS, type CatchUp } from '../../client/protocol'
import { type Cursor, formatCursor, parseCursor } from '../cursor'
import { planReplay } from '../replay'
import type { Entry } from '../store'
import { type Event, eventsOf } from './helpers'

const EPOCH = 'abc'
const NAMES = ['a', 'b', 'c', 'd:e']

/** A client, and the log of what is for it. */
class World {
  readonly entries: Entry[] = []
  /** The service sends to others as well. */
  head = 0
  cursor = formatCursor({ epoch: EPOCH, seq: 0 })
  /** What the client got, in the order in which it came. */
  readonly got: { event: Event; isLive: boolean }[] = []

  constructor(readonly policies: ReadonlyMap<string, CatchUp>) {}

  append(name: string, key: string): Entry {
    const seq = ++this.head
    const entry = { topics: ['all'], name, key, data: String(seq), listening: false, epoch: EPOCH, seq }
    this.entries.push(entry)
    return entry
  }

  /** Comes back, and gets so many events before it is cut off. @returns whether it got all. */
  resume(limit: number): boolean {
    const cursor = this.place()
    const from = cursor.range?.from ?? cursor.seq
    const behind = this.entries.filter(({ seq }) => seq > from)
    const replay = planReplay(behind, cursor, this.head, this.policies)
    const events = eventsOf(Buffer.concat([...replay.events()]).toString())
    assert.equal(replay.count, events.length)
    if (events.length === 0) this.cursor = formatCursor({ epoch: EPOCH, seq: this.head })
    for (const event of events.slice(0, limit)) this.take(event, false)
    if (limit < events.length) return false
    assert.equal(this.place().range, undefined, 'nothing of the catch-up is left')
    return true
  }

  /** Is there, and gets an event as it is sent. */
  live(name: string, key: string): void {
    if (!this.resume(Infinity)) return
    const { seq, data } = this.append(name, key)
    this.take({ name, data, id: formatCursor({ epoch: EPOCH, seq }) }, true)
  }

  take(event: Event, isLive: boolean): void {
    const before = this.place().seq
    this.cursor = event.id
    const { seq } = this.place()
    assert.ok(seq > before && seq <= this.head, 'a place grows with every event')
    this.got.push({ event, isLive })
  }

  place(): Cursor {
    const cursor = parseCursor(this.cursor)
    assert.ok(cursor, this.cursor)
    return cursor
  }

  sent(name: string): string[] {
    return this.entries.filter((entry) => entry.name === name).map(({ data }) => data)
  }

  gotOf(name: string) {
    return this.got.filter(({ event }) => event.name === name)
  }

  dataOf(name: string): string[] {
    return this.gotOf(name).map(({ event }) => event.data)
  }
}

const CHECKS: Record<CatchUp, (world: World, name: string) => void> = {
  all: (world, name) => assert.deepEqual(world.dataOf(name), world.sent(name), 'every one, once, in order'),
  latest(world, name) {
    const got = world.dataOf(name)
    assert.deepEqual(
      got,
      got.toSorted((a, b) => Number(a) - Number(b)),
      'none twice, none in the wrong order',
    )
    assert.equal(new Set(got).size, got.length)
    const newest = new Map(world.entries.filter((entry) => entry.name === name).map((e) => [e.key, e.data]))
    for (const data of newest.values()) assert.ok(got.includes(data), 'the newest of each key')
    for (const { event } of world.gotOf(name).filter(({ isLive }) => isLive))
      assert.ok(got.includes(event.data))
  },
  count(world, name) {
    const told = world
      .gotOf(name)
      .reduce((sum, { event, isLive }) => sum + (isLive ? 1 : JSON.parse(event.data).count), 0)
    assert.equal(told, world.sent(name).length)
  },
  drop: (world, name) => assert.ok(world.gotOf(name).every(({ isLive }) => isLive)),
}

type Step = { run(world: World): void; toString(): string }

const name = fc.constantFrom(...NAMES)
const key = fc.constantFrom('', 'k', 'l')
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(name, key).map(([name, key]) => missed(name, key)) },
  { weight: 1, arbitrary: fc.tuple(name, key).map(([name, key]) => live(name, key)) },
  { weight: 1, arbitrary: fc.constant(others()) },
  { weight: 3, arbitrary: fc.nat(4).map(cut) },
)

function missed(name: string, key: string): Step {
  return { run: (world) => void world.append(name, key), toString: () => `missed ${name} ${key}` }
}
function live(name: string, key: string): Step {
  return { run: (world) => world.live(name, key), toString: () => `live ${name} ${key}` }
}
function others(): Step {
  return { run: (world) => void world.head++, toString: () => 'for others' }
}
function cut(limit: number): Step {
  return { run: (world) => void world.resume(limit), toString: () => `cut off after ${limit}` }
}

test('a client that is cut off amid its catch-up, again and again, has in the end what it asked for', () => {
  const policies = fc.tuple(
    ...NAMES.map((name) => fc.tuple(fc.constant(name), fc.constantFrom(...CATCH_UPS))),
  )
  fc.assert(
    fc.property(policies, fc.array(step, { maxLength: 60 }), (policies, steps) => {
      const world = new World(new Map(policies))
      for (const step of steps) step.run(world)
      assert.equal(world.resume(Infinity), true)
      const { length } = world.got
      world.resume(Infinity)
      assert.equal(world.got.length, length, 'coming back again it has missed nothing')
      for (const [name, policy] of policies) CHECKS[policy](world, name)
    }),
    { numRuns: Number(process.env['FC_RUNS'] ?? 300) * 10 },
  )
})

test('a client that is not cut off gets each key once for latest, one event for count, in the place of the last', () => {
  const world = new World(
    new Map([
      ['a', 'latest'],
      ['b', 'count'],
      ['c', 'drop'],
    ]),
  )
  const sent = ['a k', 'b', 'd:e', 'a l', 'c', 'a k', 'b k', 'd:e', 'b l', 'a', 'c']
  for (const [name = '', key = ''] of sent.map((text) => text.split(' '))) world.append(name, key)
  assert.equal(world.resume(Infinity), true)
  assert.deepEqual(
    world.got.map(({ event }) => `${event.name} ${event.data}`),
    ['d:e 3', 'a 4', 'a 6', 'd:e 8', 'b {"count":3}', 'a 10'],
  )
})
