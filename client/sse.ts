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
import { ExpiredError, OutboxFullError } from './errors'
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
import type { PendingRequest, SendOptions } from './part'
import * as wire from './protocol'
import { createReceipts } from './receipts'
import { createRequests } from './request'
import { createSender, type Rest, type Sender } from './sender'

/**
 * A page's connection with its backend: events come in, JSON and files go out. Connected only while a person can see the page.
 * @throws TypeError from the constructor, naming the option that is wrong
 */
export class Sse {
  static readonly version = wire.VERSION
  static readonly STATE_CONNECTING = STATE_CONNECTING
  static readonly STATE_OPEN = STATE_OPEN
  static readonly STATE_CLOSED = STATE_CLOSED

  readonly #options: ResolvedOptions
  readonly #identity: Identity
  readonly #listeners: Listeners
  readonly #activity: Activity
  readonly #connection: Connection
  readonly #sender: Sender
  readonly #release: () => void
  #isDestroyed = false

  /**
   * @param env for tests: another window, network and clock
   * @param load for tests: gives another outbox
   */
  constructor(options: SseOptions, env: Env = globalThis as unknown as Env, load = loadOutbox) {
    const resolved = resolveOptions(options)
    const page = createPage(env)
    const identity = createIdentity(env, resolved)
    const listeners = createListeners(env, resolved, this)
    listeners.add(manyEntries(options.eventListeners ?? {}))
    const requests = createRequests(env, resolved, () => connection)
    const receipts = createReceipts(env, requests, () => connection)
    const activity = createActivity(
      env,
      resolved,
      (change) => listeners.dispatch(wire.EVENT_CHANGE_ACTIVE, change),
      receipts.report,
    )
    const connection = createConnection(env, resolved, page, {
      request(ask, signal) {
        const { sessionDuration } = activity.duration()
        const always = connectParameters(env, identity, resolved)
        return requests.stream({ ...always, sessionDuration, listeners: listeners.names(), ...ask }, signal)
      },
      onEvent: (type, data, lastEventId, extra, replayed) => {
        if (type === wire.EVENT_SET_DURATION) activity.setSessionDuration(Number(/[\d.]+/.exec(data)) || 0)
        if (lastEventId.includes(wire.MESSAGE_MARK) && connection.finish()?.report && listeners.has(type))
          receipts.take(lastEventId, () => listeners.dispatch(type, data, lastEventId, extra, replayed))
        else listeners.dispatch(type, data, lastEventId, extra, replayed)
        if (type === wire.EVENT_CONNECT_FINISH && this.isActive()) {
          activity.start()
          this.flush()
        }
      },
      onState: (oldState, newState, reason, error) => {
        const extra = error ? { reason, error } : { reason }
        listeners.dispatch(wire.EVENT_STATE, { oldState, newState, ...extra }, '', extra)
        if (this.state === STATE_CLOSED) {
          activity.stop()
          receipts.stop()
        }
      },
      onLeave(connectionId, reason) {
        activity.stop()
        requests.tell(wire.PATH_DISCONNECT, { connectionId, reason, ...activity.duration() })
        const closing: Closing = { whoTriggerClose: 'client', closeReason: reason }
        listeners.dispatch(wire.EVENT_CONNECT_CLOSE, JSON.stringify({ connectionId, reason }), '', closing)
      },
    })
    this.#options = resolved
    this.#identity = identity
    this.#listeners = listeners
    this.#activity = activity
    this.#connection = connection
    this.#sender = createSender(
      env,
      {
        ...requests,
        ...connection,
        env,
        options: resolved,
        ExpiredError,
        OutboxFullError,
        emit: (change) => listeners.dispatch(wire.EVENT_OUTBOX, change),
      },
      load,
    )
    this.#release = page.subscribe(connection.onSignal)
    // Not at once: a listener may want to use the object that is being made.
    env.queueMicrotask(() => this.#isDestroyed || connection.onSignal('start'))
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
    return this.#connection.finish()?.connectionId
  }
  /** Name of the service, `''` while no stream is open. */
  get connectionName(): string {
    return this.#connection.finish()?.name ?? ''
  }
  /** Undefined while no stream is open. */
  get serverVersion(): string | undefined {
    return this.#connection.finish()?.version
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
    this.flush()
  }

  /** Stays closed until `connect()`, and forgets how long the person was active in this tab. What waits to be sent goes on waiting. */
  close(reason = 'close'): void {
    if (this.#isDestroyed) return
    this.#connection.close(reason)
    this.#activity.setSessionDuration(null)
  }

  /** Final: nothing of this object remains. What waits to be sent is rejected with a `DestroyedError`; what is kept (`persist`) goes out with the next object. */
  destroy(): void {
    if (this.#isDestroyed) return
    // First: who hears of the end cannot connect again.
    this.#isDestroyed = true
    this.#connection.close('destroy')
    this.#activity.setSessionDuration(null)
    this.#release()
    this.#activity.release()
    this.#listeners.clear()
    this.#sender.destroy()
  }

  /** Goes on at another address. @throws TypeError if it is none */
  switchURL(url: string): void {
    const base = toBase(url)
    if (base === this.#options.url || this.#isDestroyed) return
    this.#connection.redial('switchURL', () => (this.#options.url = base))
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
   * what may pass (no network, 401 of an unknown user, 408, 425, 429, 5xx) is tried again. The server runs it once.
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
    return this.#sender.message(path, body, rest)
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
    return this.#sender.upload(path, formData, rest)
  }

  /** Tries what waits now, not after the delay. Does nothing while not connected. */
  flush(): void {
    this.#sender.flush()
  }

  /** What is not answered yet; with `persist` also what was sent before a reload. Resolves when that is known. */
  pending(): Promise<PendingRequest[]> {
    return this.#sender.pending()
  }

  /** Rejects all that waits with an `AbortError`, and forgets what was kept. What is under way may arrive. */
  clearOutbox(): Promise<void> {
    return this.#sender.clear()
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
    const told = this.#sender.add(path, (connectionId) =>
      JSON.stringify({
        connectionId,
        listener: names.filter((name) => this.#listeners.has(name) === isAdded),
      }),
    )
    // Who does not wait for the answer need not mind its failure either.
    told.catch(() => {})
    return told
  }

  /** For `on()`, which has no promise to settle: a connect that is to come tells all names by itself. */
  #tellLater(path: string, names: string[]): void {
    if (names.length && this.#connection.isUnderWay) this.#tell(path, names)
  }
}
