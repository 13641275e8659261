/** The slice of `navigator.locks` that is used. */
export type Locks = Pick<LockManager, 'request' | 'query'>

const nameOf = (session: string): string => `tabwire-tab:${session}`

/**
 * Tells the tabs of the origin that this one is alive and seen: by a Web Lock, which the browser takes from a tab that
 * dies. Nothing is asked for or held after `release`: a page with a lock cannot go into the back/forward cache.
 */
export class TabLock {
  readonly #locks: Locks
  readonly #name: string
  #current: AbortController | undefined

  constructor(locks: Locks, session: string) {
    this.#locks = locks
    this.#name = nameOf(session)
  }

  hold(): void {
    if (this.#current) return
    const current = new AbortController()
    this.#current = current
    // Aborting withdraws a request that still waits, which is another one of ours, and ends one that was granted.
    const { signal } = current
    const released = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
    const onEnd = (): void => {
      if (this.#current === current) this.#current = undefined
    }
    // A page that is just being left is refused; the next `hold` asks again.
    this.#locks.request(this.#name, { signal }, () => released).then(onEnd, onEnd)
  }

  release(): void {
    this.#current?.abort()
    this.#current = undefined
  }
}

/**
 * Which of these sessions hold their lock, or are about to. Takes no lock itself: if this tab were frozen with one, the
 * others would see a living tab in it.
 */
export async function findAlive(locks: Locks, sessions: readonly unknown[]): Promise<Set<unknown>> {
  const { held = [], pending = [] } = await locks.query()
  const names = new Set([...held, ...pending].map(({ name }) => name))
  return new Set(sessions.filter((session) => names.has(nameOf(String(session)))))
}
