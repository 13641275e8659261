/**
 * The demo of a cluster: two web nodes, two publishers, one Redis; each is a process of its own. `npm run start:cluster`
 *
 * PORT_A, PORT_B: the ports of the nodes (8080, 8081). REDIS_URL: your own Redis, instead of one that is gone afterwards.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const { PORT_A = '8080', PORT_B = '8081', REDIS_URL } = process.env
const children = []
let ending

/** Starts a process and prints its line; resolves to where it is when it is ready. */
async function start(title, file, args = [], env = {}) {
  const child = fork(fileURLToPath(new URL(file, import.meta.url)), args, {
    env: { ...process.env, ...env },
    // Ctrl+C reaches a whole group of processes. In groups of their own they end in our order: Redis last.
    detached: true,
  })
  children.push(child)
  child.once('exit', () => ended(title))
  const ready = await Promise.race([once(child, 'message'), once(child, 'exit').then(() => [])])
  // Why it did not start, it has told itself.
  if (ready.length === 0) await end(1)
  const [{ at, pid = child.pid }] = ready
  console.log(`${title.padEnd(18)}${`process ${pid}`.padEnd(16)}${at}`)
  return at
}

function ended(title) {
  if (!ending) console.log(`${title} has ended. The others go on.`)
}

/** The channel to a child is its lifeline (see lifeline.mjs): without it, it ends, also if this process is killed. */
async function endOne(child) {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exit = once(child, 'exit')
  if (child.connected) child.disconnect()
  await exit
}

async function endAll() {
  const [first, ...others] = children
  await Promise.all(others.map(endOne))
  // That is Redis, which the others have said goodbye to.
  if (first) await endOne(first)
}

async function end(code) {
  ending ??= endAll()
  await ending
  process.exit(code)
}
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => end(0))

const redis = { REDIS_URL: REDIS_URL ?? (await start('Redis', 'redis.mjs')) }
await start('Publisher orders', 'publisher.mjs', ['orders'], redis)
await start('Publisher prices', 'publisher.mjs', ['prices'], redis)
await start('Node A', 'web-node.mjs', ['A', PORT_A, PORT_B], redis)
await start('Node B', 'web-node.mjs', ['B', PORT_B, PORT_A], redis)
console.log(`
Open both nodes, in two windows. Kill any of these processes and see what the others do. Ctrl+C ends all.
Other ports: PORT_A=3000 PORT_B=3001 npm run start:cluster`)
