/**
 * A large file over a line that breaks: how many bytes go over it beside the file's own, and what memory that takes.
 * `node --import tsx bench/upload.mjs [megabytes]`
 */
import { createHash, randomBytes } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import { startBrowser } from '../e2e/browser.ts'
import { startProxy } from '../e2e/proxy.ts'
import { startChild } from './child.mjs'
import { printRow } from './figures.mjs'
import { cpuOf, hasProcfs } from './procfs.mjs'
import { watchMemory } from './upload/watch.mjs'

const SIZE = Number(process.argv[2] ?? 200) * 1e6
const SERVER = fileURLToPath(new URL('upload/server.mjs', import.meta.url))
/** ms between two looks at how much has gone over the line. */
const LOOK = 2

const RUNS = [
  { name: 'no cut', cuts: 0 },
  // A cut would begin it anew.
  { name: 'no cut, one request', cuts: 0, isWhole: true },
  { name: '10 cuts', cuts: 10 },
  { name: 'kept, a cut and a reload', cuts: 1, isReloaded: true },
]

/** @returns its SHA-256. */
async function makeFile(path) {
  const hash = createHash('sha256')
  function* pieces() {
    for (let left = SIZE; left > 0; left -= 1e6) {
      const piece = randomBytes(Math.min(left, 1e6))
      hash.update(piece)
      yield piece
    }
  }
  await pipeline(Readable.from(pieces()), createWriteStream(path))
  return hash.digest('hex')
}

/** Does these things, each when so much of the file has gone over the line. @returns ends it; how many were done */
function doAt(proxy, points, act) {
  const from = proxy.bytes.up
  let done = 0
  const timer = setInterval(() => {
    // Where there is no line, none can be cut.
    if (proxy.connections === 0 || !(proxy.bytes.up - from >= points[done] * SIZE)) return
    act(done++)
  }, LOOK)
  return () => {
    clearInterval(timer)
    return done
  }
}

/** One in each of so many equal parts, at random. */
const randomPoints = (count) => Array.from({ length: count }, (_, n) => (n + Math.random()) / count)

/** Opens the page and gives it the file. */
async function openPage(browser, proxy, path, options) {
  const query = encodeURIComponent(JSON.stringify(options))
  const page = await browser.newPage(`${proxy.origin}/page?${query}`)
  await page.waitForFunction('window.isReady')
  const tab = await page.context().newCDPSession(page)
  const { root } = await tab.send('DOM.getDocument')
  const { nodeId } = await tab.send('DOM.querySelector', { nodeId: root.nodeId, selector: 'input' })
  await tab.send('DOM.setFileInputFiles', { nodeId, files: [path] })
  return page
}

/** The status that the upload is answered with, by the page as it is after the last reload. */
async function answerOf(page, proxy, { cuts, isReloaded }) {
  let reloaded
  const points = isReloaded ? [0.3 + Math.random() * 0.2, 0.6 + Math.random() * 0.2] : randomPoints(cuts)
  const stop = doAt(proxy, points, (at) => {
    if (at < cuts) proxy.cut()
    else reloaded = page.reload()
  })
  await page.evaluate('upload()')
  const status = await page.evaluate('answer').catch(async (error) => {
    if (!isReloaded) throw error
    await reloaded
    await page.waitForFunction('window.isReady')
    return page.evaluate('keptAnswer()')
  })
  return { status, faults: stop() }
}

async function measure(browser, file, run) {
  const folder = await mkdtemp(join(tmpdir(), 'tabwire-bench-'))
  const server = await startChild(SERVER, [folder, ...(run.isWhole ? ['whole'] : [])])
  const proxy = await startProxy(await server.ask('port'))
  const page = await openPage(browser, proxy, file.path, { persist: run.isReloaded === true })
  const endWatch = await watchMemory(server, page)
  const [bytes, cpu, since] = [proxy.bytes.up, cpuOf(server.pid), performance.now()]
  const { status, faults } = await answerOf(page, proxy, run)
  const ms = performance.now() - since
  const effects = await server.ask('effects')
  const ratio = (proxy.bytes.up - bytes) / SIZE
  const result = { ms, faults, ratio, cpu: (cpuOf(server.pid) - cpu) / 1e6, memory: endWatch() }
  await page.close()
  await proxy.close()
  await server.stop()
  await rm(folder, { recursive: true })
  if (status !== 200 || effects.length !== 1 || effects[0] !== file.hash)
    throw new Error(`${run.name}: answered with ${status}, arrived ${effects.length} times: ${effects}`)
  return { ...run, ...result }
}

function printTable(results) {
  console.log(
    `\nA file of ${SIZE / 1e6} MB, which arrived whole and once each time. CPU of the server; bytes to it / its size;`,
  )
  console.log('MB of memory (RSS) of the server and of the page’s process, and its JS heap: before → at most')
  printRow('', ['cuts etc.', 's', 'CPU s', 'bytes', 'server', 'page', 'heap'], 12, 25)
  for (const { name, faults, ms, cpu, ratio, memory } of results) {
    const range = (key) => `${memory.before[key].toFixed(0)} → ${memory.most[key].toFixed(0)}`
    const cells = [faults, (ms / 1000).toFixed(1), cpu.toFixed(1), `${ratio.toFixed(4)}×`]
    printRow(name, [...cells, range('server'), range('page'), range('heap')], 12, 25)
  }
}

async function run(folder) {
  const path = join(folder, 'file')
  const file = { path, hash: await makeFile(path) }
  const results = []
  for (const run of RUNS) {
    // A fresh one each time: what it keeps of one file must not count for the next.
    const browser = await startBrowser()
    results.push(await measure(browser, file, run).finally(() => browser.close()))
  }
  printTable(results)
  console.log(JSON.stringify({ size: SIZE, results }))
}

if (hasProcfs) {
  const folder = await mkdtemp(join(tmpdir(), 'tabwire-bench-'))
  await run(folder).finally(() => rm(folder, { recursive: true }))
} else console.log('Uploads are not measured: it needs Linux, whose /proc tells the memory of a process.')
