import express, { type Express, type Request, type RequestHandler } from 'express'
import type Sse from 'tabwire'
import type { SseOptions } from 'tabwire'
import { createSse } from 'tabwire/server'

/** A user of the tests is whoever the query or the cookie says: `?user=7`. */
export interface TestUser {
  id: string
  name: string
}

export type Service = ReturnType<typeof createSse<TestUser>>
/** What a test may change of the service. */
export type Settings = Partial<Parameters<typeof createSse<TestUser>>[0]>

declare global {
  /** What the page of the tests offers to `page.evaluate`. */
  interface Window {
    /** There once `ready` has resolved. */
    sse: Sse
    ready: Promise<void>
    /** Another client beside it. */
    start(options?: Partial<SseOptions>): Promise<Sse>
    Sse: typeof Sse
    /** The events so far. `at`: ms since 1970. */
    came: { type: string; data: unknown; at: number; replayed: boolean }[]
  }
}

/** Where the service of the tests is mounted. */
export const BASE = '/sse/test'

/**
 * The page of the tests: the three lines that every front end needs, and what came to it.
 * `/page?user=7&reconnectTime=100`: all parameters but `user` become options (numbers and booleans as such).
 */
const PAGE = `<!doctype html><meta charset="utf-8"><title>page</title><link rel="icon" href="data:,">
<body><script>
  window.came = []
  const parameters = new URLSearchParams(location.search)
  const query = parameters.has('user') ? { user: parameters.get('user') } : {}
  parameters.delete('user')
  const given = Object.fromEntries([...parameters].map(([name, text]) => {
    try { return [name, JSON.parse(text)] } catch { return [name, text] }
  }))
  const names = ['connect-finish', 'connect-close', 'sse-state', 'sse-change-active', 'sse-gap', 'test']
  const record = ({ type, data, replayed }) => came.push({ type, data, at: Date.now(), replayed })
  const eventListeners = Object.fromEntries(names.map((name) => [name, record]))
  window.start = (options) => import('${BASE}').then((m) => {
    window.Sse = m.default
    return new m.default({ url: '${BASE}', eventListeners, query, ...options })
  })
  window.ready = start(given).then((sse) => { window.sse = sse })
</script></body>`

function findUser({ query: { user }, headers: { cookie = '' } }: Request): TestUser | null {
  const id = typeof user === 'string' ? user : /(?:^|;\s*)user=([^;]+)/.exec(cookie)?.[1]
  return id ? { id, name: `user ${id}` } : null
}

/** Address of the page for a user; the other parameters are options of its client. */
export function pageUrl(
  origin: string,
  user: string | number,
  options: Record<string, unknown> = {},
): string {
  const query = new URLSearchParams({ user: String(user) })
  for (const [name, value] of Object.entries(options)) query.set(name, JSON.stringify(value))
  return `${origin}/page?${query}`
}

/** The application that the tests run: the page, something to navigate to, and the service. */
export function createApp(
  settings: Settings = {},
  before: RequestHandler[] = [],
): { app: Express; sse: Service } {
  const sse = createSse<TestUser>({
    name: 'test',
    disconnectGrace: 0,
    getUser: findUser,
    onMessage: (path, _connection, message) => ({ path, message }),
    onUpload: (path, _connection, message, files) => ({
      path,
      message,
      files: files.map(({ name, size }) => ({ name, size })),
    }),
    ...settings,
  })
  const app = express()
  for (const handler of before) app.use(handler)
  app.use(BASE, sse.router)
  app.get('/page', (_req, res) => void res.type('html').send(PAGE))
  app.get('/other', (_req, res) => void res.send('<title>other</title>another page'))
  app.get('/download', (_req, res) => void res.attachment('file.txt').send('a file'))
  app.get('/nothing', (_req, res) => void res.status(204).end())
  return { app, sse }
}
