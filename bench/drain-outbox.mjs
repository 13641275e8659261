/**
 * What was sent while the tab was hidden goes out when it is shown, over a line with a round trip of 50 ms: how long it
 * takes until all is answered, and in how many requests. Beside the same client with a server that announces no batches,
 * and beside a loop that awaits one `fetch` after the other. `node --import tsx bench/drain-outbox.mjs [rounds] [--quick]`
 */
import { startProxy } from '../e2e/proxy.ts'
import { median, printRow } from './figures.mjs'
import { startRuns } from './outbox/runs.mjs'
import { hasProcfs } from './procfs.mjs'

const isQuick = process.argv.includes('--quick')
const ROUNDS = isQuick ? 1 : Number(process.argv[2] ?? 5)
const COUNT = isQuick ? 100 : 1000
/** ms, each way. */
const DELAY = 25
const OURS = 'tabwire'
/** What waits for each answer takes a minute: once is enough, as nothing but the line counts. */
const RUNS = [
  { client: OURS, way: 'one path', rounds: ROUNDS },
  { client: OURS, way: '1000 paths', rounds: ROUNDS },
  { client: 'tabwire, no batches', way: 'one path', rounds: 1 },
  { client: 'tabwire, no batches', way: '1000 paths', rounds: 1 },
  { client: 'fetch', way: 'each', rounds: 1 },
]

async function slowLine(port) {
  const proxy = await startProxy(port)
  proxy.delay(DELAY)
  return proxy
}

async function measure(runs, { rounds, ...run }) {
  const rows = []
  for (let round = 0; round < rounds; round++)
    rows.push(await runs.measure({ ...run, count: COUNT, warmUp: 10, drain: true }, slowLine))
  return {
    ...run,
    ms: median(rows.map(({ ms }) => ms)),
    requests: median(rows.map(({ requests }) => requests)),
  }
}

async function measureAll(runs) {
  const results = []
  for (const run of RUNS) results.push(await measure(runs, run))
  return results
}

function printTable(results) {
  const loop = results.find(({ client }) => client === 'fetch')
  console.log(
    `\n${COUNT} requests that were sent while hidden, from when the tab is shown until all are answered;`,
  )
  console.log(`round trip ${2 * DELAY} ms; medians of ${ROUNDS} fresh tabs (without batches and fetch: one)`)
  printRow('', ['ms', '× fetch', 'requests'], 11, 34)
  for (const { client, way, ms, requests } of results)
    printRow(`${client}: ${way}`, [ms.toFixed(0), (ms / loop.ms).toFixed(3), requests], 11, 34)
}

if (hasProcfs) {
  const runs = await startRuns()
  const results = await measureAll(runs).finally(runs.close)
  printTable(results)
  console.log(JSON.stringify({ count: COUNT, roundTrip: 2 * DELAY, rounds: ROUNDS, results }))
} else console.log('The outbox is not measured: it needs Linux.')
