/** Pages that measure themselves, one after the other, each with a server process of its own. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import { fileURLToPath } from 'node:url'
import { startChild } from '../child.mjs'
import { startChromium } from '../chromium.mjs'
import { cpuOf } from '../procfs.mjs'

/** ms after which a page counts as one that never ends. */
const PATIENCE = 150_000
const SERVER = fileURLToPath(new URL('server.mjs', import.meta.url))

/** Where the pages tell how far they are. */
async function startDesk() {
  let onTold = () => {}
  const server = createServer(async (request, response) => {
    let text = ''
    for await (const piece of request) text += piece
    await onTold(request.url.slice(1), text)
    response.end()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    origin: `http://127.0.0.1:${server.address().port}`,
    /** `steps`: called when the page tells of them; it goes on when they have ended. */
    hear(steps) {
      onTold = (what, text) => steps[what](text)
    },
    close() {
      server.closeAllConnections()
      server.close()
    },
  }
}

export async function startRuns() {
  const [desk, chromium] = [await startDesk(), await startChromium()]

  /**
   * @param run `client`, `way`, `count`, `warmUp`, and `drain` to send all while the tab is hidden
   * @param line puts something between the page and that port; gives its port and `close`
   * @returns `ms` of the page, `cpu` of the server (µs), and its `effects`
   */
  async function measure(run, line = async (port) => ({ port, close() {} })) {
    const server = await startChild(SERVER, [run.client])
    const path = await line(await server.ask('port'))
    // The browser would take an & for its own.
    const query = Buffer.from(JSON.stringify({ ...run, to: desk.origin })).toString('base64')
    let cpu
    let curtain
    const ended = new Promise((resolve, reject) => {
      setTimeout(() => reject(new Error(`${run.client}, ${run.way}: no end`)), PATIENCE).unref()
      desk.hear({
        hide() {
          curtain = chromium.open('about:blank')
        },
        async begin() {
          await server.ask('effects')
          cpu = cpuOf(server.pid)
          // Not before the other tab is there: as the last thing it comes to the front.
          if (curtain) void curtain.then(() => tab.show())
        },
        fail: (why) => reject(new Error(`${run.client}, ${run.way}: ${why}`)),
        end: (ms) => resolve({ ms: Number(ms), cpu: cpuOf(server.pid) - cpu }),
      })
    })
    const tab = await chromium.open(`http://127.0.0.1:${path.port}/page?${query}`)
    const measured = { ...(await ended), ...(await server.ask('effects')) }
    await (await curtain)?.close()
    await tab.close()
    await path.close()
    await server.stop()
    check(run, measured)
    return measured
  }

  return {
    measure,
    async close() {
      desk.close()
      await chromium.close()
    },
  }
}

function check({ client, way, count }, { handled, isOrdered }) {
  if (handled !== count) throw new Error(`${client}, ${way}: the handler ran ${handled} times, not ${count}.`)
  if (way !== 'parallel' && !isOrdered) throw new Error(`${client}, ${way}: not in order.`)
}
