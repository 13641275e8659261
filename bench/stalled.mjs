/**
 * A client that does not read, under a broadcast of 10 MB/s: what becomes of the server's memory and of the others'
 * latency. The stalled client comes back each time it is cut off, and stalls again. `node bench/stalled.mjs [seconds]`
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { createServer, get } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import express from 'express'
import { createSse } from '../dist/server.js'

const SECONDS = Number(process.argv[2] ?? 60)
const READERS = 5
/** 10 events of 10 kB every 10 ms. */
const EVENT_BYTES = 10_000
const PER_TICK = 10
const TICK = 10

const quantile = (sorted, q) =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN

/** One client that reads, and sees whether an event is missing. */
class Reader {
  latencies = []
  lost = 0
  #text = ''
  #last = 0

  read(piece) {
    this.#text += piece
    for (let end = this.#text.indexOf('\n\n'); end !== -1; end = this.#text.indexOf('\n\n')) {
      this.#take(this.#text.slice(0, Math.min(end, 200)))
      this.#text = this.#text.slice(end + 2)
    }
  }

  #take(event) {
    const [, n, at] = /"n":(\d+),"at":(\d+)/.exec(event) ?? []
    if (n === undefined) return
    if (this.#last && Number(n) !== this.#last + 1) this.lost++
    this.#last = Number(n)
    this.latencies.push(Date.now() - Number(at))
  }
}

/** All clients, in a process of their own. */
function runClients(base) {
  const open = (user, onResponse) =>
    get(`${base}/connect?user=${user}`, { agent: false }, onResponse).on('error', () => {})
  const readers = Array.from({ length: READERS }, () => new Reader())
  for (const [at, reader] of readers.entries())
    open(`reader${at}`, (response) =>
      response.setEncoding('latin1').on('data', (piece) => reader.read(piece)),
    )

  let stalled
  const stall = () => {
    stalled?.destroy()
    open('stalled', (response) => {
      stalled = response.pause()
    })
  }
  const report = () => {
    const sorted = readers.flatMap(({ latencies }) => latencies.splice(0)).sort((a, b) => a - b)
    const lost = readers.reduce((sum, reader) => sum + reader.lost, 0)
    process.send({ p50: quantile(sorted, 0.5), p99: quantile(sorted, 0.99), count: sorted.length, lost })
  }
  process.on('message', (command) => (command === 'stall' ? stall() : report()))
  process.on('disconnect', () => process.exit())
}

/** Broadcasts for so long. @returns the most memory that the server had meanwhile, MB. */
async function broadcast(sse, seconds) {
  const filling = 'x'.repeat(EVENT_BYTES)
  const end = Date.now() + seconds * 1000
  let most = 0
  for (let due = Date.now(); due < end; due += TICK) {
    for (let i = 0; i < PER_TICK; i++) void sse.sendAll('tick', { n: ++sent, at: Date.now(), filling })
    most = Math.max(most, process.memoryUsage.rss())
    await sleep(Math.max(0, due + TICK - Date.now()))
  }
  return most / 1e6
}
let sent = 0

async function main() {
  const sse = createSse({ name: 'bench', disconnectGrace: 0, getUser: ({ query }) => ({ id: query.user }) })
  const server = createServer(express().use('/sse', sse.router)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const clients = fork(fileURLToPath(import.meta.url), [], {
    env: { ...process.env, BASE: `http://127.0.0.1:${server.address().port}/sse` },
  })
  while ((await sse.getConnectionCount()) < READERS) await sleep(20)
  let cuts = 0
  sse.onDisconnect(({ userId }, reason) => {
    if (userId !== 'stalled' || reason !== 'slow-reader') return
    cuts++
    clients.send('stall')
  })

  const phase = async (name, seconds) => {
    const most = await broadcast(sse, seconds)
    clients.send('report')
    const [{ p50, p99, count, lost }] = await once(clients, 'message')
    const latency = `p50 ${p50} ms, p99 ${p99} ms of ${count} events, ${lost} lost`
    console.log(`${name.padEnd(14)} ${latency}; RSS at most ${most.toFixed(0)} MB; cut off ${cuts} times`)
  }
  await phase('warm-up', 10)
  await phase('all read', SECONDS / 2)
  clients.send('stall')
  await phase('one does not', SECONDS)
  process.exit()
}

if (process.env.BASE) runClients(process.env.BASE)
else await main()
