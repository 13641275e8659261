import type Sse from 'tabwire'

/** What the client takes for its surroundings. */
export type Env = NonNullable<ConstructorParameters<typeof Sse>[1]>

type Store = Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>

export interface TabHearer {
  onRequest(url: string): void
  onError(error: unknown): void
}

/** A tab of a browser, as far as the client looks at it; with a real clock and a real network. */
export class Tab {
  visibility: DocumentVisibilityState = 'visible'
  isOnline = true
  readonly #localStorage: Store
  readonly #sessionStorage = createStorage()
  readonly #hear: TabHearer
  #window = new EventTarget()
  #document = new EventTarget()
  #process = new AbortController()

  /** @param localStorage shared by all tabs of a browser */
  constructor(localStorage: Store, hear: TabHearer) {
    this.#localStorage = localStorage
    this.#hear = hear
  }

  /** A page is loaded into it; what was there before hears nothing any more. */
  load(): Env {
    this.#window = new EventTarget()
    this.#document = new EventTarget()
    this.#process = new AbortController()
    const { signal } = this.#process
    return {
      ...listening(this.#window),
      ...clock(),
      dispatchEvent: this.#window.dispatchEvent.bind(this.#window),
      fetch: (url, init) => this.#fetch(url, init, signal),
      reportError: this.#hear.onError,
      console,
      Date,
      Math,
      crypto,
      MessageEvent,
      document: this.#documentOf(this.#document),
      navigator: this.#navigatorOf(signal),
      location: { origin: 'http://soak.example', pathname: '/' },
      screen: { width: 800, height: 600 },
      localStorage: this.#localStorage,
      sessionStorage: this.#sessionStorage,
    }
  }

  hide(): void {
    this.visibility = 'hidden'
    this.onDocument('visibilitychange')
  }

  show(): void {
    this.visibility = 'visible'
    this.onDocument('visibilitychange')
  }

  goOffline(): void {
    this.isOnline = false
    this.onWindow('offline')
  }

  goOnline(): void {
    this.isOnline = true
    this.onWindow('online')
  }

  /** What was there is gone without a word: its sockets are closed, and nothing of it is heard any more. */
  crash(): void {
    this.#process.abort()
    // Only so that nothing of it runs on in here.
    this.onWindow('pagehide')
  }

  onDocument(name: 'visibilitychange' | 'freeze' | 'resume'): void {
    this.#document.dispatchEvent(new Event(name))
  }

  onWindow(name: 'pagehide' | 'online' | 'offline'): void {
    this.#window.dispatchEvent(new Event(name))
  }

  async #fetch(url: string, init: RequestInit, process: AbortSignal): Promise<Response> {
    if (!this.isOnline || process.aborted) throw new TypeError('Failed to fetch')
    this.#hear.onRequest(url)
    const signal = init.signal ? AbortSignal.any([init.signal, process]) : process
    return fetch(url, { ...init, signal })
  }

  #documentOf(target: EventTarget): Env['document'] {
    const tab = this
    return {
      ...listening(target),
      baseURI: 'http://soak.example/',
      get visibilityState() {
        return tab.visibility
      },
    }
  }

  #navigatorOf(process: AbortSignal): Env['navigator'] {
    const tab = this
    return {
      get onLine() {
        return tab.isOnline
      },
      sendBeacon(url, body) {
        const sent = tab.#fetch(String(url), { method: 'POST', body: body ?? null }, process)
        // Read to its end, so that the socket is free again.
        sent.then((response) => response.text()).catch(() => {})
        return true
      },
    }
  }
}

export function createStorage(): Store {
  const items = new Map<string, string>()
  return {
    getItem: (key) => items.get(key) ?? null,
    setItem: (key, value) => void items.set(key, value),
    removeItem: (key) => void items.delete(key),
  }
}

function listening(target: EventTarget): Pick<EventTarget, 'addEventListener' | 'removeEventListener'> {
  return {
    addEventListener: target.addEventListener.bind(target),
    removeEventListener: target.removeEventListener.bind(target),
  }
}

function clock(): Pick<Env, 'setTimeout' | 'clearTimeout' | 'queueMicrotask'> {
  return {
    queueMicrotask,
    setTimeout: (run, ms) => setTimeout(run, ms),
    clearTimeout: (timer) => clearTimeout(timer as NodeJS.Timeout | undefined),
  }
}
