/**
 * The servers that run in Node, each as its own documentation says. Called with a plain `http.Server`, a server answers
 * with `broadcast(message)`, which sends to all who are connected.
 */
import { once } from 'node:events'
import { createServer } from 'node:http'

const HEAD = { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache' }

/** Calls `onOpen` with each stream's response, and with `onClose` when it has ended. */
function serveStreams(server, members, memberOf) {
  server.on('request', (_request, response) => {
    response.writeHead(200, HEAD).flushHeaders()
    const member = memberOf(response)
    members.add(member)
    response.once('close', () => members.delete(member))
  })
}

async function tabwire(server) {
  const { default: express } = await import('express')
  const { createSse } = await import('../../dist/server.js')
  const sse = createSse({ getUser: (request) => ({ id: request.query.user }) })
  server.on('request', express().use('/sse', sse.router))
  return (message) => void sse.sendAll('tick', message)
}

function bareHttp(server) {
  const responses = new Set()
  serveStreams(server, responses, (response) => response)
  return (message) => {
    const event = `data: ${JSON.stringify(message)}\n\n`
    for (const response of responses) response.write(event)
  }
}

/** One buffer for all, with the size of its chunk before it, past the response: what is left is Node's socket. */
function preFramed(server) {
  const sockets = new Set()
  serveStreams(server, sockets, (response) => response.socket)
  return (message) => {
    const event = `data: ${JSON.stringify(message)}\n\n`
    const chunk = Buffer.from(`${Buffer.byteLength(event).toString(16)}\r\n${event}\r\n`)
    for (const socket of sockets) socket.write(chunk)
  }
}

async function betterSse(server) {
  const { createChannel, createSession } = await import('better-sse')
  const channel = createChannel()
  server.on('request', async (request, response) => channel.register(await createSession(request, response)))
  return (message) => channel.broadcast(message, 'tick')
}

async function socketIo(server) {
  const { Server } = await import('socket.io')
  const io = new Server(server, { transports: ['websocket'], serveClient: false })
  return (message) => io.emit('tick', message)
}

async function ws(server) {
  const { WebSocketServer } = await import('ws')
  const { clients } = new WebSocketServer({ server })
  return (message) => {
    const text = JSON.stringify(message)
    for (const client of clients) client.send(text)
  }
}

const STARTS = {
  tabwire,
  'bare http': bareHttp,
  'pre-framed': preFramed,
  'better-sse': betterSse,
  'socket.io': socketIo,
  ws,
}
export const NODE_SERVERS = Object.keys(STARTS)

/** @returns the port and `broadcast`. */
export async function startServer(name) {
  const server = createServer()
  const broadcast = await STARTS[name](server)
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return { port: server.address().port, broadcast }
}
