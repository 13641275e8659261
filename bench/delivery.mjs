/**
 * Delivery in the page: the time from the first to the last of many events, beside a native EventSource.
 * Fresh tabs, in random order; what is compared is the medians of one run. `node bench/delivery.mjs [rounds]`
 */
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { startChromium } from './chromium.mjs'
import { median, shuffled } from './figures.mjs'

const ROUNDS = Number(process.argv[2] ?? 7)
const LOADS = {
  small: { count: 200_000, data: (n) => `{"n":${n}}` },
  large: { count: 5000, data: (n) => JSON.stringify({ n, text: 'x'.repeat(10_000) }) },
}
const NATIVE = 'native EventSource'
/** Each reads `/{load}/connect` and calls `onEvent` for every event. They run in the page. */
const CLIENTS = {
  [NATIVE]: `new EventSource('/' + load + '/connect').addEventListener('tick', onEvent)`,
  'tabwire, listeners only': `const { default: Sse } = await import('/sse.js')
    new Sse({ url: '/' + load, eventListeners: { tick: onEvent }, useWindowEventBus: false })`,
  'tabwire, with the window bus': `const { default: Sse } = await import('/sse.js')
    window.addEventListener('tick', onEvent)
    new Sse({ url: '/' + load, eventListeners: ['tick'] })`,
}

/** Measures itself and posts the ms; an event that is missing or out of order makes it NaN. */
const page = (load, client) => `<!doctype html><link rel="icon" href="data:,"><script type="module">
  const load = '${load}', count = ${LOADS[load].count}
  let seen = 0, first = 0, isOver = false
  function onEvent(event) {
    if (seen === 0) first = performance.now()
    if (!event.data.startsWith('{"n":' + seen)) seen = NaN
    if (++seen === count || (seen !== seen && !isOver)) { isOver = true; fetch('/result', { method: 'POST', body: String(performance.now() - first + seen * 0) }) }
  }
  ${CLIENTS[client]}
</script>`

const FINISH = `event: connect-finish\ndata: ${JSON.stringify({ connectionId: 'c', name: 'bench' })}\n\n`
const CHUNK = 64 * 1024
const bodies = Object.fromEntries(
  Object.entries(LOADS).map(([name, { count, data }]) => {
    const events = Array.from({ length: count }, (_, n) => `event: tick\ndata: ${data(n)}\n\n`)
    return [name, Buffer.from(FINISH + events.join(''))]
  }),
)

/** Written as fast as the reader takes it; the stream stays open at its end, as a stream does. */
function pour(body, response, at = 0) {
  if (at >= body.length) return
  const hasRoom = response.write(body.subarray(at, at + CHUNK))
  if (hasRoom) pour(body, response, at + CHUNK)
  else response.once('drain', () => pour(body, response, at + CHUNK))
}

let onResult
async function serve(request, response) {
  const [, action, ...rest] = decodeURIComponent(request.url.split('?')[0]).split('/')
  const send = (type, body) => response.writeHead(200, { 'Content-Type': type }).end(body)
  if (action === 'page') send('text/html', page(rest[0], rest[1]))
  else if (action === 'sse.js')
    send('text/javascript', readFileSync(new URL('../dist/sse.js', import.meta.url)))
  else if (action === 'result') {
    let text = ''
    for await (const piece of request) text += piece
    onResult(Number(text))
    send('text/plain', '')
  } else {
    response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache' })
    pour(bodies[action], response)
  }
}

const server = createServer(serve).listen(0, '127.0.0.1')
await new Promise((resolve) => server.once('listening', resolve))
const chromium = await startChromium()
const times = {}
for (let round = 0; round < ROUNDS; round++) {
  const runs = Object.keys(LOADS).flatMap((load) => Object.keys(CLIENTS).map((client) => ({ load, client })))
  for (const run of shuffled(runs)) {
    const result = new Promise((resolve) => {
      onResult = resolve
    })
    const url = `http://127.0.0.1:${server.address().port}/page/${run.load}/${encodeURIComponent(run.client)}`
    const tab = await chromium.open(url)
    const key = `${run.load} ${run.client}`
    times[key] = [...(times[key] ?? []), await result]
    await tab.close()
  }
}
await chromium.close()
server.closeAllConnections()
server.close()

for (const [load, { count }] of Object.entries(LOADS)) {
  console.log(`\n${count} ${load} events, median of ${ROUNDS} fresh tabs (fastest–slowest)`)
  const native = median(times[`${load} ${NATIVE}`])
  for (const client of Object.keys(CLIENTS)) {
    const own = times[`${load} ${client}`]
    const range = `${Math.min(...own).toFixed(0)}–${Math.max(...own).toFixed(0)}`
    const ratio = (median(own) / native).toFixed(2)
    console.log(
      `  ${client.padEnd(30)} ${median(own).toFixed(0).padStart(6)} ms (${range})  ${ratio}× native`,
    )
  }
}
