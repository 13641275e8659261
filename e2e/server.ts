import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Express, Request, RequestHandler } from 'express'
import { BASE, createApp, pageUrl, type Service, type Settings } from './app'

export interface RequestSeen {
  method: string
  /** Without the query. */
  path: string
  query: Request['query']
  /** ms since 1970 */
  at: number
}

/** A server in this process, on a free port of 127.0.0.1, that can be killed and brought back. */
export interface TestServer {
  /** `http://127.0.0.1:…` */
  readonly origin: string
  readonly port: number
  /** The service; another one after `restart`. */
  readonly sse: Service
  readonly app: Express
  /** Every request so far, also over restarts. */
  readonly requests: RequestSeen[]
  /** Handlers that get a request before the application does, e.g. to answer 503 or nothing at all. */
  readonly before: RequestHandler[]
  /** Address of the page for a user; the other parameters are options of its client. */
  page(user: string | number, options?: Record<string, unknown>): string
  /** How many requests there were to this path of the service, e.g. `/connect`: streams, and no goodbyes. */
  count(path: string): number
  /** As if the process died: every socket is cut and nobody listens any more. */
  kill(): Promise<void>
  /** The same port, and a service that knows nothing of before. */
  restart(): Promise<void>
  close(): Promise<void>
}

async function listen(app: Express, port: number): Promise<Server> {
  const server = createServer(app).listen(port, '127.0.0.1')
  await once(server, 'listening')
  return server
}

class LocalServer implements TestServer {
  readonly requests: RequestSeen[] = []
  readonly before: RequestHandler[] = []
  port: number
  #server: Server | undefined
  #current: ReturnType<typeof createApp>
  readonly #settings: () => Settings

  constructor(settings: () => Settings, port: number) {
    this.port = port
    this.#settings = settings
    this.#current = this.#create()
  }

  get app(): Express {
    return this.#current.app
  }

  get sse(): Service {
    return this.#current.sse
  }

  get origin(): string {
    return `http://127.0.0.1:${this.port}`
  }

  page(user: string | number, options?: Record<string, unknown>): string {
    return pageUrl(this.origin, user, options)
  }

  count(path: string): number {
    return this.requests.filter((request) => request.path === BASE + path).length
  }

  async kill(): Promise<void> {
    const server = this.#server
    if (!server) return
    this.#server = undefined
    const closed = once(server, 'close')
    server.close()
    server.closeAllConnections()
    await closed
  }

  async restart(): Promise<void> {
    await this.close()
    this.#current = this.#create()
    await this.start()
  }

  async start(): Promise<void> {
    this.#server = await listen(this.app, this.port)
    this.port = (this.#server.address() as AddressInfo).port
  }

  async close(): Promise<void> {
    await this.kill()
    await this.sse.close({ within: 0 })
  }

  #create(): ReturnType<typeof createApp> {
    return createApp(this.#settings(), [this.#see, this.#first])
  }

  readonly #see: RequestHandler = ({ method, path, query }, _res, next) => {
    this.requests.push({ method, path, query, at: Date.now() })
    next()
  }

  readonly #first: RequestHandler = (req, res, next) => {
    const handlers = [...this.before]
    const pass = (error?: unknown): void => {
      const handler = error ? undefined : handlers.shift()
      if (handler) handler(req, res, pass)
      else next(error)
    }
    pass()
  }
}

/**
 * @param settings options of the service, made anew for every (re)start, so that no store is shared by chance
 * @param port 0: a free one
 */
export async function startServer(settings: () => Settings = () => ({}), port = 0): Promise<TestServer> {
  const server = new LocalServer(settings, port)
  await server.start()
  return server
}
