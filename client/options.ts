import type { SseEvent } from './event'
import { CATCH_UPS, type CatchUp } from './protocol'

/** `data` has the DOM's own type for it, so that a listener may say what it takes: `(event: SseEvent<StateChange>) => …`. */
export type Listener = (event: SseEvent<MessageEvent['data']>) => void
/** Event name → function; `null`: the event goes to the window alone. */
export type ListenerRecord = Record<string, Listener | null | undefined>
/** Parameters by name; `null` and `undefined` are left out. */
export type Query = object
/** What a function for the headers may give; nothing means none. */
export type HeaderResult = HeadersInit | null | undefined

export interface SseOptions {
  /** Where the backend mounted the service, e.g. `/sse/hr`. */
  url: string
  /** What to listen to: event name → function, or an array of names that go to the window alone. Default: nothing. */
  eventListeners?: ListenerRecord | readonly string[] | undefined
  /** The application's own parameters, sent with every request, e.g. a token. Default: none. */
  query?: Query | undefined
  /** Headers of every request, or a function that gives them; it is asked before each, so that a token can be renewed. Default: none. */
  headers?: HeadersInit | null | (() => HeaderResult | Promise<HeaderResult>) | undefined
  /** Name of this browser, kept in localStorage for all its pages. Default: a random one. */
  clientId?: string | null | undefined
  /** When this tab's session began, ms since 1970. Default: now, kept in sessionStorage. */
  accessTimestamp?: number | null | undefined
  /** Longest first delay before the client comes back, ms; the delay doubles with each attempt, up to 30 s. Default: what the server says, else 2000. */
  reconnectTime?: number | null | undefined
  /** Life of a stream that the server is asked for, ms; 0: no end. Default: 900000. */
  keepaliveTime?: number | undefined
  /** Send cookies to other origins too. Default: true. */
  withCredentials?: boolean | undefined
  /** Dispatch what is listened to on `window` as well. Default: true. */
  useWindowEventBus?: boolean | undefined
  /** Called with each event before it goes to the window. Default: none. */
  intercepts?: readonly ((event: SseEvent) => void)[] | undefined
  /** How long a page that was hidden stays connected, ms. Default: 0. */
  hiddenGrace?: number | undefined
  /** Connect, and stay connected, while nobody sees the page. Default: false. */
  connectWhenHidden?: boolean | undefined
  /** How long without any input until the person counts as away, ms. Default: 5000. */
  leaveTimeout?: number | undefined
  /** How often that is looked at, ms. Default: 500. */
  leaveCheckInterval?: number | undefined
  /**
   * What the server does with events that this page missed, by their names: `all` (every one), `latest` (the newest of
   * each key), `count` (one event with the data `{ count }`), `drop` (none). Default: all.
   */
  catchUp?: Record<string, CatchUp> | undefined
  /** Go on after a reload of the page where it was before: it gets what was sent meanwhile. Default: false. */
  resumeOnReload?: boolean | undefined
  /** How many requests may wait for the server; one more is rejected with an `OutboxFullError`. Default: 1000. */
  maxQueued?: number | undefined
  /** How many bytes of bodies may wait; a request beyond is rejected with an `OutboxFullError`. Default: 1073741824. */
  maxQueuedBytes?: number | undefined
  /** How long a request may wait, ms; then it is rejected with an `ExpiredError`. The server knows its key for twice as long. Default: 86400000. */
  maxQueuedAge?: number | undefined
  /** How often a request may fail while connected, until the last answer settles it. Default: 20. */
  maxAttempts?: number | undefined
  /** Keep what waits over a reload, a crash and a restart of the browser, in IndexedDB. Default: false. */
  persist?: boolean | undefined
  /** Whose the kept requests are: they go out only for the same. Default: the user as the server knows it. */
  identity?: string | undefined
}

/** An empty string or a zero stands for "nothing given" where the option's own text says so. */
const defaults = () => ({
  query: {} as Query,
  headers: {} as NonNullable<SseOptions['headers']>,
  clientId: '',
  accessTimestamp: 0,
  reconnectTime: 0,
  keepaliveTime: 900_000,
  withCredentials: true,
  useWindowEventBus: true,
  intercepts: [] as NonNullable<SseOptions['intercepts']>,
  hiddenGrace: 0,
  connectWhenHidden: false,
  leaveTimeout: 5000,
  leaveCheckInterval: 500,
  catchUp: {} as Record<string, CatchUp>,
  resumeOnReload: false,
  maxQueued: 1000,
  maxQueuedBytes: 2 ** 30,
  maxQueuedAge: 86_400_000,
  maxAttempts: 20,
  persist: false,
  identity: '',
})

/** The options with their defaults. */
export type ResolvedOptions = ReturnType<typeof defaults> & { url: string }

/** @throws TypeError that names the option that is wrong. Others than these are left alone: the original has some more. */
export function resolveOptions(options: SseOptions): ResolvedOptions {
  const given: Partial<SseOptions> = { ...options }
  const resolved: Record<string, unknown> = { url: toBase(given.url) }
  for (const [name, model] of Object.entries(defaults())) {
    const value = given[name as keyof SseOptions] ?? model
    check(name, value, model)
    resolved[name] = value
  }
  if (!Object.values(resolved['catchUp'] as object).every((policy) => CATCH_UPS.includes(policy)))
    throw wrong('catchUp', `made of ${CATCH_UPS}`)
  return resolved as unknown as ResolvedOptions
}

/** @returns the address without slashes at its end. @throws TypeError if it is none */
export function toBase(url: unknown): string {
  try {
    const text = url as string
    if (/^[^?#]+$/.test(text) && new URL(text, 'http://host')) return text.replace(/\/+$/, '')
  } catch {
    // No text, or no address: as below.
  }
  throw wrong('url', 'an address')
}

export function check(name: string, value: unknown, model: unknown): void {
  const kind = kindOf(model)
  if (kindOf(value) !== kind && !(name === 'headers' && typeof value === 'function')) throw wrong(name, kind)
}

/** In words for who gave another one. */
function kindOf(value: unknown): string {
  if (Array.isArray(value)) return 'an array'
  if (Number.isFinite(value) && (value as number) >= 0) return 'a number from 0'
  return `of type ${typeof value}`
}

/** @param expected completes "must be …" */
export function wrong(name: string, expected: string): TypeError {
  return new TypeError(`Sse option "${name}" must be ${expected}.`)
}
