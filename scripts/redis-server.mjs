/** Starts Redis servers of our own, each in a folder of its own, on 127.0.0.1. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findExecutable } from './executable.mjs'

const HOST = '127.0.0.1'
/** ms till it answers. */
const PATIENCE = 20_000

/** @returns the path of the server, Redis' or Valkey's; `undefined` if there is none. */
export const findRedis = () => findExecutable('redis-server', 'valkey-server')

/** A port that nobody listens on. It cannot ask for one itself. */
export async function freePort() {
  const server = createServer().listen(0, HOST)
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  await once(server, 'close')
  return port
}

async function answers(port) {
  const socket = connect(port, HOST)
  try {
    await once(socket, 'connect')
    socket.write('PING\r\n')
    const [reply] = await once(socket, 'data')
    return String(reply).startsWith('+PONG')
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}

/** One server, which can be killed and started again, with what it has kept or without. */
class RedisServer {
  #args
  #folder = mkdtempSync(join(tmpdir(), 'tabwire-redis-'))
  #process

  constructor(port, args) {
    this.port = port
    this.url = `redis://${HOST}:${port}`
    this.#args = args
  }

  get pid() {
    return this.#process?.pid
  }

  async start() {
    const command = findRedis()
    if (!command)
      throw new Error('No redis-server found: install Redis (Debian: apt-get install redis-server).')
    const where = ['--port', String(this.port), '--bind', HOST, '--dir', this.#folder]
    const child = spawn(command, [...where, ...this.#args], { stdio: 'ignore' })
    this.#process = child
    const deadline = Date.now() + PATIENCE
    while (!(await answers(this.port))) {
      if (child.exitCode !== null) throw new Error(`redis-server ended with code ${child.exitCode}.`)
      if (Date.now() > deadline) throw new Error('redis-server does not answer.')
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }

  /** @param signal `SIGKILL`: it keeps what it has written so far; `SIGTERM`: it writes first, if it keeps anything. */
  async stop(signal = 'SIGKILL') {
    const child = this.#process
    this.#process = undefined
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill('SIGCONT')
    child.kill(signal)
    await ended
  }

  pause() {
    this.#process?.kill('SIGSTOP')
  }

  resume() {
    this.#process?.kill('SIGCONT')
  }

  /** What it has kept is gone; only while it is stopped. */
  forget() {
    rmSync(this.#folder, { recursive: true, force: true })
    this.#folder = mkdtempSync(join(tmpdir(), 'tabwire-redis-'))
  }

  async close() {
    await this.stop()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

const KEEPING = ['--appendonly', 'yes', '--appendfsync', 'always', '--save', '']
const FORGETFUL = ['--appendonly', 'no', '--save', '']

/** @param options `keeps`: what it is told outlives it. `args`: more of its own. */
export async function startRedis({ port, keeps = false, args = [] } = {}) {
  const server = new RedisServer(port ?? (await freePort()), [...(keeps ? KEEPING : FORGETFUL), ...args])
  await server.start()
  return server
}
