/** A server of the tests in a process of its own, that can die as a process does (SIGKILL). */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { pageUrl, type Service } from './app'

type Method = {
  [Name in keyof Service]: Service[Name] extends (...args: never[]) => unknown ? Name : never
}[keyof Service & string]

/** To the child. */
export interface Call {
  id: number
  method: Method
  args: unknown[]
}

/** From the child. */
export interface Reply {
  id: number
  value?: unknown
  error?: string
}

export interface ServerProcess {
  readonly origin: string
  readonly port: number
  page(user: string | number, options?: Record<string, unknown>): string
  /** Calls a method of the service over there. Arguments and answer travel as JSON: `call('sendByUserId', 7, 'test', 1)`. */
  call(method: Method, ...args: unknown[]): Promise<unknown>
  /** SIGKILL: no goodbye to anybody. */
  kill(): Promise<void>
  /** A new process on the same port. */
  restart(): Promise<void>
  close(): Promise<void>
}

const CHILD = fileURLToPath(new URL('server-child.ts', import.meta.url))

class ForkedServer implements ServerProcess {
  port = 0
  #child: ChildProcess | undefined
  #calls = 0

  get origin(): string {
    return `http://127.0.0.1:${this.port}`
  }

  page(user: string | number, options?: Record<string, unknown>): string {
    return pageUrl(this.origin, user, options)
  }

  async restart(): Promise<void> {
    await this.kill()
    const child = fork(CHILD, [String(this.port)], { execArgv: ['--import', 'tsx'] })
    this.#child = child
    const [port] = await Promise.race([
      once(child, 'message'),
      once(child, 'exit').then(([code]) => Promise.reject(new Error(`The server ended with code ${code}.`))),
    ])
    this.port = port
  }

  async call(method: Method, ...args: unknown[]): Promise<unknown> {
    const child = this.#child
    if (!child) throw new Error('The server is not running.')
    const id = ++this.#calls
    const replied = new Promise<Reply>((resolve) => {
      const onMessage = (reply: Reply): void => {
        if (reply.id !== id) return
        child.off('message', onMessage)
        resolve(reply)
      }
      child.on('message', onMessage)
    })
    child.send({ id, method, args } satisfies Call)
    const { error, value } = await replied
    if (error) throw new Error(error)
    return value
  }

  async kill(): Promise<void> {
    const child = this.#child
    if (!child) return
    this.#child = undefined
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
  }

  close(): Promise<void> {
    return this.kill()
  }
}

export async function startServerProcess(): Promise<ServerProcess> {
  const server = new ForkedServer()
  await server.restart()
  return server
}
