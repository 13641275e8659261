/**
 * better-sqlite3 is an optional peer: who has no use for it installs nothing that has to be compiled. So that the tests
 * have it, it is compiled into a cache of its own; `npm install` removes the link to it, but not what was compiled.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

const NAME = 'better-sqlite3'
const CACHE = resolve('.cache', NAME)

const { peerDependencies } = JSON.parse(readFileSync('package.json', 'utf8'))
export const betterSqlite3 = `${NAME}@${peerDependencies[NAME]}`

/** Whether it can be used: it is loaded in another process, because what failed once fails for ever. */
export function findBetterSqlite3() {
  return opens() || (link() && opens())
}

function opens() {
  const script = `new (require('${NAME}'))(':memory:').close()`
  return spawnSync(process.execPath, ['-e', script], { stdio: 'ignore' }).status === 0
}

function link() {
  const path = join('node_modules', NAME)
  rmSync(path, { recursive: true, force: true })
  // `junction`: on Windows anybody may make one.
  symlinkSync(join(CACHE, 'node_modules', NAME), path, 'junction')
  return true
}

/** @returns whether it can be used now. */
export function installBetterSqlite3() {
  rmSync(CACHE, { recursive: true, force: true })
  mkdirSync(CACHE, { recursive: true })
  writeFileSync(join(CACHE, 'package.json'), '{ "private": true }\n')
  // `shell`: npm is a script on Windows.
  const install = `npm install --no-audit --no-fund --loglevel error "${betterSqlite3}"`
  const { status, stdout, stderr } = spawnSync(install, { cwd: CACHE, encoding: 'utf8', shell: true })
  if (status !== 0) console.error(stdout + stderr)
  return status === 0 && findBetterSqlite3()
}
