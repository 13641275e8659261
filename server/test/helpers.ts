import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import http, { type IncomingMessage } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import express, { type Express } from 'express'
import { createSse, type SseOptions, type SseService } from 'tabwire/server'
import { openStream, PATIENCE, type Stream, type StreamOptions, startTimer } from './stream-reader'

export {
  cursorOf,
  type Event,
  eventsOf,
  finishOf,
  openStream,
  Stream,
  type StreamOptions,
} from './stream-reader'

// Some tests look at what is left in the system's folder for such files; others run at the same time.
const temporary = mkdtempSync(join(tmpdir(), 'tabwire-test-'))
Object.assign(process.env, { TMPDIR: temporary, TEMP: temporary })
process.once('exit', () => rmSync(temporary, { recursive: true, force: true }))

export interface TestUser {
  id?: number | string
  name?: string
  tenantId?: number
  accessToken?: string
}

export const ANN: TestUser = { id: 1, name: 'Ann', tenantId: 3, accessToken: 'secret-of-ann' }
export const BOB: TestUser = { id: 2, name: 'Bob', tenantId: 3, accessToken: 'secret-of-bob' }
export const EVE: TestUser = { id: 3, name: 'Eve', tenantId: 4 }

export interface Answer {
  status: number
  headers: Headers
  text: string
  // biome-ignore lint/suspicious/noExplicitAny: an answer may be any JSON; what it is, the test asserts
  json: any
}

export interface CallOptions {
  as?: TestUser
  method?: string
  headers?: Record<string, string>
  /** Sent as JSON. */
  json?: unknown
  body?: BodyInit
}

export interface App {
  sse: SseService<TestUser>
  /** Where the router is mounted. */
  base: string
  port: number
  /** What `onError` heard. */
  errors: { error: unknown; where: string }[]
  http: http.Server
  call(path: string, options?: CallOptions): Promise<Answer>
  connect(user: TestUser, query?: string, options?: StreamOptions): Promise<Stream>
}

/** A user travels in a header, as JSON: the tests are about what the service does with it. */
export const as = (user: TestUser): Record<string, string> => ({ 'x-user': JSON.stringify(user) })

export const userOf = (req: IncomingMessage): TestUser | null => {
  const header = req.headers['x-user']
  return typeof header === 'string' ? JSON.parse(header) : null
}

/** A real server on a free port with the service at `/sse/hr`; gone after the test. */
export async function serve(
  t: TestContext,
  options: Partial<SseOptions<TestUser>> = {},
  prepare: (app: Express) => void = () => {},
): Promise<App> {
  const errors: App['errors'] = []
  const sse = createSse<TestUser>({
    name: 'hr',
    disconnectGrace: 0,
    getUser: userOf,
    onError: (error, where) => errors.push({ error, where }),
    ...options,
  })
  const app = express()
  prepare(app)
  app.use('/sse/hr', sse.router)
  const server = await listen(t, app)
  const { port } = server.address() as AddressInfo
  const base = `http://127.0.0.1:${port}/sse/hr`
  const streams: Stream[] = []
  t.after(async () => {
    for (const stream of streams) stream.leave()
    await sse.close()
  })
  return {
    sse,
    base,
    port,
    errors,
    http: server,
    call: (path, call) => callAt(base + path, call),
    async connect(user, query = '', { headers, ...rest } = {}) {
      const stream = await openStream(`${base}/connect?${query}`, {
        headers: { ...as(user), ...headers },
        ...rest,
      })
      streams.push(stream)
      await stream.next('connect-finish')
      return stream
    },
  }
}

async function listen(t: TestContext, app: Express): Promise<http.Server> {
  const server = http.createServer(app)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return server
}

export async function callAt(
  url: string,
  { as: user, method, headers, json, body }: CallOptions = {},
): Promise<Answer> {
  const content = json === undefined ? body : JSON.stringify(json)
  const response = await fetch(url, {
    method: method ?? (content === undefined ? 'GET' : 'POST'),
    headers: {
      ...(user === undefined ? {} : as(user)),
      ...(json === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(content === undefined ? {} : { body: content }),
    // What opens a stream by mistake would never be answered in full.
    signal: AbortSignal.timeout(PATIENCE),
  })
  const text = await response.text()
  const isJson = response.headers.get('content-type')?.includes('application/json') === true && text !== ''
  return {
    status: response.status,
    headers: response.headers,
    text,
    json: isJson ? JSON.parse(text) : undefined,
  }
}

/** Waits for something that the test cannot be told of. */
export async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline = Date.now() + PATIENCE
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`Waited in vain for ${what}.`)
    await new Promise((resolve) => startTimer(resolve, 5))
  }
}

/** A socket of our own, for requests that no decent client sends. */
export async function rawRequest(
  port: number,
  text: string,
): Promise<{ socket: Socket; answer: Promise<string> }> {
  const socket = net.connect(port, '127.0.0.1')
  const answer = new Promise<string>((resolve) => {
    let received = ''
    socket.on('data', (chunk) => {
      received += chunk
    })
    socket.on('error', () => {})
    socket.on('close', () => resolve(received))
  })
  await new Promise<void>((resolve) => socket.write(text, () => resolve()))
  return { socket, answer }
}

/** The service works, and this connection too. */
export async function assertAlive(app: App, stream: Stream, user: TestUser): Promise<void> {
  const token = Math.random().toString(36)
  assert.equal(await app.sse.sendByUserId(user.id ?? '', 'still-there', token), 1)
  assert.equal(await stream.next('still-there'), token)
}

export function assertRefused(answer: Answer, status: number): void {
  assert.equal(answer.status, status, answer.text)
  const { message, ...rest } = answer.json
  assert.deepEqual(rest, { success: false, code: status, data: null, errorMessage: message })
  assert.match(message, /^[A-Z_a-z].{5,200}\.$/, 'one sentence')
  assert.doesNotMatch(
    message,
    /node_modules|server\/|at \w+ \(|TypeError|internal detail/,
    'nothing internal',
  )
}
