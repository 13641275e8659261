import type { Env } from './env'
import type { ResolvedOptions } from './options'
import type { ConnectFinish } from './protocol'

/** A POST of a connection, all but which connection: that is known when its turn comes. */
export interface Posting {
  readonly path: string
  body(connectionId: string): BodyInit | null
  readonly query: URLSearchParams
  readonly headers: Headers
}

/** What `send` and `upload` take besides. */
export interface SendOptions {
  /** Takes the request back, waiting or under way; the promise is rejected with an `AbortError`. */
  signal?: AbortSignal | null | undefined
  /** ms from the call until the answer; then the promise is rejected with an `ExpiredError`. Default: `maxQueuedAge`. */
  timeout?: number | null | undefined
  /** Name of this request; the server runs each only once for a user. 1 to 200 visible ASCII characters but `"` and `\`. Default: a random one. */
  key?: string | null | undefined
  /** Requests of one lane go one after the other, lanes side by side. Default: the path. */
  lane?: string | null | undefined
  /** Hears how much of the body has been sent. */
  onProgress?: ((progress: Progress) => void) | null | undefined
}

/** Bytes of a request's body. */
export interface Progress {
  loaded: number
  total: number
}

/** A request that is not settled yet. */
export interface PendingRequest {
  readonly key: string
  /** As it was given to `send` or `upload`. */
  readonly path: string
  readonly response: Promise<Response>
}

/**
 * What the core and the part that it loads know of each other. They are built apart, and a page that lives over a
 * deploy runs an older core with a newer part: so members are added, never changed, and none may be in INTERNAL
 * (rollup.config.mjs).
 */
export interface OutboxPart {
  /** Takes a request over, in the order of the calls, until it is settled. */
  add(task: OutboxTask): void
  /** Goes on at once, if it may: a connection is open again, or somebody will not wait for the timer. */
  flush(): void
  /** Resolves when what was kept has been read. */
  pending(): Promise<PendingRequest[]>
  /** Forgets what was kept, and rejects what was restored with this. (All tasks were taken back.) */
  clear(error: Error): Promise<void>
  /** Nothing of it remains but what is kept; rejects what was restored with this. (The core takes all tasks back next.) */
  destroy(error: Error): void
}

/** A request of the application, and its promise. */
export interface OutboxTask extends Posting {
  readonly options: SendOptions
  /** When it was sent, ms since 1970. Not there in a core that was built before. */
  readonly createTime?: number
  /** Whose it is, as the page last heard. Not there if it has not heard yet, or in a core that was built before. */
  readonly owner?: string | undefined
  /** Aborts when the core has rejected the promise: taken back, expired or destroyed. */
  readonly signal: AbortSignal
  resolve(response: Response): void
  reject(error: Error): void
}

export type ErrorKind = new (message: string, options?: ErrorOptions) => Error

/** What the part gets of the core. */
export interface OutboxCore {
  readonly env: Env
  /** `url` changes with `switchURL`. */
  readonly options: ResolvedOptions
  /** The core's own, so that `instanceof` holds. */
  readonly ExpiredError: ErrorKind
  readonly OutboxFullError: ErrorKind
  /** There while something can be tried. */
  finish(): ConnectFinish | undefined
  /** Who the page last heard that it is. */
  owner(): string | undefined
  /** The application's, asked anew. Rejects if its function does; that is reported already. */
  headers(): Promise<Headers>
  /** Of a path below the base, with the application's query and then these. */
  address(path: string, ...queries: object[]): string
  /**
   * One attempt. Rejects if there was no answer, or the connection is not known (any more).
   * @param fetch instead of the browser's
   */
  post(posting: Posting, init: RequestInit, fetch?: Env['fetch']): Promise<Response>
  /** Tells the application, by `sse-outbox`. */
  emit(change: OutboxChange): void
}

/** What is at the address that `connect-finish` announces. */
export interface OutboxModule {
  default(core: OutboxCore): OutboxPart
}

/** Imports the part from an address. */
export type LoadOutbox = (address: string) => Promise<OutboxModule>

/** Data of `sse-outbox`. */
export type OutboxChange =
  /** Read from where requests are kept: of before a reload, or of a tab that is gone. */
  | { type: 'restored'; key: string; path: string }
  | ({ type: 'progress'; key: string; path: string } & Progress)
  | { type: 'answered'; key: string; path: string; status: number }
  /** `reason`: name of the error. */
  | { type: 'rejected'; key: string; path: string; reason: string }
  /** Nothing is sent: the server knows no user (401). Goes on with other headers, `connect()` or `flush()`. */
  | { type: 'waiting'; reason: 'unauthorized' }
  | { type: 'resumed' }
  /** What waits is not kept over a reload: the browser does not let us. Told once. */
  | { type: 'unkept'; reason: string }
  /** What was kept cannot be read; it is forgotten. */
  | { type: 'corrupt'; reason: string }
