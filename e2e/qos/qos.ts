import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Page } from 'playwright'
import { startBrowser } from '../browser'
import { startProxy } from '../proxy'
import { startServerProcess } from '../server-process'
import { createRandom } from '../soak/random'
import type { Api } from './child'
import type { Row } from './rows'
import { type Outcome, type Stage, World } from './world'

export const STORES = ['memory', 'sqlite'] as const
export type StoreName = (typeof STORES)[number]

const CHILD = fileURLToPath(new URL('child.ts', import.meta.url))

export async function setStage(store: StoreName): Promise<Stage & { close(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'tabwire-qos-'))
  const args = [join(folder, 'journal'), ...(store === 'sqlite' ? [join(folder, 'store.db')] : [])]
  const server = await startServerProcess<Api>({ path: CHILD, args, hasSpare: store === 'sqlite' })
  const proxy = await startProxy(server.port)
  const browser = await startBrowser()
  const books = new Map<Page, string[]>()
  await browser.context.exposeBinding('book', ({ page }, data: string) => {
    books.set(page, [...(books.get(page) ?? []), data])
  })
  return {
    ...{ browser, proxy, server, books },
    async close() {
      await browser.close()
      await proxy.close()
      await server.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** What came of a row. */
export interface Result {
  /** How often each page has shown it, in the order in which they were opened. */
  readonly shown: readonly number[]
  readonly outcomes: readonly Outcome[]
  /** As in the world; the last one in the end. */
  readonly held: readonly number[]
  /** How often it was sent. */
  readonly sent: number
  readonly seconds: number
}

export async function play(stage: Stage, row: Row, seed: number): Promise<Result> {
  const startedAt = performance.now()
  const world = new World(stage, createRandom(seed), `${seed}-${Math.round(startedAt)}`)
  try {
    await row.run(world)
    await world.shown(row.shown)
    await world.settle()
  } finally {
    await world.end()
  }
  const { counts: shown, outcomes, held } = world
  return { shown, outcomes, held, sent: await world.sent(), seconds: (performance.now() - startedAt) / 1000 }
}

/** What must not be. */
export function wrongIn(row: Row, { shown, outcomes, held }: Result): string[] {
  const expected = 'outcomes' in row ? row.outcomes : [1]
  const isOnce = shown.every((count) => count <= 1) && shown.reduce((a, b) => a + b, 0) === (row.shown ?? 1)
  const isSettled = expected === undefined || outcomes.join() === expected.join()
  return [
    ...(isOnce ? [] : [`shown ${shown.join(' + ')} times`]),
    ...(isSettled ? [] : [`the promise: ${outcomes.join(', ')}`]),
    ...(held.at(-1) === 0 ? [] : [`held in the end: ${held.at(-1)}`]),
  ]
}
