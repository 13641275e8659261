/**
 * What it costs to be sure: `qos()` beside a plain send, and the SQLite store beside memory. 100 users are online, each
 * message goes to one of them; their clients, in a process of their own, acknowledge as ours does.
 * `node bench/qos.mjs [messages] [per second]`
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, get, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import express from 'express'
import { median } from './figures.mjs'

const [MESSAGES = 10_000, RATE = 1000] = process.argv.slice(2).map(Number)
const USERS = 100
const ROUNDS = 3
const ACK_DELAY = 200

const now = () => performance.timeOrigin + performance.now()

/** One client: reads its stream, acknowledges what is to be, and tells how long each event was on the way. */
function openClient(base, user, onLatency) {
  const query = new URLSearchParams({
    user,
    acks: 1,
    clientId: user,
    clientInstanceId: user,
    listeners: 'news',
  })
  let connectionId
  let isWaiting = false
  function acknowledge(lastEventId) {
    isWaiting = false
    const body = JSON.stringify({ connectionId, lastEventId, away: false })
    const headers = { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) }
    request(`${base}/connect/report.do?user=${user}`, { method: 'POST', headers }, (res) => res.resume()).end(
      body,
    )
  }
  return new Promise((resolve) => {
    get(`${base}/connect?${query}`, { agent: false }, (response) => {
      let rest = ''
      let lastId
      response.setEncoding('utf8').on('data', (piece) => {
        const blocks = (rest + piece).split('\n\n')
        rest = blocks.pop()
        for (const block of blocks) {
          const [, id, name, data] = /id: (.*)\nevent: (.*)\ndata: (.*)/.exec(block) ?? []
          if (name === 'connect-finish') {
            connectionId = JSON.parse(data).connectionId
            resolve()
          }
          if (name !== 'news') continue
          onLatency(now() - Number(data))
          lastId = id
          if (isWaiting || !id.includes('~')) continue
          isWaiting = true
          setTimeout(() => acknowledge(lastId), ACK_DELAY)
        }
      })
    })
  })
}

async function beClients(base) {
  const latencies = []
  await Promise.all(
    Array.from({ length: USERS }, (_, n) => openClient(base, `u${n}`, (ms) => latencies.push(ms))),
  )
  process.send('open')
  process.on('message', () => {
    latencies.sort((a, b) => a - b)
    const at = (part) => latencies[Math.floor(latencies.length * part)]
    process.send({ count: latencies.length, p50: at(0.5), p99: at(0.99) })
    process.disconnect()
    process.exit()
  })
}

/** Sends at an even rate, and waits until all is done. CPU is that of the server. */
async function measure(store, isSure) {
  const { createSse } = await import('../dist/server.js')
  const sse = createSse({ name: 'bench', store, getUser: ({ query }) => ({ id: query.user }) })
  const server = createServer(express().use('/sse', sse.router)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const clients = fork(fileURLToPath(import.meta.url), [
    '--clients',
    `http://127.0.0.1:${server.address().port}/sse`,
  ])
  await once(clients, 'message')
  const sender = isSure ? sse.qos() : sse
  const before = process.cpuUsage()
  const sent = []
  const start = now()
  while (sent.length < MESSAGES) {
    const due = Math.min(MESSAGES, Math.floor(((now() - start) / 1000) * RATE))
    while (sent.length < due) sent.push(sender.sendByUserId(`u${sent.length % USERS}`, 'news', String(now())))
    await sleep(2)
  }
  await Promise.all(sent)
  await sleep(ACK_DELAY)
  const { user, system } = process.cpuUsage(before)
  clients.send('end')
  const [{ count, p50, p99 }] = await once(clients, 'message')
  if (count !== MESSAGES) throw new Error(`${count} of ${MESSAGES} arrived.`)
  server.closeAllConnections()
  server.close()
  await sse.close()
  return { cpu: (user + system) / MESSAGES, p50, p99 }
}

async function main() {
  const { memoryStore } = await import('../dist/memory.js')
  const { sqliteStore } = await import('../dist/sqlite.js')
  const folder = await mkdtemp(join(tmpdir(), 'tabwire-bench-'))
  const results = new Map()
  for (let round = 0; round < ROUNDS; round++) {
    for (const kind of ['memory', 'sqlite']) {
      for (const isSure of [false, true]) {
        const store = kind === 'memory' ? memoryStore() : sqliteStore(join(folder, `${round}${isSure}.db`))
        const name = `${isSure ? 'qos()' : 'plain'}, ${kind}`
        results.set(name, [...(results.get(name) ?? []), await measure(store, isSure)])
        store.close?.()
      }
    }
  }
  await rm(folder, { recursive: true })
  const base = median(results.get('plain, memory').map(({ cpu }) => cpu))
  for (const [name, rounds] of results) {
    const [cpu, p50, p99] = ['cpu', 'p50', 'p99'].map((figure) =>
      median(rounds.map((round) => round[figure])),
    )
    const ms = `p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`
    console.log(`${name}: ${cpu.toFixed(0)} µs CPU per message (${(cpu / base).toFixed(2)}×), ${ms}`)
  }
}

if (process.argv[2] === '--clients') await beClients(process.argv[3])
else await main()
