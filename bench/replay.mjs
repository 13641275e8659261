/**
 * What it costs the server that clients come back: 10,000 of them, each having missed 3 events, while the log holds
 * 1,000,000 events for others; beside clients that come back to an empty log, and beside a scan of the whole log.
 * `node bench/replay.mjs [returns] [events]`
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { createServer, get } from 'node:http'
import { fileURLToPath } from 'node:url'
import express from 'express'
import { memoryStore } from '../dist/memory.js'
import { createSse } from '../dist/server.js'

const RETURNS = Number(process.argv[2] ?? 10_000)
const EVENTS = Number(process.argv[3] ?? 1_000_000)
const MISSED = 3
const AT_ONCE = 50
const SCANS = 10

/** A store of which the last entry of each append can be seen, so that it can be scanned as well. */
function createService() {
  const store = memoryStore({ maxEvents: EVENTS, maxTotalBytes: 4e9, maxTopics: 1e6 })
  const sse = createSse({
    name: 'bench',
    store,
    getUser: ({ query }) => ({ id: query.user }),
    heartbeatInterval: 0,
  })
  return { store, sse }
}

async function listen(sse) {
  const server = createServer(express().use('/sse', sse.router)).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  return { server, base: `http://127.0.0.1:${server.address().port}/sse` }
}

/** Connects, and leaves as soon as the text holds what it came for. Answers the text. */
function visit(base, user, lastEventId, isDone) {
  return new Promise((resolve, reject) => {
    const query = new URLSearchParams({ user, ...(lastEventId && { lastEventId }) })
    const request = get(`${base}/connect?${query}`, { agent: false }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (piece) => {
        text += piece
        if (!isDone(text)) return
        response.destroy()
        resolve(text)
      })
    })
    request.on('error', reject)
  })
}

const isGreeted = (text) => text.includes('event: connect-finish') && text.endsWith('\n\n')

async function visitAll({ base, cursor, missed }) {
  const isDone = (text) => isGreeted(text) && text.split('event: news').length === missed + 1
  let next = 0
  const visitor = async () => {
    while (next < RETURNS) await visit(base, `u${next++}`, cursor, isDone)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, visitor))
}

/** µs of this process per return. */
async function costOf(run, times) {
  const before = process.cpuUsage()
  await run()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / times
}

async function measure(sse, missed, prepare) {
  const { server, base } = await listen(sse)
  const cursor = /^id: (.*)$/m.exec(await visit(base, 'nobody', undefined, isGreeted))[1]
  await prepare()
  for (let round = 0; round < missed; round++)
    for (let user = 0; user < RETURNS; user++) await sse.sendByUserId(`u${user}`, 'news', { round })
  // The clients are a process of their own: only the server is measured.
  const clients = fork(fileURLToPath(import.meta.url), [String(RETURNS), String(EVENTS)], {
    env: { ...process.env, CLIENTS: '1' },
  })
  const run = async () => {
    clients.send({ base, cursor, missed })
    await once(clients, 'message')
  }
  // Once without counting: the first visits are slower than all others.
  await run()
  const cost = await costOf(run, RETURNS)
  clients.kill()
  server.closeAllConnections()
  server.close()
  return { cost, cursor }
}

function costOfRead(store, cursor) {
  const [epoch, seq] = cursor.split('-')
  const after = { epoch, seq: Number(seq) }
  return costOf(() => {
    for (let user = 0; user < RETURNS; user++)
      void store.read('bench', ['all', `user:u${user}`, 'instance:x'], after)
  }, RETURNS)
}

/** What a log without topics would have to do. */
function costOfScan() {
  const log = Array.from({ length: EVENTS }, (_, seq) => ({ seq, topics: [`user:other${seq % 10_000}`] }))
  const topics = new Set(['all', 'user:u1', 'instance:x'])
  return costOf(() => {
    for (let scan = 0; scan < SCANS; scan++)
      if (log.some(({ seq, topics: of }) => seq < 0 || of.some((topic) => topics.has(topic))))
        throw new Error('the scan found what is not there')
  }, SCANS)
}

const row = (what, us) => console.log(`${what.padEnd(64)} ${us.toFixed(1).padStart(10)} µs`)
async function main() {
  console.log(`${RETURNS} returns; CPU of the server for each.`)
  const empty = createService()
  const { cost: bare } = await measure(empty.sse, 0, async () => {})
  row('nothing missed, an empty log', bare)
  const full = createService()
  const { cost, cursor } = await measure(full.sse, MISSED, async () => {
    for (let n = 0; n < EVENTS; n++) await full.sse.sendByUserId(`other${n % 10_000}`, 'news', { n })
  })
  row(`${MISSED} missed, ${EVENTS} events for others in the log`, cost)
  row('  of which reading the log', await costOfRead(full.store, cursor))
  row(`  beside it: one scan of ${EVENTS} events`, await costOfScan())
  process.exit()
}

if (process.env.CLIENTS) process.on('message', (task) => visitAll(task).then(() => process.send('done')))
else await main()
