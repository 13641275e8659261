import type { Locks } from '../tab-lock'

interface Entry {
  readonly tab: TabLocks
  readonly name: string
  readonly callback: LockGrantedCallback<unknown>
  readonly resolve: (value: unknown) => void
  readonly reject: (reason: unknown) => void
  isHeld: boolean
}

/** The browser decides in another process. */
const later = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** The Web Locks of one origin, all exclusive: first come, first served. Not `ifAvailable`, `steal` and shared ones. */
export class FakeLocks {
  readonly #entries: Entry[] = []

  /** `navigator.locks` of another tab. */
  openTab(): TabLocks {
    return new TabLocks(this)
  }
  /** The names of what is held and of what waits, for all to see. */
  get names(): string[] {
    return this.#entries.map(({ name }) => name)
  }
  entries(): readonly Entry[] {
    return this.#entries
  }
  add(entry: Entry): void {
    this.#entries.push(entry)
    this.#grant(entry.name)
  }
  drop(entry: Entry): void {
    const at = this.#entries.indexOf(entry)
    if (at < 0) return
    this.#entries.splice(at, 1)
    this.#grant(entry.name)
  }

  #grant(name: string): void {
    const first = this.#entries.find((entry) => entry.name === name)
    if (!first || first.isHeld) return
    first.isHeld = true
    void this.#hold(first)
  }
  async #hold(entry: Entry): Promise<void> {
    await later()
    try {
      entry.resolve(await entry.callback({ name: entry.name, mode: 'exclusive' }))
    } catch (error) {
      entry.reject(error)
    }
    this.drop(entry)
  }
}

/** What one tab sees of them. */
export class TabLocks {
  readonly #origin: FakeLocks
  /** Like a page that is just being left. */
  isRefused = false
  #isDead = false

  constructor(origin: FakeLocks) {
    this.#origin = origin
  }
  /** As `navigator.locks`. */
  get manager(): Locks {
    return this as unknown as Locks
  }
  /** The tab is gone, and says nothing. */
  die(): void {
    this.#isDead = true
    for (const entry of this.#origin.entries().filter(({ tab }) => tab === this)) this.#origin.drop(entry)
  }

  async request(name: string, { signal }: LockOptions, callback: LockGrantedCallback<unknown>) {
    signal?.throwIfAborted()
    if (this.isRefused) throw new DOMException('The document is not active.', 'InvalidStateError')
    const asked = new Promise<unknown>((resolve, reject) => {
      const entry: Entry = { tab: this, name, callback, resolve, reject, isHeld: false }
      signal?.addEventListener('abort', () => {
        if (entry.isHeld) return
        this.#origin.drop(entry)
        reject(signal.reason)
      })
      if (!this.#isDead) this.#origin.add(entry)
    })
    return asked
  }

  async query(): Promise<LockManagerSnapshot> {
    await later()
    const infos = (isHeld: boolean): LockInfo[] =>
      this.#origin
        .entries()
        .filter((entry) => entry.isHeld === isHeld)
        .map(({ name }) => ({ name, mode: 'exclusive' }))
    return { held: infos(true), pending: infos(false) }
  }
}
