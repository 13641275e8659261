/**
 * Fan-out on the server: what one message to 1,000 connections costs, beside other servers, measured in one run.
 * Every server is a process of its own; one more holds the clients. `npm run bench:fanout -- [--quick]
 * [--only=tabwire,nchan]`, with `ROUNDS=5` in the environment for more than three.
 */
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { startChild } from './child.mjs'
import { findNchan, startNchan } from './fanout/nchan.mjs'
import { NODE_SERVERS } from './fanout/servers.mjs'
import { medians, printRow, shuffled } from './figures.mjs'
import { installPeers } from './peers.mjs'
import { cpuOf, hasProcfs, rssOf } from './procfs.mjs'

const isQuick = process.argv.includes('--quick')
const ROUNDS = Number(process.env.ROUNDS ?? (isQuick ? 1 : 3))
const CONNECTIONS = isQuick ? 200 : 1000
/** Messages that are sent in one turn of the event loop; the next ones when the slowest client has got these. */
const BATCH = 20
const SATURATED_MS = isQuick ? 600 : 3500
const PACED_MS = isQuick ? 1000 : 4000
const INTERVAL = 10
/** Before the memory is measured the first time, so that what the first connection loads is not counted. */
const WARM_UP = CONNECTIONS / 10
const SETTLE_MS = 250
const OURS = 'tabwire'
const DIALECTS = { ws: 'ws', 'socket.io': 'socket.io' }

const file = (path) => fileURLToPath(new URL(path, import.meta.url))

const start = (name) => (name === 'nchan' ? startNchan() : startChild(file('fanout/server.mjs'), [name]))

async function settledRss(server) {
  await setTimeout(SETTLE_MS)
  await server.ask('tidy')
  await setTimeout(SETTLE_MS)
  return rssOf(server.pid)
}

/** Connects everybody. @returns kB that each of them takes while nothing is sent. */
async function measureIdle(server, connect, load) {
  await connect(WARM_UP)
  await load.ask('leave')
  const before = await settledRss(server)
  await connect(CONNECTIONS)
  return ((await settledRss(server)) - before) / CONNECTIONS / 1000
}

/** @param run sends messages and returns how many. @returns µs of the server for each, and how many a second. */
async function measureCost(server, run) {
  const [cpu, since] = [cpuOf(server.pid), performance.now()]
  const delivered = (await run()) * CONNECTIONS
  const seconds = (performance.now() - since) / 1000
  return { cost: (cpuOf(server.pid) - cpu) / delivered, rate: delivered / seconds }
}

async function sendBatches(server, load, sent, ms) {
  const since = performance.now()
  let count = 0
  while (performance.now() - since < ms) {
    count += BATCH
    const arrival = load.ask('arrival', sent + count)
    await server.ask('batch', BATCH)
    await arrival
  }
  return count
}

async function sendPaced(server, load, sent) {
  const count = PACED_MS / INTERVAL
  const arrival = load.ask('arrival', sent + count)
  await server.ask('pace', count, INTERVAL)
  await arrival
  return count
}

async function measureSending(server, load) {
  let sent = await sendBatches(server, load, 0, SATURATED_MS / 5)
  const count = async (run) => {
    const more = await run
    sent += more
    return more
  }
  const saturated = await measureCost(server, () => count(sendBatches(server, load, sent, SATURATED_MS)))
  await load.ask('watchLatency')
  const paced = await measureCost(server, () => count(sendPaced(server, load, sent)))
  const { p50, p99 } = await load.ask('latency')
  if ((await load.ask('count')) !== sent * CONNECTIONS) throw new Error('Not each message came once.')
  return { saturated: saturated.cost, paced: paced.cost, rate: saturated.rate, p50, p99 }
}

async function measure(name) {
  const [server, load] = [await start(name), await startChild(file('fanout/load.mjs'), ['load'])]
  const port = await server.ask('port')
  const connect = (count) => load.ask('connect', port, DIALECTS[name] ?? 'sse', count)
  try {
    const idle = await measureIdle(server, connect, load)
    return { ...(await measureSending(server, load)), idle }
  } finally {
    await load.stop()
    await server.stop()
  }
}

const COLUMNS = {
  'µs saturated': ({ saturated }) => saturated.toFixed(2),
  'µs paced': ({ paced }) => paced.toFixed(2),
  'messages/s': ({ rate }) => Math.round(rate).toLocaleString('en'),
  'kB/idle': ({ idle }) => idle.toFixed(1),
  'p50 ms': ({ p50 }) => p50.toFixed(1),
  'p99 ms': ({ p99 }) => p99.toFixed(1),
}

function printTable(results) {
  console.log(
    `\n${CONNECTIONS} connections, medians of ${ROUNDS}; CPU µs of the server per delivered message`,
  )
  console.log(
    `saturated: ${BATCH} at once, again when all have them; paced, p50, p99: one every ${INTERVAL} ms`,
  )
  printRow('', Object.keys(COLUMNS))
  for (const [name, result] of Object.entries(results)) {
    printRow(
      name,
      Object.values(COLUMNS).map((cellOf) => cellOf(result)),
    )
  }
  if (!findNchan()) console.log('nchan: not installed (Debian: apt-get install nginx libnginx-mod-nchan)')
}

/** What is to be reached; `NaN` where one of the two was not measured. */
function ratiosOf({ [OURS]: ours, 'bare http': bare, nchan }) {
  return {
    saturatedToBareHttp: ours?.saturated / bare?.saturated,
    pacedToNchan: ours?.paced / nchan?.paced,
    kBPerIdle: Number(ours?.idle),
  }
}

function printRatios({ saturatedToBareHttp, pacedToNchan, kBPerIdle }) {
  const tell = (what, value, unit, goal) =>
    console.log(
      `${OURS}, ${what}: ${value ? value.toFixed(2) : 'not measured,'} ${unit} (goal: at most ${goal})`,
    )
  console.log()
  tell('saturated', saturatedToBareHttp, '× bare http', 0.5)
  tell('paced', pacedToNchan, '× nchan', 0.7)
  tell('idle', kBPerIdle, 'kB per connection', 20)
}

function namesOf(only) {
  const all = [...NODE_SERVERS, ...(findNchan() ? ['nchan'] : [])]
  return all.filter((name) => only === undefined || only.slice('--only='.length).split(',').includes(name))
}

async function run() {
  const names = namesOf(process.argv.find((arg) => arg.startsWith('--only=')))
  const runs = Object.fromEntries(names.map((name) => [name, []]))
  for (let round = 0; round < ROUNDS; round++) {
    for (const name of shuffled(names)) runs[name].push(await measure(name))
  }
  const results = Object.fromEntries(names.map((name) => [name, medians(runs[name])]))
  const ratios = ratiosOf(results)
  printTable(results)
  printRatios(ratios)
  console.log(JSON.stringify({ connections: CONNECTIONS, rounds: ROUNDS, results, ratios }))
}

if (hasProcfs) {
  installPeers()
  await run()
} else
  console.log('The fan-out is not measured: it needs Linux, whose /proc tells the CPU time of a process.')
