/** One cluster from its start to its end, and what its messages cost. */
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Redis } from 'ioredis'
import { startRedis } from '../../scripts/redis-server.mjs'
import { startChild } from '../child.mjs'
import { shuffled } from '../figures.mjs'
import { callsOf, figuresOf } from './redis-info.mjs'

/** ms from one message to the next. */
export const INTERVAL = 5
/** In one turn, which with its rest is as long as the time between two beats of a node of tabwire in Redis. */
const MESSAGES = 280
const REST_MS = 100
/** Messages before all that, one every so many ms: the code is to be compiled. */
const WARM_UP = [2000, 0.5]
const SETTLE_MS = 1000
const PATIENCE_MS = 5000

const file = (name) => fileURLToPath(new URL(`${name}.mjs`, import.meta.url))

/** Redis, the nodes, the sender, and the clients of so many users. */
async function start(system, nodeCount, userCount) {
  const redis = await startRedis()
  const info = new Redis(redis.url)
  const children = []
  const stop = async () => {
    await Promise.all(children.map((child) => child.stop()))
    info.disconnect()
    await redis.close()
  }
  const startOne = async (name) => {
    children.push(await startChild(file(name), [system, redis.url]))
    return children.at(-1)
  }
  try {
    const nodes = []
    for (let node = 0; node < nodeCount; node++) nodes.push(await startOne('node'))
    const [sender, load] = [await startOne('sender'), await startOne('load')]
    await load.ask('connect', await Promise.all(nodes.map((node) => node.ask('port'))), userCount)
    return { info, nodes, sender, load, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** All that is counted, as it is now. */
async function look({ info, nodes, sender }) {
  const asked = [info.info('all'), sender.ask('cpu'), ...nodes.map((node) => node.ask('cpu'))]
  const [text, senderCpu, nodeCpu, ...others] = await Promise.all(asked)
  const otherCpu = others.reduce((sum, cpu) => sum + cpu, 0) / others.length
  return { figures: { ...figuresOf(text), nodeCpu, otherCpu, senderCpu }, calls: callsOf(text) }
}

const minus = (left, right) =>
  Object.fromEntries(Object.entries(left).map(([name, value]) => [name, value - (right[name] ?? 0)]))

async function arrival(load, count) {
  const deadline = performance.now() + PATIENCE_MS
  for (;;) {
    const come = await load.ask('count')
    if (come === count) return
    if (come > count || performance.now() > deadline)
      throw new Error(`${come} messages have come instead of ${count}.`)
    await setTimeout(20)
  }
}

/** Sends to these users in turn; without any it takes as long and sends nothing. @returns what was counted more since. */
async function spend(cluster, users, count = MESSAGES, interval = INTERVAL) {
  const { load, sender } = cluster
  const before = await look(cluster)
  const goal = (await load.ask('count')) + (users.length > 0 ? count : 0)
  const reached = await sender.ask('pace', count, interval, users)
  if (users.length > 0 && reached !== count) throw new Error(`${reached} of ${count} were written.`)
  await arrival(load, goal)
  await setTimeout(REST_MS)
  const after = await look(cluster)
  return { figures: minus(after.figures, before.figures), calls: minus(after.calls, before.calls) }
}

const perMessage = (busy, idle) =>
  Object.fromEntries(Object.entries(minus(busy, idle)).map(([name, more]) => [name, more / MESSAGES]))

/**
 * Idle turns and busy ones alternate.
 * @returns the latency, and of each pair of turns what a message costs: figures, and calls of Redis' commands.
 */
export async function measure({ system, nodes, users }, pairCount) {
  const cluster = await start(system, nodes, users)
  try {
    const ofFirstNode = Array.from({ length: Math.ceil(users / nodes) }, (_, nth) => nth * nodes)
    await setTimeout(SETTLE_MS)
    await spend(cluster, shuffled(ofFirstNode), ...WARM_UP)
    await cluster.load.ask('latency')
    const pairs = []
    for (let pair = 0; pair < pairCount; pair++) {
      const idle = await spend(cluster, [])
      const busy = await spend(cluster, shuffled(ofFirstNode))
      pairs.push({
        figures: perMessage(busy.figures, idle.figures),
        calls: perMessage(busy.calls, idle.calls),
      })
    }
    return { latency: await cluster.load.ask('latency'), pairs }
  } finally {
    await cluster.stop()
  }
}
