/**
 * One node: it serves the page and has the connections of those who opened it here.
 * By hand, a third one: `REDIS_URL=redis://… node examples/distributed/web-node.mjs C 8082`
 */
import { createServer } from 'node:http'
import { fileURLToPath } from 'node:url'
import express from 'express'
import { createSse, HttpError } from 'tabwire/server'
import { redisStore } from 'tabwire/stores/redis'
import { onEnd, tellReady } from './lifeline.mjs'

const folder = (path) => fileURLToPath(new URL(path, import.meta.url))
/** Its name, its port, and the port of the other node, which the page has a link to. */
const [node, port, otherPort] = process.argv.slice(2)

/** Anybody can say such a name. It is good for a demo; a real application asks its session. */
function guest({ query }) {
  const name = String(query.guest ?? '')
  return /^[\w ]{1,40}$/.test(name) && { id: name, name }
}

// This is all that makes it a cluster: the same `name`, the same Redis.
const store = redisStore(process.env.REDIS_URL)
const demo = createSse({
  name: 'demo',
  serverId: node,
  store,
  getUser: guest,

  onMessage(path, connection, message) {
    if (path === 'who') return whoIsOnline()
    if (path === 'say') return say(connection.userName, String(message.text).slice(0, 200))
    throw new HttpError(404, 'The demo knows no such path.')
  },
})

/** Questions are answered for all nodes. */
async function whoIsOnline() {
  const connections = await demo.getConnections()
  return {
    node,
    otherPort,
    connections: connections.map(({ userName, serverId }) => ({ name: userName, node: serverId })),
  }
}

/** What is sent goes to the pages of all nodes; the answer is to how many. */
function say(name, text) {
  return demo.sendAll('said', { name, text, node })
}

// Each node hears of its own connections, and of those of a node that has died. All pages ask anew.
demo.onConnect(() => demo.sendAll('who-changed'))
demo.onDisconnect(() => demo.sendAll('who-changed'))

const app = express()
app.use('/sse/demo', demo.router)
app.use('/single', express.static(folder('../single'), { index: false }))
app.use('/', express.static(folder('.'), { index: 'page.html' }))

const server = createServer(app).listen(Number(port), () => {
  tellReady({ at: `http://localhost:${server.address().port}/` })
})
server.on('error', (error) => {
  const hint = `Port ${port} is taken: PORT_A=3000 PORT_B=3001 npm run start:cluster`
  console.error(error.code === 'EADDRINUSE' ? hint : error)
  process.exit(1)
})

onEnd(async () => {
  server.close()
  // The pages are told to come back at once, elsewhere if something in front of the nodes leads them there.
  await demo.close()
  store.close()
})
