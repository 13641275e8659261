/**
 * What one message to one user costs in a cluster, beside socket.io with its adapter for Redis Streams, measured in one
 * run: latency, what Redis has to do, and the CPU of the node that has the user, of the others, and of a sender without
 * connections. Each is a process of its own; one more holds the clients.
 * `npm run bench:cluster -- [--quick] [--only=tabwire]`, with `ROUNDS=5` in the environment for more than three.
 */
import { INTERVAL, measure } from './cluster/measure.mjs'
import { SYSTEMS } from './cluster/systems.mjs'
import { median, medians, printRow, shuffled } from './figures.mjs'
import { installPeers } from './peers.mjs'

const isQuick = process.argv.includes('--quick')
const ROUNDS = Number(process.env.ROUNDS ?? (isQuick ? 1 : 3))
/**
 * Turns of each kind, idle and busy, in a round. Each figure is the median of the differences: what happens all the time
 * anyway is in both, and what happens seldom (a beat to 10,000 connections, a large collection of garbage) in few.
 */
const PAIRS = isQuick ? 1 : 2
const NODES = [1, 3]
const USERS = isQuick ? [200] : [1000, 10_000]

const COLUMNS = {
  'p50 ms': ({ p50 }) => p50.toFixed(2),
  'p99 ms': ({ p99 }) => p99.toFixed(2),
  asked: ({ reads }) => reads.toFixed(1),
  commands: ({ commands }) => commands.toFixed(1),
  'B in': ({ bytesIn }) => bytesIn.toFixed(0),
  'B out': ({ bytesOut }) => bytesOut.toFixed(0),
  Redis: ({ redisCpu }) => redisCpu.toFixed(0),
  'its node': ({ nodeCpu }) => nodeCpu.toFixed(0),
  // A single node has none beside it.
  others: ({ otherCpu }) => (Number.isNaN(otherCpu) ? '-' : otherCpu.toFixed(1)),
  sender: ({ senderCpu }) => senderCpu.toFixed(0),
}
const WIDTHS = [10, 34]

const nameOf = ({ system, nodes, users }) =>
  `${system}, ${nodes} ${nodes === 1 ? 'node' : 'nodes'}, ${users.toLocaleString('en')} users`

/** The latency is that of a round, all else that of a pair of turns. */
const resultOf = (rounds) => ({
  ...medians(rounds.map(({ latency }) => latency)),
  ...medians(rounds.flatMap(({ pairs }) => pairs.map(({ figures }) => figures))),
})

/** The commands that a message needs, the most frequent first. */
function tellCalls(rounds) {
  const calls = rounds.flatMap(({ pairs }) => pairs.map((pair) => pair.calls))
  return Object.keys(calls[0])
    .map((name) => [name, median(calls.map((counts) => counts[name] ?? 0))])
    .filter(([, count]) => count >= 0.05)
    .sort(([, one], [, other]) => other - one)
    .map(([name, count]) => `${name} ${count.toFixed(1)}`)
    .join(', ')
}

function printTable(kinds, runs) {
  console.log(`
One message to one user, every ${INTERVAL} ms, all to users of one node; the users are spread evenly over the nodes.
For each message, without what is spent when nothing is sent, medians of ${ROUNDS} rounds (latency) and ${ROUNDS * PAIRS} turns:
latency; how often Redis is asked, commands (with those of scripts), bytes; CPU µs of Redis, of the node that has the
user, of each other node, of the sender.
`)
  printRow('', Object.keys(COLUMNS), ...WIDTHS)
  for (const kind of kinds) {
    const result = resultOf(runs.get(kind))
    const cells = Object.values(COLUMNS).map((cellOf) => cellOf(result))
    printRow(nameOf(kind), cells, ...WIDTHS)
  }
  console.log()
  for (const kind of kinds.slice(-Object.keys(SYSTEMS).length))
    console.log(`${nameOf(kind)}: ${tellCalls(runs.get(kind))}`)
}

/** Files that a process may open at most: Node asks for as many as it may have. Not a number: as many as it likes. */
const mostFiles = Number(process.report.getReport().userLimits?.open_files.hard)
const mayOpen = (count) => !(mostFiles < count + 100)

/** Those that are compared with each other are measured one right after the other: machines have their moods. */
function groupsOf(only) {
  const systems = Object.keys(SYSTEMS).filter((name) => !only || only === `--only=${name}`)
  return USERS.filter(mayOpen).flatMap((users) =>
    NODES.map((nodes) => systems.map((system) => ({ system, nodes, users }))),
  )
}

installPeers()
const groups = groupsOf(process.argv.find((arg) => arg.startsWith('--only=')))
const kinds = groups.flat()
const runs = new Map(kinds.map((kind) => [kind, []]))
for (let round = 0; round < ROUNDS; round++) {
  for (const group of shuffled(groups)) {
    for (const kind of shuffled(group)) runs.get(kind).push(await measure(kind, PAIRS))
  }
}
printTable(kinds, runs)
if (!USERS.every(mayOpen))
  console.log(`A process may open ${mostFiles} files only (ulimit -n): less was measured.`)
console.log(JSON.stringify(kinds.map((kind) => ({ ...kind, ...resultOf(runs.get(kind)) }))))
