import { type Activity, createActivity } from './activity'
import {
  type Connection,
  createConnection,
  STATE_CLOSED,
  STATE_CONNECTING,
  STATE_OPEN,
  type State,
} from './connection'
import type { Env } from './env'
import type { Closing } from './event'
import { connectParameters, createIdentity, type Identity } from './identity'
import { createListeners, type ListenerInput, type Listeners, manyEntries, toEntries } from './listeners'
import { loadOutbox } from './load'
import {
  type Listener,
  type ListenerRecord,
  type Query,
  type ResolvedOptions,
  resolveOptions,
  type SseOptions,
  toBase,
} from './options'
import { createPage } from './page'
import { createPlace } from './place'
import * as wire from './protocol'
import { createRequests, type Requests } from './request'
import { createSender, type Rest, type Sender, type TaskOptions } from './sender'

/** What `send` and `upload` take besides. */
export type SendOptions = TaskOptions

/**
 * A page's connection with its backend: events come in, JSON and files go out. Connected only while a person can see the page.
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
  readonly #sender: Sender
  readonly #release: () => void
  readonly #source = { url: '', origin: '' }
  #isDestroyed = false

  /**
   * @param env for tests: another window, network and clock
   * @param load for tests: gives another outbox
   */
  constructor(options: SseOptions, env: Env = globalThis as unknown as Env, load = loadOutbox) {
    const resolved = resolveOptions(options)
    const page = createPage(env)
    this.#env = env
    this.#options = resolved
    this.#setURL(resolved.url)
    this.#identity = createIdentity(env, resolved)
    this.#requests = createRequests(env, resolved)
    this.#listeners = createListeners({ ...resolved, env, source: this.#source, self: this })
    this.#listeners.add(manyEntries(options.eventListeners ?? {}))
    this.#activity = createActivity({
      ...resolved,
      env,
      storageKey: `sseDuration${resolved.url}`,
      onChange: (change) => this.#listeners.dispatch(wire.EVENT_CHANGE_ACTIVE, change),
    })
    this.#connection = createConnection({
      ...resolved,
      env,
      page,
      place: createPlace(env, resolved.resumeOnReload ? `sseCursor${resolved.url}` : ''),
      request: (ask) => this.#requests.stream({ ...this.#connectQuery(), ...ask }),
      onEvent: (...event) => this.#receive(...event),
      onState: (...change) => this.#onState(...change),
      onLeave: (...left) => this.#leave(...left),
    })
    this.#sender = createSender(env, resolved, this.#requests, this.#connection, load)
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
    return this.#identity.clientInstanceId
  }
  /** As given, with the defaults; without the listeners. */
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

  /** Stays closed until `connect()`, and forgets how long the person was active in this tab. What waits to be sent goes on waiting. */
  close(reason = 'close'): void {
    if (this.#isDestroyed) return
    this.#connection.close(reason)
    this.#activity.setSessionDuration(null)
  }

  /** Final: nothing of this object remains. What waits to be sent is rejected with a `DestroyedError`. */
  destroy(): void {
    if (this.#isDestroyed) return
    this.close('destroy')
    this.#isDestroyed = true
    // A listener may have connected again.
    this.#connection.close('destroy')
    this.#release()
    this.#listeners.clear()
    this.#sender.destroy()
  }

  /** Goes on at another address. @throws TypeError if it is none */
  switchURL(url: string): void {
    const base = toBase(url)
    if (base === this.#options.url || this.#isDestroyed) return
    this.#connection.redial('switchURL', () => this.#setURL(base))
  }

  /** Listens. @returns the function that ends it. @throws TypeError on a wrong name or listener */
  on(name: string, listener: Listener): () => void {
    // Here none is none, and does not stand for the window.
    let entries = toEntries(name, listener ?? ({} as Listener))
    if (!this.#listeners.has(name)) this.#tellLater(wire.PATH_ADD_LISTENER, [name])
    this.#listeners.add(entries)
    return () => {
      this.#tellLater(wire.PATH_REMOVE_LISTENER, this.#listeners.remove(entries))
      // A second call must not end what was added meanwhile.
      entries = []
    }
  }

  /** Listens at once, and resolves with the server's answer when it knows. Rejects as `send` does, and with a `TypeError` on a wrong name. */
  addListener(name: string, listener?: Listener | null): Promise<Response>
  addListener(listeners: ListenerRecord | readonly string[]): Promise<Response>
  addListener(input: ListenerInput, listener?: Listener | null): Promise<Response> {
    return this.#change(wire.PATH_ADD_LISTENER, () => {
      const entries = toEntries(input, listener)
      this.#listeners.add(entries)
      return entries.map(([name]) => name)
    })
  }

  /** Ends listening at once; without a function, all of that name. Resolves and rejects as `addListener`. */
  removeListener(name: string, listener?: Listener | null): Promise<Response>
  removeListener(listeners: ListenerRecord | readonly string[]): Promise<Response>
  removeListener(input: ListenerInput, listener?: Listener | null): Promise<Response> {
    return this.#change(wire.PATH_REMOVE_LISTENER, () => this.#listeners.remove(toEntries(input, listener)))
  }

  /**
   * Sends JSON. Waits its turn until the page is connected; resolves with the server's answer, whatever its status;
   * what may pass (no network, 408, 425, 429, 5xx) is tried again.
   * Rejects with `OutboxFullError`, `ExpiredError`, `AbortError` or `DestroyedError`; with a `TypeError` if the body is no JSON.
   */
  send(
    path?: string,
    body?: unknown,
    query?: Query | null,
    headers?: HeadersInit | null,
    options?: SendOptions | null,
  ): Promise<Response>
  send(path = '', body: unknown = {}, ...rest: Rest): Promise<Response> {
    return this.#sender.message(path, body, ...rest)
  }

  /** Sends a form with files, in one line with `send`; the same promises hold. Rejects with a `TypeError` if it is no FormData. */
  upload(
    path: string | undefined,
    formData: FormData,
    query?: Query | null,
    headers?: HeadersInit | null,
    options?: SendOptions | null,
  ): Promise<Response>
  upload(path = '', formData: FormData, ...rest: Rest): Promise<Response> {
    return this.#sender.upload(path, formData, ...rest)
  }

  /** Tries what waits now, not after the delay. Does nothing while not connected. */
  flush(): void {
    this.#sender.flush()
  }

  #setURL(url: string): void {
    this.#options.url = url
    this.#source.url = url
    try {
      this.#source.origin = new URL(url, this.#env.document.baseURI).origin
    } catch {
      // A page without an address of its own, such as about:blank.
    }
  }

  #receive(type: string, data: string, lastEventId: string, extra?: object, replayed?: boolean): void {
    if (type === wire.EVENT_SET_DURATION) this.#activity.setSessionDuration(Number(/[\d.]+/.exec(data)) || 0)
    this.#listeners.dispatch(type, data, lastEventId, extra, replayed)
    if (type === wire.EVENT_CONNECT_FINISH && this.isActive()) {
      this.#activity.start()
      this.flush()
    }
  }

  #onState(oldState: State, newState: State, reason: string, error?: Error): void {
    const extra = error ? { reason, error } : { reason }
    this.#listeners.dispatch(wire.EVENT_STATE, { oldState, newState, ...extra }, '', extra)
    if (this.state === STATE_CLOSED) this.#activity.stop()
  }

  #leave(connectionId: string, reason: string): void {
    this.#activity.stop()
    const { clientId } = this.#identity
    const goodbye = { clientId, connectionId, reason, sseVersion: wire.VERSION, ...this.#activity.duration() }
    this.#requests.goodbye(goodbye)
    const closing: Closing = { whoTriggerClose: 'client', closeReason: reason }
    this.#listeners.dispatch(wire.EVENT_CONNECT_CLOSE, JSON.stringify({ connectionId, reason }), '', closing)
  }

  #connectQuery(): Query {
    const { sessionDuration } = this.#activity.duration()
    const parameters = connectParameters(this.#env, this.#identity, this.#options)
    return { ...parameters, sessionDuration, listeners: this.#listeners.names() }
  }

  #change(path: string, change: () => string[]): Promise<Response> {
    try {
      return this.#tell(path, change())
    } catch (error) {
      return Promise.reject(error)
    }
  }

  #tell(path: string, names: string[]): Promise<Response> {
    const isAdded = path === wire.PATH_ADD_LISTENER
    return this.#sender.listeners(path, () => names.filter((name) => this.#listeners.has(name) === isAdded))
  }

  /** For `on()`, which has no promise to settle: a connect that is to come tells all names by itself. */
  #tellLater(path: string, names: string[]): void {
    if (names.length > 0 && this.#connection.isUnderWay) this.#tell(path, names)
  }
}
