import { setTimeout as sleep } from 'node:timers/promises'
import type { Arm } from './backend'
import { isIdle } from './tab'
import type { World } from './world'

export interface Row {
  readonly name: string
  /** How often in each round. Default 1. */
  readonly times?: number
  /** The answers of the store are lost with the server: what was under way may be done twice. */
  readonly atLeastOnce?: boolean
  /** The application keeps the key together with the effect. */
  readonly isExact?: boolean
  readonly tabs?: number
  /** ms that a handler takes: long enough to be hit. Default 15. */
  readonly work?: number
  /** Before something is sent. */
  prepare?(world: World): Promise<void>
  hit(world: World): Promise<void>
  /** Takes back what has not struck. */
  calm?(world: World): Promise<void> | void
}

export interface RowOptions {
  /** How long the browser is offline the first time, ms. */
  readonly offline: number
}

/** ms until the next fault, at most. */
const SOON = 30
const LATER = 150
/** Bytes of the head of a request, and of an answer. */
const HEAD = 700
const ANSWER = 1200
const KILLS: readonly Arm[] = ['kill before', 'kill after', 'kill now']
const BODY = 1_500_000

/** A number of any order of magnitude. */
const between = ({ random }: World, least: number, most: number): number =>
  Math.round(least * (most / least) ** random.next())

function cut(name: string, direction: 'up' | 'down', bytes: (world: World) => number): Row {
  return {
    name,
    times: 3,
    async hit(world) {
      const { proxy } = world.stage
      const before = proxy.cuts
      await world.pause(SOON)
      proxy.cutAfter(bytes(world), { direction })
      await world.struck(() => proxy.cuts, before)
    },
    calm: ({ stage }) => stage.proxy.cutAfter(Number.POSITIVE_INFINITY, { direction }),
  }
}

function atServer(name: string, arms: readonly Arm[], more: Partial<Row> = {}): Row {
  return {
    name,
    ...more,
    async hit(world) {
      const { backend } = world.stage
      const before = backend.strikes
      await world.pause(SOON)
      await backend.arm(world.random.pick(arms))
      await world.struck(() => backend.strikes, before)
    },
    calm: ({ stage }) => stage.backend.arm(undefined),
  }
}

function atPage(name: string, act: (world: World) => Promise<void>, more: Partial<Row> = {}): Row {
  return {
    name,
    // The page comes too late for what is quick.
    work: 40,
    ...more,
    prepare: ({ stage }) => stage.backend.hold(true),
    async hit(world) {
      // What is not kept yet may be lost with the page.
      await world.kept()
      await world.stage.backend.hold(false)
      await world.pause(LATER)
      // What is over already is no fault.
      const isHit = !(await isIdle(world.front))
      await act(world)
      world.hits += Number(isHit)
    },
  }
}

/** What is sent next is sent offline. */
function offline(ms: number): Row {
  let over: Promise<unknown> | undefined
  async function goOnline(world: World): Promise<void> {
    const { browser, proxy } = world.stage
    if (!over) return
    await over
    over = undefined
    await proxy.refuse(false)
    await browser.online(world.front)
  }
  async function goOffline(world: World): Promise<void> {
    const { browser, proxy } = world.stage
    await world.pause(LATER)
    over = sleep(world.hits ? ms / 10 : ms)
    await browser.offline(world.front)
    await proxy.refuse(true)
    proxy.cut()
    world.hits++
  }
  return {
    name: `the browser is offline for ${ms / 1000} s`,
    hit: (world) => (over ? goOnline(world) : goOffline(world)),
    calm: goOnline,
  }
}

/** Now the other tab is shown, now one is closed and another opened. */
async function changeTabs(world: World): Promise<void> {
  await world.switch()
  if (world.random.chance(0.4)) {
    await world.close()
    await world.open()
  }
}

/** One fault after the other, in no order; but a page is loaded only where it can be. */
function anyOf(name: string, rows: readonly Row[]): Row {
  const calm = async (world: World): Promise<void> => {
    for (const row of rows) await row.calm?.(world)
    await world.stage.backend.up()
  }
  return {
    name,
    times: 2,
    work: 40,
    isExact: true,
    async hit(world) {
      await calm(world)
      await world.random.pick(rows).hit(world)
    },
    calm,
  }
}

export function rowsOf({ offline: ms }: RowOptions): Row[] {
  const lines = [
    cut('the line breaks before the request is there', 'up', (world) => world.random.whole(0, HEAD)),
    cut('the line breaks in the request', 'up', (world) => between(world, HEAD, BODY)),
    atServer('the line breaks before the answer', ['no answer'], { times: 3 }),
    cut('the line breaks in the answer', 'down', (world) => world.random.whole(1, ANSWER)),
  ]
  const kills = [
    atServer('the server is killed before the effect', ['kill before'], { atLeastOnce: true }),
    atServer('the server is killed after the effect', ['kill after'], { atLeastOnce: true }),
    atServer('the server is killed at any moment', ['kill now'], { atLeastOnce: true }),
  ]
  const pages = [
    atPage('the page is reloaded', (world) => world.reload()),
    atPage('the tab is closed and opened again', (world) => world.reopen()),
    atPage('the browser is killed', (world) => world.restartBrowser()),
  ]
  return [
    ...lines,
    ...kills,
    atServer('the server is killed, and the application keeps the keys', KILLS, { isExact: true }),
    ...pages,
    atPage('one of two tabs is hidden or closed', changeTabs, { tabs: 2 }),
    offline(ms),
    anyOf('all of this happens, and the application keeps the keys', [...lines, ...kills, ...pages]),
  ]
}
