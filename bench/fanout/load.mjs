/** The process of the clients: opens connections and counts what comes, with as little work as it can. */
import { connect } from 'node:net'
import { answerParent } from '../child.mjs'
import { MARK, now, sentAt, TAIL } from './message.mjs'

/** How many connect at once; more would overflow what a server lets wait. */
const AT_ONCE = 50
const WEBSOCKET =
  'Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n'
/** To socket.io's handshake belongs an answer: `40`, "join the main namespace", as a masked frame whose mask is zero. */
const HANDSHAKE = '0{"sid"'
const JOIN = Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x34, 0x30])

const DIALECTS = {
  sse: {
    path: (n) => `/sse/connect?user=${n}&clientId=browser-${n}&clientInstanceId=page-${n}&listeners=tick`,
    headers: 'Accept: text/event-stream\r\n',
    isOpen: (text) => text.includes('\r\n\r\n'),
  },
  ws: { path: () => '/', headers: WEBSOCKET, isOpen: (text) => text.includes('\r\n\r\n') },
  'socket.io': {
    path: () => '/socket.io/?EIO=4&transport=websocket',
    headers: WEBSOCKET,
    isOpen: (text) => text.includes('40{"sid"'),
  },
}

/** One for all sockets: what is read is counted at once and never kept. */
const bytes = Buffer.alloc(256 * 1024)
let clients = []
let opened = 0
let goal = Number.POSITIVE_INFINITY
/** Clients that have not got as many messages as the goal says. */
let behind = 0
let onGoal
/** µs from sending to arrival; `undefined` while nobody wants to know. */
let latencies

/** The times are read, and the marks counted, in one pass; between two marks lies at least a message's tail. */
function take(client, length) {
  let count = 0
  const time = latencies && now()
  for (let at = 0; at < length; at++) {
    if (bytes[at] !== MARK) continue
    count++
    if (latencies) latencies.push(time - sentAt(bytes, length, at))
    at += TAIL
  }
  if (count > 0) advance(client, count)
}

function advance(client, count) {
  const before = client.count
  client.count += count
  if (before < goal && client.count >= goal && --behind === 0) onGoal()
}

function open(port, dialect, number) {
  const { path, headers, isOpen } = DIALECTS[dialect]
  return new Promise((resolve, reject) => {
    const client = { count: 0, socket: undefined, isOpen: false, text: '' }
    const greet = (text) => {
      client.text += text
      if (text.includes(HANDSHAKE) && !text.includes(`4${HANDSHAKE}`)) client.socket.write(JOIN)
      if (!/^HTTP\/1\.1 (101|200) /.test(client.text)) return reject(new Error(client.text))
      if (!isOpen(client.text)) return
      client.isOpen = true
      client.text = ''
      resolve(client)
    }
    const callback = (length) => {
      if (client.isOpen) take(client, length)
      else greet(bytes.latin1Slice(0, length))
      return true
    }
    client.socket = connect({ port, host: '127.0.0.1', onread: { buffer: bytes, callback } })
    client.socket.on('error', reject)
    client.socket.write(`GET ${path(number)} HTTP/1.1\r\nHost: bench\r\n${headers}\r\n`)
  })
}

const quantile = (sorted, part) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]

answerParent({
  async connect(port, dialect, count) {
    while (clients.length < count) {
      const wave = Math.min(AT_ONCE, count - clients.length)
      clients.push(...(await Promise.all(Array.from({ length: wave }, () => open(port, dialect, ++opened)))))
    }
  },

  leave() {
    for (const { socket } of clients) socket.destroy()
    clients = []
    goal = Number.POSITIVE_INFINITY
  },

  /** Resolves when even the slowest client has got so many messages since it came. */
  arrival(messages) {
    goal = messages
    behind = clients.filter(({ count }) => count < goal).length
    if (behind === 0) return
    return new Promise((resolve) => {
      onGoal = resolve
    })
  },

  /** Messages that came, to all together. */
  count: () => clients.reduce((sum, { count }) => sum + count, 0),

  watchLatency() {
    latencies = []
  },

  /** ms. */
  latency() {
    const sorted = Float64Array.from(latencies.filter((time) => !Number.isNaN(time))).sort()
    latencies = undefined
    return { p50: quantile(sorted, 0.5) / 1000, p99: quantile(sorted, 0.99) / 1000 }
  },
})
