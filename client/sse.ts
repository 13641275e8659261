import { type Activity, createActivity } from './activity'
import {
  type Closing,
  type Connection,
  createConnection,
  STATE_CLOSED,
  STATE_CONNECTING,
  STATE_OPEN,
  type State,
} from './connection'
import type { Env } from './env'
import { ReceivedEvent } from './event'
import { connectParameters, createIdentity, type Identity } from './identity'
import { createListeners, type ListenerInput, type Listeners, manyEntries, toEntries } from './listeners'
import {
  type Listener,
  type ListenerRecord,
  type Query,
  type ResolvedOptions,
  resolveOptions,
  type SseOptions,
  toBase,
} from './options'
import { createOutbox, type Outbox, type TaskOptions } from './outbox'
import { createPage } from './page'
import * as wire from './protocol'
import { createRequests, type Posting, type Requests } from './request'

/** ms that one attempt may take. Longer than any sane handler: what is sent again may run twice. */
const POST_TIMEOUT = 60_000
const UPLOAD_TIMEOUT = 600_000
const JSON_TYPE = 'application/json;charset=UTF-8'

/** What `send` and `upload` take besides. */
export type SendOptions = TaskOptions

/**
 * A page's line to its backend: events come in, JSON and files go out. Connected only while a person can see the page.
 * @throws TypeError from the constructor, naming the option that is wrong
 */
export class Sse {
  static readonly version = wire.VERSION
  static readonly STATE_CONNECTING = STATE_CONNECTING
  static readonly STATE_OPEN = STATE_OPEN
  static readonly STATE_CLOSED = STATE_CLOSED

  readonly #env: Env
  readonly #options: ResolvedOptions
  readonly #identity: Identity
  readonly #requests: Requests
  readonly #listeners: Listeners
  readonly #activity: Activity
  readonly #connection: Connection
  /** Messages and uploads, in the order they were given. */
  readonly #outbox: Outbox
  /** Changes of listeners; they need not wait behind an upload. */
  readonly #changes: Outbox
  readonly #release: () => void
  #origin = ''
  #isDestroyed = false

