/** What the client needs of its surroundings: a slice of `globalThis`, so that tests can hand in another window, network and clock. */
export interface Env {
  fetch(url: string, init: RequestInit): Promise<Response>
  setTimeout(run: () => void, ms: number): unknown
  clearTimeout(timer: unknown): void
  queueMicrotask(run: () => void): void
  addEventListener: EventTarget['addEventListener']
  removeEventListener: EventTarget['removeEventListener']
  dispatchEvent: EventTarget['dispatchEvent']
  /** Not everywhere before 2022. */
  reportError?(error: unknown): void
  readonly Date: { now(): number }
  readonly Math: { random(): number }
  readonly console: Pick<Console, 'error'>
  readonly crypto: Pick<Crypto, 'getRandomValues'>
  readonly document: Pick<
    Document,
    'baseURI' | 'visibilityState' | 'addEventListener' | 'removeEventListener'
  >
  readonly navigator: Pick<Navigator, 'onLine' | 'sendBeacon'> & {
    /** Not on plain http pages. */
    readonly locks?: Pick<LockManager, 'request' | 'query'>
  }
  /** Not where the user blocks storage. */
  readonly indexedDB?: Pick<IDBFactory, 'open'>
  readonly location: Pick<Location, 'origin' | 'pathname'>
  readonly screen: Pick<Screen, 'width' | 'height'>
  readonly localStorage: Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>
  readonly sessionStorage: Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>
  readonly MessageEvent: typeof MessageEvent
}

/** An id that nobody guesses. Not `crypto.randomUUID()`: that is missing on plain http pages. */
export function randomId(env: Env): string {
  return env.crypto.getRandomValues(new Uint32Array(4)).join('-')
}

/** An application's error must show up as an uncaught one would, and harm nothing else. */
export function report(env: Env, error: unknown): void {
  const show = env['reportError'] ?? env.console.error
  show(error)
}

type StorageName = 'localStorage' | 'sessionStorage'

/** `''` if nothing is kept. Reading the property alone throws where the user blocks storage; the client then works without. */
export function readStorage(env: Env, storage: StorageName, key: string): string {
  try {
    return env[storage].getItem(key) ?? ''
  } catch {
    return ''
  }
}

/** `null` removes the key. */
export function writeStorage(
  env: Env,
  storage: StorageName,
  key: string,
  value: string | number | null,
): void {
  try {
    if (value === null) env[storage].removeItem(key)
    else env[storage].setItem(key, value as string)
  } catch {
    // Blocked or full: what is kept there is a convenience.
  }
}

/** @returns the release */
export function listen(
  names: readonly string[],
  target: Pick<Env, 'addEventListener' | 'removeEventListener'>,
  listener: (event: Event) => void,
  options?: AddEventListenerOptions,
): () => void {
  for (const name of names) target.addEventListener(name, listener, options)
  return () => {
    for (const name of names) target.removeEventListener(name, listener, options)
  }
}
