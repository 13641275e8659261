/**
 * Makes sure that what the tests need is there: a Chromium, with a font so that pages have glyphs; an nginx to stand in
 * front, with openssl for its certificate; and better-sqlite3, with what compiles it.
 */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { betterSqlite3, findBetterSqlite3, installBetterSqlite3 } from './better-sqlite3.mjs'
import { findChromium } from './chromium.mjs'
import { findExecutable } from './executable.mjs'
import { findRedis } from './redis-server.mjs'

/** What to look for, what it answers to when it works, and the packages of Debian that bring it. */
const NEEDS = [
  ['Chromium', findChromium, '--version', ['chromium', 'fonts-dejavu-core'], ' or set CHROMIUM_PATH'],
  ['nginx', () => findExecutable('nginx'), '-v', ['nginx'], ''],
  ['Redis', findRedis, '--version', ['redis-server'], ''],
  ['openssl', () => findExecutable('openssl'), 'version', ['openssl'], ''],
]
/** The same, for where no compiled better-sqlite3 is to be had. */
const COMPILERS = ['python3', 'make', 'g++'].map((name) => [
  name,
  () => findExecutable(name),
  '--version',
  [name],
  '',
])

/** apt's own output is of interest only when it failed. */
function apt(...args) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const { status, stderr } = spawnSync('apt-get', ['-qq', ...args], {
    env,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  if (status !== 0) process.stderr.write(stderr ?? '')
  return status === 0
}

const isMissing = ([, find]) => !find()

/** Ubuntu's Chromium is an empty shell around a snap, so being there is not enough after an installation. */
const works = ([, find, flag]) => {
  const command = find()
  return command !== undefined && spawnSync(command, [flag], { stdio: 'ignore' }).status === 0
}

function install(needs) {
  if (process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) return
  const packages = needs.flatMap(([, , , names]) => names)
  console.log(`Installing ${packages.join(', ')} for the tests …`)
  if (apt('update')) apt('install', '-y', '--no-install-recommends', ...packages)
}

const hasSqlite = findBetterSqlite3()
const missing = [...NEEDS, ...(hasSqlite ? [] : COMPILERS)].filter(isMissing)
if (missing.length > 0) install(missing)
for (const need of missing.filter((need) => !works(need))) {
  const [name, , , packages, or] = need
  console.error(`The tests need ${name}: install it (Debian: apt-get install ${packages.join(' ')})${or}.`)
  process.exitCode = 1
}
if (!hasSqlite) {
  console.log(
    `Installing ${betterSqlite3} for the tests: where it has to be compiled, that takes a minute or two …`,
  )
  if (!installBetterSqlite3()) {
    console.error(`The tests need ${betterSqlite3}: npm install --no-save "${betterSqlite3}"`)
    process.exitCode = 1
  }
}
