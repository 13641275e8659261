import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { settle } from './fake'
import { FakeOrigin, type FakeTab, requestOf } from './fake-origin'

/** A tab, and what it must know by what happened. */
interface Actor {
  readonly tab: FakeTab
  /** What it has put or was handed, and has not removed. */
  readonly has: Map<number, string>
  isSeen: boolean
}

class World {
  readonly origin = new FakeOrigin()
  readonly actors: Actor[] = []
  /** What was put and not removed, in order. */
  readonly kept = new Map<number, string>()
  #puts = 0

  async open(slot: number): Promise<void> {
    this.actors[slot] = { tab: await this.origin.openHidden(), has: new Map(), isSeen: false }
  }
  actor(slot: number): Actor {
    const actor = this.actors[slot]
    assert.ok(actor)
    return actor
  }
  async put(slot: number, count: number): Promise<void> {
    const { tab, has } = this.actor(slot)
    const keys = Array.from({ length: count }, () => `k${this.#puts++}`)
    const ids = await Promise.all(keys.map((key) => tab.keeper.put('anna', requestOf(key))))
    for (const [i, id] of ids.entries()) {
      const [key = ''] = [keys[i]]
      has.set(id, key)
      this.kept.set(id, key)
    }
  }
  async remove(slot: number, nth: number): Promise<void> {
    const { tab, has } = this.actor(slot)
    const id = [...has.keys()][nth % has.size]
    if (id === undefined) return
    await tab.keeper.remove(id)
    has.delete(id)
    this.kept.delete(id)
  }

  /** What belongs to another one that is not seen. */
  async #abandoned(slot: number): Promise<number[]> {
    const records = await this.origin.raw((database) => database.getAll('requests'))
    const mine = this.actor(slot).tab.session
    const seen = this.actors.filter(({ isSeen }) => isSeen).map(({ tab }) => tab.session)
    return records.filter(({ session }) => session !== mine && !seen.includes(session)).map(({ id }) => id)
  }
  async adopt(...slots: number[]): Promise<void> {
    const before = await Promise.all(slots.map((slot) => this.#abandoned(slot)))
    const fail = (reason: string): never => assert.fail(reason)
    const adopted = await Promise.all(slots.map((slot) => this.actor(slot).tab.keeper.adopt('anna', fail)))
    // Only from one that is not seen itself may the other take it at once.
    const seen = adopted.filter((_, i) => this.actor(slots[i] ?? 0).isSeen)
    const handedOut = (seen.length === slots.length ? seen.flat() : []).map(({ id }) => id)
    assert.equal(new Set(handedOut).size, handedOut.length, 'none is handed to two')
    for (const [i, slot] of slots.entries()) {
      const { has } = this.actor(slot)
      const [ids, expected] = [(adopted[i] ?? []).map(({ id }) => id), before[i] ?? []]
      assert.deepEqual(
        ids,
        [...ids].sort((a, b) => a - b),
        'in the order they were put',
      )
      for (const id of ids) {
        assert.ok(expected.includes(id), 'none of a tab that is seen')
        assert.ok(!has.has(id), 'none that the tab has already')
      }
    }
    for (const [i, slot] of slots.entries())
      for (const { id, request } of adopted[i] ?? []) {
        assert.deepEqual(request, requestOf(this.kept.get(id) ?? 'removed'))
        this.actor(slot).has.set(id, request.key)
      }
    for (const id of before.flat())
      assert.ok(
        slots.some((slot) => this.actor(slot).has.has(id)),
        'none is overlooked',
      )
  }

  hold(slot: number): void {
    this.actor(slot).tab.keeper.hold()
    this.actor(slot).isSeen = true
  }
  release(slot: number): void {
    this.actor(slot).tab.keeper.release()
    this.actor(slot).isSeen = false
  }
  async end(slot: number, how: 'crash' | 'close'): Promise<void> {
    const { tab } = this.actor(slot)
    if (how === 'crash') tab.crash()
    else tab.keeper.close()
    await settle()
    await this.open(slot)
  }
}

type Step = [name: string, run: (world: World, slot: number, n: number) => void | Promise<void>]

function flicker(world: World, slot: number, n: number): void {
  for (let i = 0; i < 2 + (n % 3); i++) {
    if (i % 2) world.release(slot)
    else world.hold(slot)
  }
}

const STEPS: Step[] = [
  ['put', (world, slot, n) => world.put(slot, 1 + (n % 3))],
  ['remove', (world, slot, n) => world.remove(slot, n)],
  ['hold', (world, slot) => world.hold(slot)],
  ['release', (world, slot) => world.release(slot)],
  ['all hold', (world) => [0, 1, 2].forEach((slot) => void world.hold(slot))],
  ['hold and release', flicker],
  ['close', (world, slot) => world.end(slot, 'close')],
  ['crash', (world, slot) => world.end(slot, 'crash')],
  ['adopt', (world, slot) => world.adopt(slot)],
  ['adopt with the next tab', (world, slot) => world.adopt(slot, (slot + 1) % 3)],
]

async function play(steps: readonly { step: Step; slot: number; n: number }[]): Promise<void> {
  const world = new World()
  for (const slot of [0, 1, 2]) await world.open(slot)
  for (const { step, slot, n } of steps) {
    await step[1](world, slot, n)
    await settle()
  }
  for (const slot of [0, 1, 2]) await world.end(slot, slot === 1 ? 'close' : 'crash')
  world.hold(0)
  await world.adopt(0)
  assert.deepEqual([...world.actor(0).has], [...world.kept], 'in the end nothing is lost')
  world.release(0)
  await settle()
  assert.deepEqual(world.origin.locks.names, [], 'no lock is left')
}

describe('whatever three tabs do, in whatever order', () => {
  it('no request is lost, none is taken from a tab that is seen, and none goes to two', async () => {
    const step = fc
      .constantFrom(...STEPS)
      .map((chosen) => Object.assign([...chosen] as Step, { [fc.toStringMethod]: () => chosen[0] }))
    const moves = fc.array(fc.record({ step, slot: fc.nat(2), n: fc.nat(9) }), { maxLength: 30 })
    await fc.assert(fc.asyncProperty(moves, play), { numRuns: Number(process.env['FC_RUNS'] ?? 300) })
  })
})