  /** @param env for tests: another window, network and clock */
  constructor(options: SseOptions, env: Env = globalThis as unknown as Env) {
    const resolved = resolveOptions(options)
    const page = createPage(env)
    const outbox = { env, limit: resolved.maxQueued, isReady: () => this.isActive() }
    this.#env = env
    this.#options = resolved
    this.#setURL(resolved.url)
    this.#identity = createIdentity(env, resolved)
    this.#requests = createRequests(env, resolved)
    this.#outbox = createOutbox(outbox)
    this.#changes = createOutbox(outbox)
    this.#listeners = createListeners({ ...resolved, env, self: this })
    this.#listeners.add(manyEntries(options.eventListeners ?? {}))
    this.#activity = createActivity({
      ...resolved,
      env,
      storageKey: `sseDuration${resolved.url}`,
      onChange: (change) => this.#emit(wire.EVENT_CHANGE_ACTIVE, change),
    })
    this.#connection = createConnection({
      ...resolved,
      env,
      page,
      request: () => this.#requests.stream(this.#connectQuery()),
      onEvent: (...event) => this.#receive(...event),
      onState: (...change) => this.#onState(...change),
      onLeave: (...left) => this.#leave(...left),
    })
    this.#release = page.subscribe(this.#connection.onSignal)
    // Not at once: a listener may want to use the object that is being made.
    env.queueMicrotask(() => this.#isDestroyed || this.#connection.onSignal('start'))
  }

  /** Frameworks with reactive state (Vue) wrap plain objects in proxies, which would cut off the private fields. This is none. */
  get [Symbol.toStringTag](): string {
    return 'Sse'
  }
  /** 0 connecting or waiting to do so, 1 open, 2 closed: by you, by the page being hidden or offline, or for good. */
  get state(): State {
    return this.#connection.state
  }
  /** Undefined while no stream is open. */
  get connectionId(): string | undefined {
    return this.#connection.finish?.connectionId
  }
  /** Name of the service, `''` while no stream is open. */
  get connectionName(): string {
    return this.#connection.finish?.name ?? ''
  }
  /** Undefined while no stream is open. */
  get serverVersion(): string | undefined {
    return this.#connection.finish?.version
  }
  /** This browser. */
  get clientId(): string {
    return this.#identity.clientId
  }
  /** This object. */
  get instanceId(): string {
    return this.#identity.instanceId
  }
  /** As given, with the defaults. */
  get options(): Readonly<ResolvedOptions> {
    return this.#options
  }

  /** Is a stream open? */
  isActive(): boolean {
    return this.state === STATE_OPEN
  }

  /** Connects, as soon as the page may; ends a `close()`, a fatal end and a wait. */
  connect(): void {
    if (!this.#isDestroyed) this.#connection.connect()
  }

  /** Stays closed until `connect()`. What waits to be sent goes on waiting. */
  close(reason = 'close'): void {
    this.#connection.close(reason)
    this.#activity.setSessionDuration(null)
  }

  /** Final: nothing of this object remains. What waits to be sent is rejected with a `DestroyedError`. */
  destroy(): void {
    if (this.#isDestroyed) return
    this.#isDestroyed = true
    this.close('destroy')
    this.#release()
    this.#activity.destroy()
    this.#outbox.destroy()
    this.#changes.destroy()
  }

  /** Goes on at another address. @throws TypeError if it is none */
  switchURL(url: string): void {
    const base = toBase(url)
    if (base === this.#options.url || this.#isDestroyed) return
    this.#connection.redial('switchURL', () => this.#setURL(base))
  }

  /** Listens. @returns the function that ends it. @throws TypeError on a wrong name or listener */
  on(name: string, listener: Listener): () => void {
    const entries = toEntries(name, listener)
    if (!this.#listeners.has(name)) this.#tellLater(wire.PATH_ADD_LISTENER, [name])
    this.#listeners.add(entries)
    return () => this.#tellLater(wire.PATH_REMOVE_LISTENER, this.#listeners.remove(entries))
  }

  /** Listens at once, and resolves with the server's answer when it knows. Rejects with a `DestroyedError` after `destroy()`. */
  addListener(name: string, listener?: Listener | null): Promise<Response>
  addListener(listeners: ListenerRecord | readonly string[]): Promise<Response>
  async addListener(input: ListenerInput, listener?: Listener | null): Promise<Response> {
    const entries = toEntries(input, listener)
    this.#listeners.add(entries)
    const names = entries.map(([name]) => name)
    return this.#tell(wire.PATH_ADD_LISTENER, names)
  }

  /** Ends listening at once; without a function, all of that name. Resolves with the server's answer when it knows. */
  removeListener(name: string, listener?: Listener | null): Promise<Response>
  removeListener(listeners: ListenerRecord | readonly string[]): Promise<Response>
  async removeListener(input: ListenerInput, listener?: Listener | null): Promise<Response> {
    return this.#tell(wire.PATH_REMOVE_LISTENER, this.#listeners.remove(toEntries(input, listener)))
  }

  /**
   * Sends JSON. Waits its turn until the page is connected; resolves with the server's answer, whatever its status;
   * what may pass (no network, 408, 425, 429, 5xx) is tried again.
   * Rejects with `OutboxFullError`, `ExpiredError`, `AbortError` or `DestroyedError`; with a `TypeError` if the body is no JSON.
   */
  async send(
    path = '',
    body: unknown = {},
    query: Query = {},
    headers: HeadersInit = {},
    options?: SendOptions,
  ): Promise<Response> {
    const json = JSON.stringify(body)
    const all = new Headers(headers)
    if (!all.has('Content-Type')) all.set('Content-Type', JSON_TYPE)
    return this.#post(this.#outbox, toPath(wire.PATH_MESSAGE, path), () => json, all, query, options)
  }

  /** Sends a form with files, in one line with `send`; the same promises hold. Rejects with a `TypeError` if it is no FormData. */
  async upload(
    path = '',
    formData: FormData,
    query: Query = {},
    headers: HeadersInit = {},
    options?: SendOptions,
  ): Promise<Response> {
    if (!(formData instanceof FormData))
      throw new TypeError('Sse upload() takes a FormData: new FormData(form).')
    // As it is now: the application may fill its form anew before this one has left.
    const copy = new FormData()
    for (const [name, value] of formData) copy.append(name, value)
    const all = new Headers(headers)
    return this.#post(this.#outbox, toPath(wire.PATH_UPLOAD, path), () => copy, all, query, options)
  }

  /** Tries what waits now, not after the delay. Does nothing while not connected. */
  flush(): void {
    this.#outbox.flush()
    this.#changes.flush()
  }

  #setURL(url: string): void {
    this.#options.url = url
    this.#origin = new URL(url, this.#env.location.href).origin
  }

  #emit(name: string, data: unknown, extra?: object, lastEventId = ''): void {
    if (!this.#listeners.has(name)) return
    const event = new ReceivedEvent(name, data, lastEventId, this.#origin, this.#options.url, extra)
    this.#listeners.dispatch(event)
  }

  #receive(type: string, data: string, lastEventId: string, closing?: Closing): void {
    if (type === wire.EVENT_SET_DURATION)
      this.#activity.setSessionDuration(Number((JSON.parse(data) as wire.SetDuration).duration) || 0)
    this.#emit(type, data, closing, lastEventId)
    if (type === wire.EVENT_CONNECT_FINISH && this.isActive()) {
      this.#activity.start()
      this.flush()
    }
  }

  #onState(oldState: State, newState: State, reason: string, error?: Error): void {
    if (newState === STATE_CLOSED) this.#activity.stop()
    const extra = error ? { reason, error } : { reason }
    this.#emit(wire.EVENT_STATE, { oldState, newState, ...extra }, extra)
  }

  #leave(connectionId: string, reason: string): void {
    this.#activity.stop()
    const { clientId } = this.#identity
    const goodbye = { clientId, connectionId, reason, sseVersion: wire.VERSION, ...this.#activity.duration() }
    this.#requests.goodbye(goodbye)
    const closing: Closing = { whoTriggerClose: 'client', closeReason: reason }
    this.#emit(wire.EVENT_CONNECT_CLOSE, JSON.stringify({ connectionId, reason }), closing)
  }

  #connectQuery(): Query {
    const { sessionDuration } = this.#activity.duration()
    const parameters = connectParameters(this.#env, this.#identity, this.#options)
    return { ...parameters, sessionDuration, listeners: this.#listeners.names() }
  }

  #tell(path: string, listener: string[]): Promise<Response> {
    const body = (connectionId: string): string => JSON.stringify({ connectionId, listener })
    return this.#post(this.#changes, path, body, new Headers({ 'Content-Type': JSON_TYPE }))
  }

  /** For `on()`, which has no promise to settle. The next connect tells all names; while closed, nothing is to be told. */
  #tellLater(path: string, names: string[]): void {
    if (names.length > 0 && this.state !== STATE_CLOSED) this.#tell(path, names).catch(() => {})
  }

  /** A request of this connection, whichever it is when the turn comes. */
  #post(
    outbox: Outbox,
    path: string,
    body: Posting['body'],
    headers: Headers,
    query: Query = {},
    options?: SendOptions,
  ): Promise<Response> {
    const posting = { path, body, headers, query }
    const line = { id: () => this.connectionId, onUnknown: this.#connection.onUnknown }
    const timeout = path.startsWith(wire.PATH_UPLOAD) ? UPLOAD_TIMEOUT : POST_TIMEOUT
    return outbox.add((signal) => this.#requests.post(posting, line, signal), timeout, options)
  }
}

/** The application's path is data, of whatever characters. */
function toPath(prefix: string, path: string): string {
  return prefix + encodeURIComponent(path) + wire.PATH_SUFFIX
}
