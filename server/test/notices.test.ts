import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import fc from 'fast-check'
import type { Arrival, Connection } from '../connection'
import { readHandshake } from '../handshake'
import { identify } from '../identity'
import type { Lifecycle } from '../lifecycle'
import { settle } from '../options'
import { createParts } from '../parts'
import type { Channel } from '../stream'

const RUNS = Number(process.env['FC_RUNS'] ?? 200)
/** ms that a lost connection waits for its goodbye. */
const GOODBYE_TIME = 300

interface User {
  readonly id: number
}

/** A line that only knows whether it is there. */
class Line implements Channel {
  readonly waiting = 0
  readonly hasReader = true
  readonly closed: Promise<void>
  endedAt: number | undefined
  #close = () => {}

  constructor() {
    this.closed = new Promise((resolve) => {
      this.#close = resolve
    })
  }

  end(): void {
    this.endedAt ??= Date.now()
    this.#close()
  }

  readonly write = () => true
  readonly tell = () => true
  readonly pour = () => {}
  readonly beat = () => {}
  readonly discard = () => {}
}

/** A service, its pages, and an application that believes what it is told. */
class World {
  readonly #grace: number
  readonly #lifecycle: Lifecycle<User>
  readonly #settings
  readonly #all: { readonly connection: Connection<User>; readonly line: Line }[] = []
  readonly #pages = new Map<string, number>()
  /** Who is here, as the application knows it from its notices. */
  readonly #told = new Map<string, Connection<User>>()
  readonly #ever = new Set<string>()
  /** What the application's functions threw: nobody else hears of it. */
  readonly #errors: unknown[] = []

  constructor(disconnectGrace: number) {
    const settings = settle<User>({
      getUser: () => null,
      disconnectGrace,
      heartbeatInterval: 0,
      onError: (error) => this.#errors.push(error),
    })
    const { lifecycle, notices } = createParts(settings)
    this.#grace = disconnectGrace
    this.#settings = settings
    this.#lifecycle = lifecycle
    notices.connected.add((connection, arrival) => this.#onConnect(connection, arrival))
    notices.disconnected.add((connection, reason) => this.#onDisconnect(connection, reason))
  }

  /** A tab connects: by the client object that it has, or after a reload of which nobody has told. */
  async connect(user: number, browser: number, tab: number, isReloaded: boolean): Promise<void> {
    const key = `${user} ${browser} ${tab}`
    const page = (this.#pages.get(key) ?? 0) + Number(isReloaded)
    this.#pages.set(key, page)
    const line = new Line()
    const params = { clientId: `b${browser}`, clientInstanceId: `${tab} ${page}`, keepaliveTime: '0' }
    const connection = await this.#lifecycle.open({
      caller: { user: { id: user }, identity: identify({ id: user }) },
      handshake: readHandshake(params, this.#settings),
      requestIp: undefined,
      userAgent: undefined,
      stream: line,
      heartbeatInterval: 0,
    })
    this.#all.push({ connection, line })
  }

  /** Of any connection there ever was; also of one that is long gone. */
  goodbye(n: number): void {
    const { id } = this.#all[n % this.#all.length]?.connection ?? {}
    const found = id && this.#lifecycle.find(id)
    if (found) this.#lifecycle.goodbye(found, 'pagehide')
  }

  lose(n: number): void {
    this.#all[n % this.#all.length]?.line.end()
  }

  kick(n: number): void {
    this.#all[n % this.#all.length]?.connection.disconnect()
  }

  /** Nothing is shown as gone that is here or may be back, and nothing as here that is gone for longer. */
  check(): void {
    for (const error of this.#errors) throw error
    const patience = Math.max(this.#grace, GOODBYE_TIME)
    for (const { connection, line } of this.#all) {
      const { endedAt } = line
      if (endedAt === undefined) assert.ok(this.#told.has(connection.id), 'is here and shown')
      else if (this.#told.has(connection.id))
        assert.ok(Date.now() - endedAt < patience, 'shown as long as it may be back')
    }
  }

  checkEnd(): void {
    const open = this.#all.filter(({ line }) => line.endedAt === undefined)
    assert.deepEqual([...this.#told.keys()].sort(), open.map(({ connection }) => connection.id).sort())
  }

  async close(pass: (ms: number) => void): Promise<void> {
    const closing = this.#lifecycle.close(0)
    pass(1)
    await closing
    this.check()
    assert.equal(this.#told.size, 0)
    assert.equal(this.#ever.size, this.#all.length, 'each was heard to come')
  }

  #onConnect(connection: Connection<User>, { isReturn, previous }: Arrival<User>): void {
    assert.ok(!this.#ever.has(connection.id), 'comes once')
    const waiting = [...this.#told.values()].filter(
      (other) => this.#lineOf(other).endedAt !== undefined && isSameBrowser(other, connection),
    )
    assert.equal(isReturn, waiting.length > 0)
    this.#ever.add(connection.id)
    this.#told.set(connection.id, connection)
    if (previous === undefined) return
    assert.ok(waiting.includes(previous))
    this.#leave(previous)
  }

  #onDisconnect(connection: Connection<User>, reason: string): void {
    this.#leave(connection)
    if (['server-close', 'server-shutdown', 'too-many-connections'].includes(reason)) return
    assert.ok(['pagehide', 'lost'].includes(reason), reason)
    const { endedAt = Number.NaN } = this.#lineOf(connection)
    assert.ok(Date.now() - endedAt >= this.#grace, 'not before the grace is over')
  }

  #leave(connection: Connection<User>): void {
    assert.ok(this.#told.delete(connection.id), 'leaves, or is continued, once, and not before it came')
    assert.notEqual(this.#lineOf(connection).endedAt, undefined, 'has ended')
  }

  #lineOf({ id }: Connection<User>): Line {
    return this.#all.find(({ connection }) => connection.id === id)?.line ?? assert.fail('unknown')
  }
}

function isSameBrowser(one: Connection<User>, other: Connection<User>): boolean {
  return one.userId === other.userId && one.clientId === other.clientId
}

type Step = (world: World, pass: (ms: number) => void) => unknown

const two = fc.nat({ max: 1 })
const any = fc.nat({ max: 30 })
const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.tuple(two, two, two, fc.boolean()).map(
      (tab): Step =>
        (world) =>
          world.connect(...tab),
    ),
  },
  {
    weight: 2,
    arbitrary: any.map(
      (n): Step =>
        (world) =>
          world.goodbye(n),
    ),
  },
  {
    weight: 2,
    arbitrary: any.map(
      (n): Step =>
        (world) =>
          world.lose(n),
    ),
  },
  {
    weight: 1,
    arbitrary: any.map(
      (n): Step =>
        (world) =>
          world.kick(n),
    ),
  },
  {
    weight: 2,
    arbitrary: fc.integer({ min: 1, max: 400 }).map(
      (ms): Step =>
        (_, pass) =>
          pass(ms),
    ),
  },
)

test('in whatever order two users with two browsers of two tabs come and go, the application knows who is here', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'] })
  const pass = (ms: number) => t.mock.timers.tick(ms)
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(0, 100, 1000),
      fc.array(step, { maxLength: 40 }),
      async (grace, steps) => {
        const world = new World(grace)
        for (const play of steps) {
          await play(world, pass)
          // What ends is known a moment later.
          await turn()
          world.check()
        }
        pass(1000)
        await turn()
        world.check()
        world.checkEnd()
        await world.close(pass)
      },
    ),
    { numRuns: RUNS },
  )
})
