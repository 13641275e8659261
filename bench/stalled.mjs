/**
 * A client that does not read, under a broadcast of 10 MB/s: what the server's memory and the other clients' latency do.
 * The stalled client comes back each time it is cut off, and stalls again. `node bench/stalled.mjs [seconds]`
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { createServer, get } from 'node:http'
import { fileURLToPath } from 'node:url'
import express from 'express'
import { createSse } from 'tabwire/server'

const SECONDS = Number(process.argv[2] ?? 60)
const READERS = 5
const EVENT_BYTES = 10_000
const PER_TICK = 10
const TICK = 10

const quantile = (sorted, q) =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN

/** The clients, in a process of their own. */
function readers(base) {
  let latencies = []
  let last = 0
  let lost = 0
  const open = (user, onResponse) =>
    get(`${base}/connect?user=${user}`, { agent: false }, onResponse).on('error', () => {})
  const read = (response) => {
    let text = ''
    response.setEncoding('latin1').on('data', (piece) => {
      text += piece
      for (let end = text.indexOf('\n\n'); end !== -1; end = text.indexOf('\n\n')) {
        const [, n, at] = /"n":(\d+),"at":([\d.]+)/.exec(text.slice(0, Math.min(end, 200))) ?? []
        text = text.slice(end + 2)
        if (n === undefined) continue
        latencies.push(Date.now() - Number(at))
        if (response === first && last && Number(n) !== last + 1) lost++
        if (response === first) last = Number(n)
      }
    })
    first ??= response
  }
  let first
  for (let n = 0; n < READERS; n++) open(`reader${n}`, read)
  let cuts = -1
  const stall = () => {
    cuts++
    open('stalled', (response) => {
      response.pause()
      response.socket.on('close', stall)
      // A socket that is paused does not hear of its end: look now and then whether the server still has us.
      const look = setInterval(() => process.send({ ask: 'stalled' }), 500)
      process.once('message', () => {})
      response.socket.once('close', () => clearInterval(look))
      stalledResponse = response
    })
  }
  let stalledResponse
  process.on('message', ({ command }) => {
    if (command === 'stall') stall()
    if (command === 'gone') stalledResponse?.destroy()
    if (command === 'take') {
      const sorted = latencies.toSorted((a, b) => a - b)
      latencies = []
      process.send({
        p50: quantile(sorted, 0.5),
        p99: quantile(sorted, 0.99),
        count: sorted.length,
        lost,
        cuts,
      })
    }
  })
}

async function main() {
  const sse = createSse({ name: 'bench', getUser: ({ query }) => ({ id: query.user }) })
  const server = createServer(express().use('/sse', sse.router)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const clients = fork(fileURLToPath(import.meta.url), [], {
    env: { ...process.env, BASE: `http://127.0.0.1:${server.address().port}/sse` },
  })
  clients.on('message', async ({ ask }) => {
    if (ask && !(await sse.isOnline('stalled'))) clients.send({ command: 'gone' })
  })
  while ((await sse.getConnectionCount()) < READERS) await new Promise((resolve) => setTimeout(resolve, 20))

  const reasons = {}
  sse.onDisconnect((_connection, reason) => {
    reasons[reason] = (reasons[reason] ?? 0) + 1
  })
  const filling = 'x'.repeat(EVENT_BYTES)
  let n = 0
  const phase = async (name, seconds) => {
    const peaks = []
    const end = Date.now() + seconds * 1000
    let due = Date.now()
    while (Date.now() < end) {
      for (let i = 0; i < PER_TICK; i++) void sse.sendAll('tick', { n: ++n, at: Date.now(), filling })
      due += TICK
      peaks.push(process.memoryUsage.rss())
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, due - Date.now())))
    }
    clients.send({ command: 'take' })
    const [{ p50, p99, count, lost, cuts }] = await once(clients, 'message')
    const half = Math.max(...peaks.slice(0, peaks.length / 2)) / 1e6
    const whole = Math.max(...peaks) / 1e6
    console.log(
      `${name.padEnd(24)} p50 ${p50} ms, p99 ${p99} ms, ${count} events read, ${lost} lost; RSS at most ${half.toFixed(0)} MB in the first half, ${whole.toFixed(0)} MB in all; cut off ${Math.max(0, cuts)} times`,
    )
  }
  await phase('warm-up', 10)
  await phase('all read', SECONDS / 2)
  clients.send({ command: 'stall' })
  await phase('one does not', SECONDS)
  console.log(JSON.stringify({ reasons }))
  process.exit()
}

if (process.env.BASE) readers(process.env.BASE)
else await main()
