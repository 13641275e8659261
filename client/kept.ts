import type { Env } from './env'

/** A request as it is kept. What is read back may be anything: a database outlives the code that wrote it. */
export interface KeptRequest {
  readonly key: string
  /** Path of the request, below the base. */
  readonly path: string
  /** JSON, or the fields of a form. */
  readonly body: string | [name: string, value: string | File][]
  /** As in an address. */
  readonly query: string
  readonly headers: [name: string, value: string][]
  readonly lane: string
  /** ms since 1970. */
  readonly createTime: number
  /** ms since 1970. */
  readonly expiryTime: number
  /** Where the body is already, in part or whole: id of the tus upload, and the boundary of the form. */
  upload?: { id: string; boundary: string; isWhole: boolean }
}

/** Where requests are kept over a reload: IndexedDB, shared by the tabs of an origin. */
export interface Keeper {
  /** Resolves when it would survive a crash. Rejects if it cannot be kept. @returns its number */
  put(owner: string, request: KeptRequest): Promise<number>
  /** Changes what is kept, all but the body; nothing happens if it is gone. */
  update(id: number, request: KeptRequest): Promise<void>
  remove(id: number): Promise<void>
  /**
   * Takes over what belongs to this owner and to no living tab that could send it, in the order in which it was put;
   * each is handed out once. What cannot be read is forgotten and reported.
   */
  adopt(owner: string, onCorrupt: (reason: string) => void): Promise<{ id: number; request: KeptRequest }[]>
  /** The page is seen: what is put from now on, and was before, is ours. Until `release`. */
  hold(): void
  /** The page is hidden: another tab may adopt what was put here. */
  release(): void
  /** Nothing of it remains but what is kept. */
  close(): void
}

/** What is at outbox-store.js. */
export interface KeeperModule {
  /** @param scope the service: tabs of other services do not see what is put. Rejects if the browser keeps nothing. */
  openKeeper(env: Env, scope: string): Promise<Keeper>
}
