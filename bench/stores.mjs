/**
 * What the stores cost, memory beside SQLite: calls a second, and CPU µs of each. One after the other, in one process.
 * `node bench/stores.mjs [times]`
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { memoryStore } from '../dist/memory.js'
import { sqliteStore } from '../dist/sqlite.js'

const TIMES = Number(process.argv[2] ?? 20_000)
const USERS = 1000
const DATA = JSON.stringify({ text: 'x'.repeat(100) })

const draftOf = (n) => ({
  topics: [`user:${n % USERS}`],
  name: 'news',
  data: DATA,
  listening: false,
  key: '',
})
const topicsOf = (n) => ['all', `user:${n % USERS}`, 'instance:x']
const MINUTE = 60_000

/** What is measured: each makes, for one store, what is called with the number of the round. */
const JOBS = {
  append: (store) => (n) => store.append('bench', draftOf(n)),
  async 'append, and read it'(store) {
    let { epoch, head } = await store.read('bench', ['all'])
    store.join('bench', {
      receive({ seq }) {
        head = seq - 1
        return 1
      },
    })
    return async (n) => {
      await store.append('bench', draftOf(n))
      const { entries } = await store.read('bench', topicsOf(n), { epoch, seq: head })
      if (entries.length !== 1) throw new Error(`${entries.length} events instead of 1`)
    }
  },
  'hold and acknowledge': (store) => async (n) => {
    const now = Date.now()
    const message = { message: `m${n}`, createTime: now, expiryTime: now + MINUTE, recipients: [] }
    await store.hold('bench', { ...draftOf(n), ...message })
    await store.acknowledge('bench', `m${n}`, topicsOf(n))
  },
  'claim and remember': (store) => async (n) => {
    const claim = { owner: `o${n % USERS}`, holder: 'h', fingerprint: 'f'.repeat(64) }
    await store.claim('bench', `k${n}`, claim, MINUTE)
    await store.remember('bench', `k${n}`, claim, DATA)
  },
}

async function measure(store, job) {
  const run = await job(store)
  const [started, before] = [performance.now(), process.cpuUsage()]
  for (let n = 0; n < TIMES; n++) await run(n)
  const { user, system } = process.cpuUsage(before)
  return { perSecond: (TIMES / (performance.now() - started)) * 1000, cpu: (user + system) / TIMES }
}

const folder = mkdtempSync(join(tmpdir(), 'tabwire-bench-'))
const row = (name, ...cells) =>
  console.log(`${name.padEnd(24)}${cells.map((cell) => cell.padStart(10)).join('')}`)
const round = (number) => Math.round(number).toLocaleString('en')

console.log(`${TIMES} times each; a second, and CPU µs for one`)
row('', 'memory', 'µs', 'SQLite', 'µs')
for (const [name, job] of Object.entries(JOBS)) {
  const file = sqliteStore(join(folder, `${name}.db`))
  const cells = []
  for (const store of [memoryStore(), file]) {
    const { perSecond, cpu } = await measure(store, job)
    cells.push(round(perSecond), cpu.toFixed(1))
  }
  file.close()
  row(name, ...cells)
}
rmSync(folder, { recursive: true })
