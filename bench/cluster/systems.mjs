/**
 * The clusters that are measured, each as its own documentation says, with ioredis and one Redis. `startNode(url, server)`
 * makes a node of a plain `http.Server`; `startSender(url)` answers with `send(user, message)` of a process that has no
 * connections; `pathOf(user)` is what a client asks for.
 */
import { Redis } from 'ioredis'

const NAME = 'bench'
const EVENT = 'tick'

async function storeAt(url) {
  const { redisStore } = await import('../../dist/redis.js')
  return redisStore(url)
}

const tabwire = {
  pathOf: (user) =>
    `/sse/connect?user=${user}&clientId=browser-${user}&clientInstanceId=page-${user}&listeners=${EVENT}`,

  async startNode(url, server) {
    const { default: express } = await import('express')
    const { createSse } = await import('../../dist/server.js')
    const getUser = ({ query }) => ({ id: query.user })
    const sse = createSse({ name: NAME, store: await storeAt(url), keepaliveTime: 0, getUser })
    server.on('request', express().use('/sse', sse.router))
  },

  async startSender(url) {
    const { createPublisher } = await import('../../dist/server.js')
    const publisher = createPublisher({ name: NAME, store: await storeAt(url) })
    return (user, message) => publisher.sendByUserId(user, EVENT, message)
  },
}

async function socketIoServer(url, server) {
  const { Server } = await import('socket.io')
  const { createAdapter } = await import('@socket.io/redis-streams-adapter')
  const adapter = createAdapter(new Redis(url))
  return new Server(server, { adapter, transports: ['websocket'], serveClient: false })
}

const roomOf = (user) => `user:${user}`

const socketIo = {
  pathOf: (user) => `/socket.io/?EIO=4&transport=websocket&user=${user}`,

  async startNode(url, server) {
    const io = await socketIoServer(url, server)
    io.on('connection', (socket) => socket.join(roomOf(socket.handshake.query.user)))
  },

  /** It is not told how many have got it, so it counts as one. */
  async startSender(url) {
    const io = await socketIoServer(url)
    return (user, message) => {
      io.to(roomOf(user)).emit(EVENT, message)
      return 1
    }
  },
}

export const SYSTEMS = { tabwire, 'socket.io': socketIo }
