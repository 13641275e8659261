import { createClock } from '@sinonjs/fake-timers'
import { Window } from 'happy-dom'
import type { Env } from '../env'
import Sse from '../index'
import type { SseOptions } from '../options'

export const BASE = '/sse/hr'

/** One request as the server saw it. */
export interface SeenRequest {
  method: string
  path: string
  query: URLSearchParams
  headers: Headers
  body: RequestInit['body']
  signal: AbortSignal | undefined
}

/** One stream, seen from the server. */
export class FakeStream {
  isOpen = true
  #controller!: ReadableStreamDefaultController<Uint8Array>
  readonly body = new ReadableStream<Uint8Array>({
    start: (controller) => {
      this.#controller = controller
    },
  })

  constructor(
    readonly request: SeenRequest,
    readonly connectionId: string,
  ) {
    request.signal?.addEventListener('abort', () => this.fail(request.signal?.reason))
  }
  write(text: string): void {
    if (this.isOpen) this.#controller.enqueue(new TextEncoder().encode(text))
  }
  event(name: string, data: unknown, id?: string): void {
    const text = typeof data === 'string' ? data : JSON.stringify(data)
    this.write(`${id === undefined ? '' : `id: ${id}\n`}event: ${name}\ndata: ${text}\n\n`)
  }
  /** The server ends it. */
  end(): void {
    if (this.isOpen) this.#controller.close()
    this.isOpen = false
  }
  /** The line breaks. */
  fail(reason: unknown = new TypeError('network error')): void {
    if (this.isOpen) this.#controller.error(reason)
    this.isOpen = false
  }
}

export type Behaviour = (request: SeenRequest, server: FakeServer) => Response | Promise<Response> | null

/** A server behind `fetch`, to have a conversation with. It accepts all unless told otherwise. */
export class FakeServer {
  readonly requests: SeenRequest[] = []
  readonly streams: FakeStream[] = []
  readonly beacons: SeenRequest[] = []
  isDown = false
  /** Further members of `connect-finish`. */
  finish: Record<string, unknown> = { outbox: '/outbox.js?v=9' }
  /** Asked first; null lets the server do its usual thing. */
  behaviour: Behaviour = () => null
  #pending = new Set<AbortSignal>()

  readonly fetch = async (url: string, init: RequestInit): Promise<Response> => {
    const request = toRequest(url, init)
    this.requests.push(request)
    if (request.signal?.aborted) throw request.signal.reason
    if (this.isDown) throw new TypeError('Failed to fetch')
    const answer = this.behaviour(request, this) ?? this.#answer(request)
    return untilAborted(answer, request.signal, this.#pending)
  }

  readonly sendBeacon = (url: string, body: URLSearchParams): boolean => {
    this.beacons.push(toRequest(url, { method: 'POST', body }))
    return true
  }

  get openStreams(): FakeStream[] {
    return this.streams.filter((stream) => stream.isOpen)
  }
  get stream(): FakeStream {
    const stream = this.streams.at(-1)
    if (!stream) throw new Error('no stream was opened')
    return stream
  }
  /** Requests that are neither answered nor given up, streams included. */
  get openRequests(): number {
    return this.#pending.size + this.openStreams.length
  }
  posts(part: string): SeenRequest[] {
    return this.requests.filter((request) => request.method === 'POST' && request.path.includes(part))
  }
  connects(): SeenRequest[] {
    return this.requests.filter(
      (request) => request.path === `${BASE}/connect` || request.path === '/other/connect',
    )
  }

  #answer(request: SeenRequest): Response {
    if (!request.path.endsWith('/connect')) return json({ success: true, code: 200, data: null })
    const stream = new FakeStream(request, `c${this.streams.length + 1}`)
    this.streams.push(stream)
    const { connectionId } = stream
    stream.event('connect-finish', {
      connectionId,
      serverTime: 1,
      name: 'hr',
      version: '9.9.9',
      ...this.finish,
    })
    return new Response(stream.body, { headers: { 'Content-Type': 'text/event-stream' } })
  }
}

function toRequest(url: string, init: RequestInit): SeenRequest {
  const { pathname, searchParams } = new URL(url, 'http://localhost')
  return {
    method: init.method ?? 'GET',
    path: pathname,
    query: searchParams,
    headers: new Headers(init.headers),
    body: init.body,
    signal: init.signal ?? undefined,
  }
}

async function untilAborted<T>(
  answer: T | Promise<T>,
  signal: AbortSignal | undefined,
  pending: Set<AbortSignal>,
): Promise<T> {
  if (!(answer instanceof Promise) || !signal) return answer
  pending.add(signal)
  const aborted = new Promise<never>((_, reject) =>
    signal.addEventListener('abort', () => reject(signal.reason)),
  )
  return Promise.race([answer, aborted]).finally(() => pending.delete(signal))
}

export function json(body: unknown, status = 200, headers: Record<string, string> = {}): Response {
  return new Response(JSON.stringify(body), {
    status,
    headers: { 'Content-Type': 'application/json', ...headers },
  })
}

type ListenerArguments = Parameters<EventTarget['addEventListener']>

