/**
 * The demo: two pages, one service. `npm start`, or `PORT=3000 npm start`.
 * Everything a backend needs is between the lines of stars.
 */
import { createHash, randomInt } from 'node:crypto'
import { createServer } from 'node:http'
import { fileURLToPath } from 'node:url'
import express from 'express'
import { createSse } from 'tabwire/server'

const folder = (path) => fileURLToPath(new URL(path, import.meta.url))
const PUSH_EVERY = 3000

// ***** 1. who is asking: your application knows that already; here a cookie says it *****

const FIRST = ['Amber', 'Brave', 'Calm', 'Deft', 'Eager', 'Fair', 'Gentle', 'Happy', 'Jolly', 'Kind']
const LAST = ['Otter', 'Heron', 'Lynx', 'Finch', 'Badger', 'Crane', 'Marten', 'Robin', 'Seal', 'Wren']

/** Anybody can write such a cookie. It is good for a demo; a real application asks its session. */
function demoUser(request) {
  const id = Number(/(?:^|;\s*)demo-user=(\d{1,4})(?:;|$)/.exec(request.headers.cookie ?? '')?.[1])
  if (!id) return null
  return { id, name: `${FIRST[id % 10]} ${LAST[Math.floor(id / 10) % 10]}` }
}

/** A page that is opened for the first time makes its visitor a user. */
function welcome(request, response, next) {
  if (!demoUser(request))
    response.cookie('demo-user', randomInt(1, 10_000), { httpOnly: true, sameSite: 'lax' })
  next()
}

// ***** 2. the service *****

const demo = createSse({
  name: 'demo',
  getUser: demoUser,
  uploadLimit: 1024 ** 3,
  // Who may see /sse/demo/monitor. A real application asks for a role; here it is whoever sits at this machine.
  admin: (_user, request) => ['127.0.0.1', '::1', '::ffff:127.0.0.1'].includes(request.socket.remoteAddress),

  // sse.send(path, message) in the page arrives here; what is returned is the answer to it.
  onMessage(path, connection, message) {
    if (path === 'who') return connection.user
    if (path === 'close') {
      connection.disconnect('closed by the server, as you asked')
      return { closing: true }
    }
    connection.send('server-ack', { path, message })
    return { received: message }
  },

  // sse.upload(path, formData) arrives here.
  async onUpload(_path, _connection, _message, files) {
    return Promise.all(files.map(describe))
  },
})

/** The file lies on disk until `onUpload` is done; it may be larger than the memory. */
async function describe(file) {
  const hash = createHash('sha256')
  for await (const chunk of file.stream()) hash.update(chunk)
  return { name: file.name, type: file.type, size: file.size, sha256: hash.digest('hex') }
}

/** Everybody sees who is there, as it changes. */
async function tellWhoIsOnline() {
  const users = await demo.getUsers()
  await demo.sendAll(
    'who-is-online',
    users.map(({ id, name }) => ({ id, name })),
  )
}
demo.onConnect(tellWhoIsOnline)
demo.onDisconnect(tellWhoIsOnline)

let pushes = 0
setInterval(() => {
  pushes++
  // Who is not looking at the page right now gets it on coming back.
  demo.sendAll('server-push', { number: pushes, serverTime: new Date().toISOString() })
}, PUSH_EVERY)

// ***** that is all; what follows serves the pages *****

const app = express()
app.use('/sse/demo', demo.router)
app.use(welcome)
app.get('/vue.js', (_request, response) => {
  response.sendFile(fileURLToPath(import.meta.resolve('vue/dist/vue.esm-browser.prod.js')))
})
app.use('/vue', express.static(folder('../vue')))
app.use('/', express.static(folder('.'), { index: 'index.html' }))

const server = createServer(app).listen(Number(process.env.PORT ?? 8080), () => {
  console.log(`The demo is at http://localhost:${server.address().port}/ (Ctrl+C ends it)`)
})
server.on('error', (error) => {
  console.error(error.code === 'EADDRINUSE' ? `Port ${error.port} is taken: PORT=8081 npm start` : error)
  process.exit(1)
})
