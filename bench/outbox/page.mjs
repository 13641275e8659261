/** Runs in the page: sends as the query says, and tells the bench (`to`) when it begins, and how long it took. */
const { to, client, way, count, warmUp, drain: isDrain } = JSON.parse(atob(location.search.slice(1)))

const tell = (what, value) => fetch(`${to}/${what}`, { method: 'POST', mode: 'no-cors', body: String(value) })

addEventListener('error', ({ message }) => tell('fail', message))
addEventListener('unhandledrejection', ({ reason }) => tell('fail', reason))

const until = async (probe) => {
  while (!probe()) await new Promise((resolve) => setTimeout(resolve, 10))
}
const isVisible = () => document.visibilityState === 'visible'

let sse
/** Each makes `send(path, body)`, which resolves with what the server's handler has answered. */
const CLIENTS = {
  async tabwire(options) {
    const { default: Sse } = await import('/sse')
    sse = new Sse({ url: '/sse', maxQueued: 1e6, ...options })
    await until(() => sse.state === 1)
    return async (path, body) => (await (await sse.send(path, body)).json()).data
  },
  'tabwire, kept': () => CLIENTS.tabwire({ persist: true }),
  'tabwire, no batches': () => CLIENTS.tabwire(),
  async fetch() {
    const headers = { 'Content-Type': 'application/json' }
    return async (path, body) =>
      (await fetch(`/messages/${path}`, { method: 'POST', headers, body: JSON.stringify(body) })).json()
  },
  async 'socket.io'() {
    const { io } = await import('/socket.io/socket.io.esm.min.js')
    const socket = io({ transports: ['websocket'] })
    await until(() => socket.connected)
    return (path, body) => socket.emitWithAck('message', path, body)
  },
}

const numbers = (count) => Array.from({ length: count }, (_, n) => n)
const atOnce = (paths) => (send, count) =>
  Promise.all(numbers(count).map((n) => send(`path${n % paths}`, { n })))
const oneByOne = async (send, count, first = 0, step = 1) => {
  for (let n = first; n < count; n += step) await send('path0', { n })
}
const WAYS = {
  each: (send, count) => oneByOne(send, count),
  'one path': atOnce(1),
  '8 paths': atOnce(8),
  '1000 paths': atOnce(1000),
  parallel: (send, count) => Promise.all(numbers(8).map((first) => oneByOne(send, count, first, 8))),
}

const send = await CLIENTS[client]()
const work = WAYS[way]
// What a page does once is not counted: loading the parts of a client, learning what is called often.
await work(send, warmUp)

async function measure() {
  await tell('begin')
  const since = performance.now()
  await work(send, count)
  await tell('end', performance.now() - since)
}

/** All is sent while the tab is hidden; what counts is the time from when it is shown. */
async function drain() {
  await tell('hide')
  await until(() => !isVisible() && sse?.state !== 1)
  const isQueued = sse !== undefined
  const sent = isQueued && work(send, count)
  await tell('begin')
  await until(isVisible)
  const since = performance.now()
  await (isQueued ? sent : work(send, count))
  await tell('end', performance.now() - since)
}

await (isDrain ? drain() : measure())