/** A page of happy-dom with a clock that stands still, a network that is a FakeServer, and counted listeners. */
export class FakePage {
  readonly window = new Window({ url: 'http://localhost/app?secret=1#top' })
  readonly clock: ReturnType<typeof createClock>
  readonly server: FakeServer
  readonly reported: unknown[] = []
  random = 0.5
  visibility: 'visible' | 'hidden' = 'visible'
  isOnline = true
  listenerCount = 0
  readonly #windowListeners: ListenerArguments[] = []
  readonly env: Env

  /** @param other a page of the same time and network: another tab, or this one before a reload */
  constructor(other?: FakePage) {
    this.clock = other?.clock ?? createClock(1_700_000_000_000)
    this.server = other?.server ?? new FakeServer()
    const { window, clock, server } = this
    Object.defineProperty(window.document, 'visibilityState', { get: () => this.visibility })
    const document = this.#counted(window.document)
    const target = this.#counted(window, this.#windowListeners)
    this.env = {
      setTimeout: clock.setTimeout,
      clearTimeout: clock.clearTimeout,
      Date: clock.Date,
      queueMicrotask,
      fetch: server.fetch,
      addEventListener: target.addEventListener,
      removeEventListener: target.removeEventListener,
      dispatchEvent: (event: unknown) => window.dispatchEvent(event as never),
      reportError: (error: unknown) => void this.reported.push(error),
      Math: { random: () => this.random },
      crypto,
      document: Object.assign(document, { visibilityState: 'visible', baseURI: 'http://localhost/app' }),
      navigator: { onLine: true, sendBeacon: server.sendBeacon },
      location: window.location,
      screen: { width: 800, height: 600 },
      localStorage: window.localStorage,
      sessionStorage: window.sessionStorage,
      MessageEvent: window.MessageEvent,
    } as unknown as Env
    Object.defineProperty(this.env.document, 'visibilityState', { get: () => this.visibility })
    Object.defineProperty(this.env.navigator, 'onLine', { get: () => this.isOnline })
  }

  #counted(
    target: { addEventListener: unknown; removeEventListener: unknown },
    listeners: ListenerArguments[] = [],
  ) {
    const inner = target as unknown as EventTarget
    const indexOf = (args: ListenerArguments): number =>
      listeners.findIndex(([name, listener]) => name === args[0] && listener === args[1])
    return {
      // As in a browser, one that is there is not added again, and one that is not there can be removed.
      addEventListener: (...args: ListenerArguments) => {
        if (indexOf(args) >= 0) return
        this.listenerCount++
        listeners.push(args)
        inner.addEventListener(...args)
      },
      removeEventListener: (...args: ListenerArguments) => {
        const index = indexOf(args)
        if (index < 0) return
        this.listenerCount--
        listeners.splice(index, 1)
        inner.removeEventListener(...args)
      },
    }
  }

  create(options: Partial<SseOptions> = {}): Sse {
    return new Sse({ url: BASE, ...options }, this.env)
  }
  async createOpen(options: Partial<SseOptions> = {}): Promise<Sse> {
    const sse = this.create(options)
    await settle()
    return sse
  }
  async hide(): Promise<void> {
    this.visibility = 'hidden'
    await this.onDocument('visibilitychange')
  }
  async show(): Promise<void> {
    this.visibility = 'visible'
    await this.onDocument('visibilitychange')
  }
  async goOffline(): Promise<void> {
    this.isOnline = false
    await this.onWindow('offline')
  }
  async goOnline(): Promise<void> {
    this.isOnline = true
    await this.onWindow('online')
  }
  async onDocument(name: string): Promise<void> {
    this.window.document.dispatchEvent(new this.window.Event(name))
    await settle()
  }
  async onWindow(name: string): Promise<void> {
    this.window.dispatchEvent(new this.window.Event(name))
    await settle()
  }
  /** The person goes on to another page. As a browser does it: promises go on between one listener and the next. */
  async leave(): Promise<void> {
    const event = new this.window.Event('pagehide')
    const listeners = this.#windowListeners.filter(([name]) => name === 'pagehide')
    const isFirst = ([, , options]: ListenerArguments): boolean => options === true
    for (const [, listener] of [
      ...listeners.filter(isFirst),
      ...listeners.filter((args) => !isFirst(args)),
    ]) {
      ;(listener as (event: unknown) => void)(event)
      for (let turn = 0; turn < 50; turn++) await null
    }
    await this.hide()
  }
  /** Back out of the back/forward cache. */
  async comeBack(): Promise<void> {
    await this.onWindow('pageshow')
    await this.show()
  }
  async tick(ms: number): Promise<void> {
    await this.clock.tickAsync(ms)
    await settle()
  }
}

/** Lets everything run that waits for nothing but its turn. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 4; turn++) await new Promise((resolve) => setImmediate(resolve))
}

/** A promise and its outcome so far. */
export function watch<T>(promise: Promise<T>): {
  state: 'pending' | 'resolved' | 'rejected'
  value?: T
  error?: Error
} {
  const watched: ReturnType<typeof watch<T>> = { state: 'pending' }
  promise.then(
    (value) => Object.assign(watched, { state: 'resolved', value }),
    (error) => Object.assign(watched, { state: 'rejected', error }),
  )
  return watched
}
