/**
 * What becomes of 2,000 clients when their server is drained: they come back spread over the time that was given, and
 * miss nothing. `npm run bench:drain -- [--clients 2000] [--within 5000] [--sends 100] [--seed 1]`
 */
import { parseArgs } from 'node:util'
import { until } from '../until'
import type { SoakClient } from './client'
import { plan } from './plan'
import { play } from './play'
import { createRandom } from './random'
import { World } from './world'

/** Width of a column of the histogram, ms. */
const COLUMN = 250
const MOST = 3
/** ms */
const LEAST_BEFORE = 2000
const AFTER = 2000
const TIMEOUT = 60_000

const { values } = parseArgs({
  options: {
    clients: { type: 'string', default: '2000' },
    within: { type: 'string', default: '5000' },
    sends: { type: 'string', default: '100' },
    seed: { type: 'string', default: '1' },
  },
})
const within = Number(values.within)
const problems: string[] = []
const world = await World.start({
  clients: Number(values.clients),
  lines: 0,
  settings: {},
  violate: ({ role }, what) => problems.push(`client ${role.client}: ${what}`),
  onError: (error, where) => problems.push(`${where} failed: ${error}`),
})
const { clients, tally } = world
const random = createRandom(Number(values.seed))
const steps = plan(random, { cast: world.cast, lines: 1, sendsPerSecond: Number(values.sends), faults: 0 })

/** Goes on sending until `isDone` has been true for so many ms. */
async function playUntil(isDone: () => boolean, more: number): Promise<void> {
  let doneAt = TIMEOUT
  await play(world, steps, (ms) => {
    if (doneAt === TIMEOUT && isDone()) doneAt = ms
    return ms >= Math.min(doneAt + more, TIMEOUT)
  })
}

const areAllOpen = (): boolean => world.openClients === clients.length

function histogram(arrivals: readonly number[]): number[] {
  const columns = new Array<number>(Math.ceil(within / COLUMN)).fill(0)
  for (const ms of arrivals) {
    const column = Math.floor(ms / COLUMN)
    columns[column] = (columns[column] ?? 0) + 1
  }
  return Array.from(columns, (count) => count ?? 0)
}

function print(columns: readonly number[], mean: number): void {
  for (const [column, count] of columns.entries()) {
    const bar = '█'.repeat(Math.round((count / mean) * 20))
    console.log(`${String(column * COLUMN).padStart(6)} ms  ${String(count).padStart(5)}  ${bar}`)
  }
}

/** When each client came back, ms after the drain began; also those that came more than once. */
async function drain(): Promise<number[]> {
  const startedAt = performance.now()
  const openedBefore = new Map<SoakClient, number>(clients.map((client) => [client, client.openedAt]))
  const isBack = (client: SoakClient): boolean => client.openedAt !== openedBefore.get(client)
  const drained = world.drain(within)
  await playUntil(() => areAllOpen() && clients.every(isBack), AFTER)
  await drained
  return clients.filter(isBack).map(({ openedAt }) => openedAt - startedAt)
}

console.log(`${clients.length} clients connect …`)
await playUntil(areAllOpen, LEAST_BEFORE)
console.log('… and are drained.')
const arrivals = await drain()
world.sendLast()
await until(() => tally.open === 0, 'the last events').catch(() => {})
for (const { ledger } of clients) ledger.close()
await world.close()

const columns = histogram(arrivals)
const mean = clients.length / Math.ceil(within / COLUMN)
const highest = Math.max(...columns) / mean
print(columns, mean)
if (arrivals.length < clients.length) problems.push(`${clients.length - arrivals.length} did not come back`)
if (highest > MOST) problems.push(`a column of ${highest.toFixed(2)} × the mean`)
console.log(`highest column ${highest.toFixed(2)} × the mean of ${mean}; ${arrivals.length} came back`)
console.log(String(tally))
for (const problem of problems.slice(0, 20)) console.error(problem)
process.exitCode = problems.length > 0 ? 1 : 0
