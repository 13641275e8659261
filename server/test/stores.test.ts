import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, type TestContext } from 'node:test'
import { memoryStore } from 'tabwire/stores/memory'
import { redisStore } from 'tabwire/stores/redis'
import { sqliteStore } from 'tabwire/stores/sqlite'
import { startRedis } from '../../scripts/redis-server.mjs'
import { answersContract } from './answers-contract'
import { Cases, type CreateStore, type Suite } from './contract'
import { durationsContract } from './durations-contract'
import { logContract } from './log-contract'
import { pendingContract } from './pending-contract'

const RUNS = Number(process.env['FC_RUNS'] ?? 300)

/** In a time of their own. */
function passingIn(t: TestContext): (ms: number) => void {
  t.mock.timers.enable({ apis: ['Date'] })
  return (ms) => t.mock.timers.tick(ms)
}

function memory(t: TestContext): CreateStore {
  const pass = passingIn(t)
  return (limits) => ({ store: memoryStore(limits), pass })
}

/** Each in a file of its own; all are gone with the test. */
function sqlite(t: TestContext): CreateStore {
  const pass = passingIn(t)
  const folder = mkdtempSync(join(tmpdir(), 'tabwire-'))
  const closers: (() => void)[] = []
  t.after(() => {
    for (const close of closers) close()
    rmSync(folder, { recursive: true })
  })
  return (limits) => {
    const file = join(folder, `${closers.length}.db`)
    let store = sqliteStore(file, limits)
    const close = (): void => store.close()
    closers.push(close)
    const reopen = (): void => {
      close()
      store = sqliteStore(file, limits)
    }
    return {
      get store() {
        return store
      },
      ...{ pass, reopen, close },
    }
  }
}

const server = await startRedis()
after(() => server.close())

/** Each with keys of its own. */
function redis(t: TestContext): CreateStore {
  const pass = passingIn(t)
  return (limits) => {
    const store = redisStore(server.url, { prefix: `${randomUUID()}:`, ...limits })
    t.after(() => store.close())
    return { store, pass, close: () => store.close() }
  }
}

const suites: Suite[] = [
  { name: 'the memory store', runs: RUNS, crowd: 200_000, cases: new Cases(), create: memory },
  // Files are slower.
  { name: 'the SQLite store', runs: Math.ceil(RUNS / 25), crowd: 5000, cases: new Cases(), create: sqlite },
  { name: 'the Redis store', runs: Math.ceil(RUNS / 10), crowd: 5000, cases: new Cases(), create: redis },
]

for (const suite of suites) {
  logContract(suite)
  pendingContract(suite)
  answersContract(suite)
  durationsContract(suite)
}

after(() => {
  for (const { name, cases } of suites) console.log(`${name}: ${cases}`)
})
