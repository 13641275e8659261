/**
 * Runs the tests: `node --import tsx scripts/test.mjs [client] [server] [e2e] [path/of.test.ts]`.
 * The last line it prints is `N passed, N failed`.
 */
import { existsSync, readdirSync } from 'node:fs'
import { join, resolve, sep } from 'node:path'
import { Readable } from 'node:stream'
import { finished } from 'node:stream/promises'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'

const FOLDERS = ['client', 'server', 'e2e']
/** A file that hangs, or that leaves a handle open and so never ends, counts as failed after this time. */
const FILE_TIMEOUT = 10 * 60_000

const testFiles = (folder) =>
  existsSync(folder)
    ? readdirSync(folder)
        .filter((name) => name.endsWith('.test.ts'))
        .sort()
        .map((name) => join(folder, name))
    : []

const asked = process.argv.slice(2)
const files = (asked.length ? asked : FOLDERS)
  .flatMap((name) => (name.endsWith('.ts') ? [name] : [...testFiles(name), ...testFiles(join(name, 'test'))]))
  .map((file) => resolve(file))

const count = { passed: 0, failed: 0, skipped: 0 }
/** node:test reports a file without tests, or one that crashed, as if it were a test of that name. */
const isFile = ({ name }) => files.includes(resolve(name))
const isSuite = ({ details }) => details.type === 'suite'
const isSkipped = ({ skip, todo }) => skip !== undefined || todo !== undefined

function onPass(test) {
  if (isFile(test) || isSuite(test)) return
  count[isSkipped(test) ? 'skipped' : 'passed']++
}

function onFail(test) {
  if (isSkipped(test)) return void count.skipped++
  // What fails only because of the tests in it would be counted twice. A suite fails by itself in a hook, a file when it crashes.
  if (test.details.error?.failureType !== 'subtestsFailed') count.failed++
}

/** It waits for most of its time, and what must be true in it is true on a busy machine, too. */
const LONG = resolve('e2e', 'chaos.test.ts')
/** Browsers, and faults at exact moments, want the machine for themselves. */
const needsAll = (file) => file.startsWith(resolve('e2e') + sep)

async function* runAll() {
  // First, so that nothing waits for it at the end.
  const long = files.filter((file) => file === LONG)
  const others = files.filter((file) => file !== LONG)
  const groups = [
    { files: [...long, ...others.filter((file) => !needsAll(file))], concurrency: 2 },
    { files: others.filter(needsAll), concurrency: 1 },
  ]
  for (const group of groups) {
    if (group.files.length === 0) continue
    // The children inherit this process' `--import tsx`.
    const tests = run({ ...group, timeout: FILE_TIMEOUT })
    tests.on('test:pass', onPass).on('test:fail', onFail)
    yield* tests
  }
}

const started = performance.now()
const report = Readable.from(runAll()).compose(spec)
report.pipe(process.stdout, { end: false })
await finished(report, { writable: false })
const seconds = ((performance.now() - started) / 1000).toFixed(1)

if (count.passed + count.failed === 0) {
  console.error(`No test ran (looked in ${(asked.length ? asked : FOLDERS).join(', ')}).`)
  count.failed = 1
}
process.exitCode = count.failed ? 1 : 0
const skipped = count.skipped ? `, ${count.skipped} skipped` : ''
console.log(`${files.length} files in ${seconds} s${skipped}`)
console.log(`${count.passed} passed, ${count.failed} failed`)
