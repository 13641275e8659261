/**
 * The process of the clients: `node load.mjs <system>`. They are bare sockets that say as much as they must, the same
 * for both systems, and what is read is never kept.
 */
import { connect } from 'node:net'
import { answerParent } from '../child.mjs'
import { MARK, now, sentAt, TAIL } from '../fanout/message.mjs'
import { SYSTEMS } from './systems.mjs'

/** How many connect at once; more would overflow what a server lets wait. */
const AT_ONCE = 50
const { pathOf } = SYSTEMS[process.argv[2]]

/** Frames of a websocket. A client masks what it says; the mask is zero. */
const TEXT = 0x81
const frame = (text) => Buffer.from([TEXT, 0x80 | text.length, 0, 0, 0, 0, ...Buffer.from(text)])
/** Of socket.io: "join the main namespace", and the answer to its ping, without which it closes. */
const [JOIN, PONG] = [frame('40'), frame('3')]
const PING_LENGTH = 1

const DIALECTS = {
  tabwire: { headers: 'Accept: text/event-stream\r\n', isOpen: (text) => text.includes('connect-finish') },
  'socket.io': {
    headers:
      'Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n',
    isOpen: (text) => text.includes('40{"sid"'),
  },
}
const { headers, isOpen } = DIALECTS[process.argv[2]]

const bytes = Buffer.alloc(64 * 1024)
/** µs from sending to arrival, of each message. */
let latencies = []

function take(socket, length) {
  const time = now()
  for (let at = 0; at < length; at++) {
    if (bytes[at] === TEXT && bytes[at + 1] === PING_LENGTH) socket.write(PONG)
    if (bytes[at] !== MARK) continue
    latencies.push(time - sentAt(bytes, length, at))
    at += TAIL
  }
}

function open(port, user) {
  return new Promise((resolve, reject) => {
    let greeting = ''
    let isGreeted = false
    const greet = (text) => {
      // socket.io's handshake: it wants an answer.
      if (text.includes('0{"sid"') && !text.includes('40{"sid"')) socket.write(JOIN)
      greeting += text
      if (!/^HTTP\/1\.1 (101|200) /.test(greeting)) return reject(new Error(greeting))
      isGreeted = isOpen(greeting)
      if (!isGreeted) return
      greeting = ''
      resolve()
    }
    const callback = (length) => {
      if (isGreeted) take(socket, length)
      else greet(bytes.latin1Slice(0, length))
      return true
    }
    const socket = connect({ port, host: '127.0.0.1', onread: { buffer: bytes, callback } })
    socket.on('error', reject)
    socket.on('end', () => reject(new Error('The server has ended a connection.')))
    socket.write(`GET ${pathOf(user)} HTTP/1.1\r\nHost: bench\r\n${headers}\r\n`)
  })
}

const quantile = (sorted, part) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]

answerParent({
  /** So many users, spread evenly over these ports. */
  async connect(ports, count) {
    for (let user = 0; user < count; ) {
      const wave = Math.min(AT_ONCE, count - user)
      await Promise.all(Array.from({ length: wave }, () => open(ports[user % ports.length], user++)))
    }
  },

  /** Messages that came since the last `latency`. */
  count: () => latencies.length,

  /** ms, of what came since it was asked last. */
  latency() {
    const sorted = Float64Array.from(latencies).sort()
    latencies = []
    return { p50: quantile(sorted, 0.5) / 1000, p99: quantile(sorted, 0.99) / 1000 }
  },
})
