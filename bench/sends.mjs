/**
 * Requests of a page to its server: how many a second, and what they cost the server, beside bare `fetch` and socket.io.
 * Every server is a process of its own, every page a fresh tab. `node bench/sends.mjs [rounds] [--quick]`
 */
import { medians, printRow, shuffled } from './figures.mjs'
import { startRuns } from './outbox/runs.mjs'
import { installPeers } from './peers.mjs'
import { hasProcfs } from './procfs.mjs'

const isQuick = process.argv.includes('--quick')
const ROUNDS = isQuick ? 1 : Number(process.argv[2] ?? 3)
const SCALE = isQuick ? 0.2 : 1
/** How many are sent: about a second's worth. */
const COUNTS = { each: 500, 'one path': 2000, '8 paths': 2000, parallel: 1000 }
const RUNS = [
  ['tabwire', ['each', 'one path', '8 paths']],
  ['tabwire, kept', ['each', 'one path', '8 paths']],
  ['fetch', ['each', 'parallel']],
  ['socket.io', ['each', 'one path']],
].flatMap(([client, ways]) => ways.map((way) => ({ client, way, count: COUNTS[way] * SCALE })))

const nameOf = ({ client, way }) => `${client}: ${way}`
/** What is waited for one by one is compared with that, the rest with what a browser does side by side. */
const peerOf = ({ way }) => (way === 'each' ? 'fetch: each' : 'fetch: parallel')

function printTable(results) {
  console.log(`\nSends a second, and CPU ms of the server for 1,000; medians of ${ROUNDS} fresh tabs.`)
  console.log('each: awaits each; one path, 8 paths: all at once; parallel: 8 loops that await each')
  printRow('', ['sends/s', '× fetch', 'CPU ms', '× fetch'], 11, 26)
  for (const run of RUNS) {
    const [own, peer] = [results[nameOf(run)], results[peerOf(run)]]
    const ratio = (key) => (own[key] / peer[key]).toFixed(2)
    printRow(nameOf(run), [Math.round(own.rate), ratio('rate'), own.cpu.toFixed(0), ratio('cpu')], 11, 26)
  }
}

async function measureAll(runs) {
  const rows = Object.fromEntries(RUNS.map((run) => [nameOf(run), []]))
  for (let round = 0; round < ROUNDS; round++) {
    for (const run of shuffled(RUNS)) {
      const { ms, cpu } = await runs.measure({ ...run, warmUp: run.count / 4 })
      rows[nameOf(run)].push({ rate: run.count / (ms / 1000), cpu: cpu / run.count })
    }
  }
  return rows
}

async function run() {
  const runs = await startRuns()
  const rows = await measureAll(runs).finally(runs.close)
  const results = Object.fromEntries(Object.entries(rows).map(([name, own]) => [name, medians(own)]))
  printTable(results)
  console.log(JSON.stringify({ rounds: ROUNDS, results }))
}

if (hasProcfs) {
  installPeers()
  await run()
} else console.log('Sends are not measured: it needs Linux, whose /proc tells the CPU time of a process.')
