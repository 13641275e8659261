import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { type TestContext, test } from 'node:test'
import type { PendingMessage } from 'tabwire/server'
import { type SqliteStore, type SqliteStoreOptions, sqliteStore } from 'tabwire/stores/sqlite'

const Sqlite: typeof import('better-sqlite3') = createRequire(import.meta.url)('better-sqlite3')
const ROOT = new URL('../..', import.meta.url)

const draft = { topics: ['user:1'], name: 'n', data: 'd', listening: false, key: '' }
const claimOf = (holder: string) => ({ owner: 'o', holder, fingerprint: 'f' })

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'tabwire-'))
  t.after(() => rmSync(folder, { recursive: true }))
  return folder
}

function fileOf(t: TestContext): string {
  return join(folderOf(t), 'store.db')
}

/** Open until the test ends. */
function openIn(t: TestContext, file: string, options?: SqliteStoreOptions): SqliteStore {
  const store = sqliteStore(file, options)
  t.after(() => store.close())
  return store
}

const head = `import { sqliteStore } from 'tabwire/stores/sqlite'
  const file = process.argv[1]
  `

function startProcess(script: string, file: string) {
  return spawn(process.execPath, ['--input-type=module', '-e', head + script, file], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
}

test('an option of the SQLite store that is wrong is a TypeError that names it', (t) => {
  const file = fileOf(t)
  const isNaming = (name: string) => (error: unknown) =>
    error instanceof TypeError && error.message.includes(name)
  assert.throws(() => sqliteStore(file, { maxPending: 0 }), isNaming('maxPending'))
  assert.throws(() => sqliteStore(''), isNaming('file'))
  // @ts-expect-error no path
  assert.throws(() => sqliteStore(), isNaming('file'))
})

test('a file that cannot be used is told by its name, and why', (t) => {
  const folder = folderOf(t)
  const isTelling = (file: string, why: RegExp) => (error: unknown) =>
    error instanceof Error && error.message.includes(file) && why.test(error.message)
  const throws = (file: string, why: RegExp) => assert.throws(() => sqliteStore(file), isTelling(file, why))

  throws(join(folder, 'no', 'folder', 'store.db'), /directory does not exist/)
  throws(folder, /unable to open/)
  const text = join(folder, 'text')
  writeFileSync(text, 'This is a text of some length, and nothing of SQLite.\n'.repeat(99))
  throws(text, /not a database/)
  const other = join(folder, 'other.db')
  new Sqlite(other).exec('CREATE TABLE other (x)').close()
  throws(other, /something else/)
  const newer = join(folder, 'newer.db')
  sqliteStore(newer).close()
  const db = new Sqlite(newer)
  db.pragma('user_version = 99')
  db.close()
  throws(newer, /newer version/)
})

test('a second store on a file is refused, in this process and in another, and nothing is harmed', async (t) => {
  const file = fileOf(t)
  const store = openIn(t, file)
  assert.throws(() => sqliteStore(file), /another process has it open/)
  const child = startProcess(
    `try { sqliteStore(file) } catch (error) { process.stdout.write(error.message) }`,
    file,
  )
  const [text] = await once(child.stdout, 'data')
  assert.match(String(text), /another process has it open/)
  assert.equal(await store.append('hr', draft), 0)
  store.close()
  openIn(t, file)
})

test('without better-sqlite3 the error says how to install it', (t) => {
  const folder = folderOf(t)
  const copy = join(folder, 'sqlite.mjs')
  const script = `
    import { cpSync } from 'node:fs'
    cpSync(new URL('dist', 'file://' + process.cwd() + '/'), ${JSON.stringify(folder)}, { recursive: true })
    const { sqliteStore } = await import(${JSON.stringify(join(folder, 'sqlite.js'))})
    try { sqliteStore(${JSON.stringify(copy)}) } catch (error) { console.log(error.message) }`
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    cwd: ROOT,
    encoding: 'utf8',
  })
  assert.match(stdout, /npm install better-sqlite3/, stderr)
})

