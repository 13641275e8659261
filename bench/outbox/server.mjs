/** The process of one server: `node server.mjs <client>`. It serves the page, and takes what that client sends. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import { fileURLToPath } from 'node:url'
import express from 'express'
import { createSse } from '../../dist/server.js'
import { answerParent } from '../child.mjs'

/** What the handlers have done: the numbers that came, by path. */
let effects = {}
let requests = 0

/** The handler, the same for all. */
function handle(path, { n }) {
  effects[path] ??= []
  effects[path].push(n)
  return { n }
}

function count(_req, _res, next) {
  requests++
  next()
}

/** As a server that announces no batches. */
function withoutBatches(_req, res, next) {
  const { write } = res
  res.write = (bytes, ...rest) => write.call(res, String(bytes).replace(/,"batch":\{[^}]*\}/, ''), ...rest)
  next()
}

function tabwire(app, ...before) {
  const sse = createSse({
    getUser: () => ({ id: 1 }),
    onMessage: (path, _connection, body) => handle(path, body),
  })
  app.post(['/sse/connect/message/*path', '/sse/connect/batch.do'], count)
  app.use('/sse', ...before, sse.router)
}

const SERVERS = {
  tabwire: (app) => tabwire(app),
  'tabwire, kept': (app) => tabwire(app),
  'tabwire, no batches': (app) => tabwire(app, withoutBatches),
  fetch(app) {
    app.post('/messages/:path', count, express.json(), (req, res) =>
      res.json(handle(req.params.path, req.body)),
    )
  },
  async 'socket.io'(_app, server) {
    const { Server } = await import('socket.io')
    const io = new Server(server, { transports: ['websocket'] })
    io.on('connection', (socket) => {
      socket.on('message', (path, body, answer) => {
        requests++
        answer(handle(path, body))
      })
    })
  },
}

const app = express()
const server = createServer(app)
await SERVERS[process.argv[2]](app, server)
app.get('/page', (_req, res) =>
  res.send('<!doctype html><link rel="icon" href="data:,"><script type="module" src="/page.mjs"></script>'),
)
app.get('/page.mjs', (_req, res) => res.sendFile(fileURLToPath(new URL('page.mjs', import.meta.url))))
await once(server.listen(0, '127.0.0.1'), 'listening')

answerParent({
  port: () => server.address().port,

  /** What came since the last time: how many requests, how often the handler ran, and whether in order on each path. */
  effects() {
    const came = Object.values(effects)
    const isOrdered = came.every((numbers) => numbers.every((n, at) => at === 0 || n > numbers[at - 1]))
    const told = { requests, handled: came.reduce((sum, { length }) => sum + length, 0), isOrdered }
    effects = {}
    requests = 0
    return told
  },
})
