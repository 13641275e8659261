import type { Env } from './env'

/** A POST of a connection, all but which connection: that is known when its turn comes. */
export interface Posting {
  readonly path: string
  body(connectionId: string): string | FormData
  readonly query: URLSearchParams
  readonly headers: Headers
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
  /** All tasks were taken back, and none will come. */
  destroy(): void
}

/** A request of the application, and its promise. */
export interface OutboxTask extends Posting {
  /** Aborts when the core has rejected the promise: taken back, expired or destroyed. */
  readonly signal: AbortSignal
  resolve(response: Response): void
  reject(error: Error): void
}

/** What the part gets of the core. */
export interface OutboxCore {
  readonly env: Env
  /** The core's own, so that `instanceof` holds. */
  readonly ExpiredError: new (
    message: string,
    options?: ErrorOptions,
  ) => Error
  /** May anything be tried now? */
  isConnected(): boolean
  /** One attempt. Rejects if there was no answer, or the connection is not known (any more). */
  post(posting: Posting, signal: AbortSignal): Promise<Response>
}

/** What is at the address that `connect-finish` announces. */
export interface OutboxModule {
  default(core: OutboxCore): OutboxPart
}

/** Imports the part from an address. */
export type LoadOutbox = (address: string) => Promise<OutboxModule>