test('a number is never used again, though all events are gone and the file was closed', async (t) => {
  const file = fileOf(t)
  const seqs: number[] = []
  const epochs = new Set<string>()
  for (let n = 0; n < 3; n++) {
    const store = openIn(t, file, { maxTotalBytes: 1 })
    store.join('hr', {
      receive({ seq, epoch }) {
        epochs.add(epoch)
        return seqs.push(seq)
      },
    })
    for (let m = 0; m < 3; m++) await store.append('hr', draft)
    store.close()
  }
  assert.deepEqual(
    seqs,
    [...new Set(seqs)].sort((a, b) => a - b),
  )
  assert.equal(seqs.length, 9)
  assert.equal(epochs.size, 1)
})

test('a client that has seen an event that a power loss took is told of a gap', async (t) => {
  const file = fileOf(t)
  const store = openIn(t, file)
  await store.append('hr', draft)
  const { epoch, head } = await store.read('hr', ['user:1'])
  store.close()
  const after = openIn(t, file)
  const lost = { epoch, seq: head + 3 }
  assert.equal((await after.read('hr', ['user:1'], lost)).gap, 'epoch')
  for (let n = 0; n < 5; n++) await after.append('hr', draft)
  assert.equal(
    (await after.read('hr', ['user:1'], lost)).entries.length,
    5,
    'none has a number that it knows',
  )
})

test('numbers jump at each start, also before the first event: a power loss may have taken those that clients saw', async (t) => {
  const file = fileOf(t)
  openIn(t, file).close()
  const store = openIn(t, file)
  await store.append('hr', draft)
  assert.ok((await store.read('hr', ['user:1'])).head > 1_000_000)
})

test('a claim ends with its process: nobody has to wait for the dead', async (t) => {
  const file = fileOf(t)
  const store = openIn(t, file)
  await store.claim('hr', 'k', claimOf('dead'), 1000)
  store.close()
  const next = openIn(t, file)
  assert.equal(await next.claim('hr', 'k', claimOf('next'), 1000), undefined)
})

/** Says what it has done when it is done, until it is killed. */
const WRITER = `
  import { writeSync } from 'node:fs'
  const store = sqliteStore(file)
  const run = process.pid + '-' + Date.now()
  const draft = (data) => ({ topics: ['user:1'], name: 'n', data, listening: false, key: '' })
  for (let n = 0; ; n++) {
    const id = run + '-' + n
    const message = { ...draft(id), message: id, createTime: 0, expiryTime: 1e15, recipients: [] }
    await store.append('hr', draft(id))
    await store.hold('hr', message)
    if (n % 2) await store.acknowledge('hr', id, ['user:1'])
    await store.remember('hr', id, { owner: 'o', holder: 'h', fingerprint: 'f' }, id)
    await store.setDuration('hr', 'user:' + id, n)
    writeSync(1, id + '\\n')
  }`

test('what was done is there when the process is killed amid its writes, again and again', async (t) => {
  const file = fileOf(t)
  const done: string[] = []
  for (let round = 1; round <= 5; round++) {
    const child = startProcess(WRITER, file)
    let left = 50 * round
    for await (const line of createInterface(child.stdout)) {
      done.push(line)
      if (--left === 0) child.kill('SIGKILL')
    }
    await checkAll(round)
  }

  async function checkAll(round: number): Promise<void> {
    const store = openIn(t, file)
    const { epoch } = await store.read('hr', [])
    const { entries } = await store.read('hr', ['user:1'], { epoch, seq: 0 })
    // The last of each round may have been done without a word.
    const data = new Set(entries.map((entry) => entry.data))
    assert.deepEqual(
      done.filter((id) => !data.has(id)),
      [],
      'not lost',
    )
    assert.ok(entries.length <= done.length + round, `${entries.length} of ${done.length}`)
    const waiting = (await store.pending('hr', ['user:1'])).map((message: PendingMessage) => message.message)
    const isOdd = (id: string) => Number(id.split('-')[2]) % 2 === 1
    const known = new Set(done)
    assert.deepEqual(
      waiting.filter((id) => known.has(id)),
      done.filter((id) => !isOdd(id)),
    )
    for (const id of done.slice(-50))
      assert.equal((await store.claim('hr', id, claimOf('other'), 1))?.answer, id)
    const [last = ''] = done.slice(-1)
    assert.equal(await store.takeDuration('hr', [`user:${last}`]), Number(last.split('-')[2]))
    store.close()
  }
})
