/** A server of the tests in a process of its own, that can die as a process does (SIGKILL). */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { pageUrl, type Service } from './app'
import type { Call, Reply } from './calls'

type Method<Api> = {
  [Name in keyof Api]: Api[Name] extends (...args: never[]) => unknown ? Name : never
}[keyof Api & string]

export interface ServerProcess<Api = Service> {
  readonly origin: string
  readonly port: number
  page(user: string | number, options?: Record<string, unknown>): string
  /**
   * Calls a method of the service over there. Arguments and answer travel as JSON: `call('sendByUserId', 7, 'test', 1)`.
   * Rejects if the process ends before.
   */
  call(method: Method<Api>, ...args: unknown[]): Promise<unknown>
  /** SIGKILL: no goodbye to anybody. */
  kill(): Promise<void>
  /** A new process on the same port. */
  restart(): Promise<void>
  close(): Promise<void>
}

/** What runs there. */
export interface Program {
  /** It ends with `answerCalls`. Default: the server of the tests. */
  readonly path?: string
  readonly args?: readonly string[]
  /** Another process is always ready to take the place of this one: a start takes a second. */
  readonly hasSpare?: boolean
}

const CHILD = fileURLToPath(new URL('server-child.ts', import.meta.url))

class ForkedServer<Api> implements ServerProcess<Api> {
  port = 0
  readonly #program: Program
  #child: ChildProcess | undefined
  #spare: ChildProcess | undefined
  #calls = 0

  constructor(program: Program) {
    this.#program = program
  }

  get origin(): string {
    return `http://127.0.0.1:${this.port}`
  }

  page(user: string | number, options?: Record<string, unknown>): string {
    return pageUrl(this.origin, user, options)
  }

  async restart(): Promise<void> {
    await this.kill()
    const child = this.#spare ?? this.#fork()
    this.#child = child
    this.#spare = this.#program.hasSpare ? this.#fork() : undefined
    child.send(this.port)
    const [port] = await Promise.race([
      once(child, 'message'),
      once(child, 'exit').then(([code]) => Promise.reject(new Error(`The server ended with code ${code}.`))),
    ])
    this.port = port
  }

  async call(method: Method<Api>, ...args: unknown[]): Promise<unknown> {
    const child = this.#child
    if (!child || isOver(child)) throw new Error('The server is not running.')
    const id = ++this.#calls
    const replied = new Promise<Reply>((resolve) => {
      const end = (reply: Reply): void => {
        child.off('message', onMessage).off('exit', onExit)
        resolve(reply)
      }
      const onMessage = (reply: Reply): unknown => reply.id === id && end(reply)
      const onExit = (): void => end({ id, error: 'The server has died.' })
      child.on('message', onMessage).on('exit', onExit)
    })
    child.send({ id, method, args } satisfies Call)
    const { error, value } = await replied
    if (error) throw new Error(error)
    return value
  }

  async kill(): Promise<void> {
    await end(this.#child)
    this.#child = undefined
  }

  async close(): Promise<void> {
    await this.kill()
    await end(this.#spare)
  }

  #fork(): ChildProcess {
    const { path = CHILD, args } = this.#program
    return fork(path, args, { execArgv: ['--import', 'tsx'] })
  }
}

async function end(child: ChildProcess | undefined): Promise<void> {
  if (!child || isOver(child)) return
  const ended = once(child, 'exit')
  child.kill('SIGKILL')
  await ended
}

const isOver = ({ exitCode, signalCode }: ChildProcess): boolean => exitCode !== null || signalCode !== null

export async function startServerProcess<Api = Service>(program: Program = {}): Promise<ServerProcess<Api>> {
  const server = new ForkedServer<Api>(program)
  await server.restart()
  return server
}
