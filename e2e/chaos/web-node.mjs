/** One web node of the chaos. It gets the address of Redis and its port, and prints `ready`. */
import express from 'express'
import { createSse } from 'tabwire/server'
import { redisStore } from 'tabwire/stores/redis'

const [redisUrl, port] = process.argv.slice(2)
const sse = createSse({
  name: 'chaos',
  store: redisStore(redisUrl),
  getUser: ({ query }) => ({ id: Number(query.user) }),
  // Redis goes away all the time; what that does to clients is what is looked at.
  onError: () => {},
})
const app = express().use('/sse/chaos', sse.router)
app.listen(Number(port), '127.0.0.1', () => process.send('ready'))
