import type { SseEvent } from './event'

export type Listener = (event: SseEvent) => void
/** Event name → function; `null`: the event goes to the window alone. */
export type ListenerRecord = Record<string, Listener | null | undefined>
export type Query = Record<string, unknown>
export type HeaderRecord = Record<string, string>

export interface SseOptions {
  /** Where the backend mounted the service, e.g. `/sse/hr`. */
  url: string
  /** What to listen to: event name → function, or an array of names that go to the window alone. Default: nothing. */
  eventListeners?: ListenerRecord | readonly string[]
  /** The application's own parameters, sent with every request, e.g. a token. Default: none. */
  query?: Query
  /** Headers of every request, or a function that gives them; it is asked before each, so that a token can be renewed. Default: none. */
  headers?: HeaderRecord | (() => HeaderRecord | Promise<HeaderRecord>)
  /** Name of this browser. Default: a random one, kept in localStorage. */
  clientId?: string | null
  /** When this tab's session began, ms since 1970. Default: now, kept in sessionStorage. */
  accessTimestamp?: number | null
  /** Longest first delay before the client comes back, ms; the delay doubles with each attempt, up to 30 s. Default: what the server says, else 2000. */
  reconnectTime?: number | null
  /** Life of a stream that the server is asked for, ms; 0: no end. Default: 900000. */
  keepaliveTime?: number
  /** Send cookies to other origins too. Default: true. */
  withCredentials?: boolean
  /** Dispatch what is listened to on `window` as well. Default: true. */
  useWindowEventBus?: boolean
  /** Called with each event before it goes to the window. Default: none. */
  intercepts?: readonly ((event: SseEvent) => void)[]
  /** How long a page that was hidden stays connected, ms. Default: 0. */
  hiddenGrace?: number
  /** Connect, and stay connected, while nobody sees the page. Default: false. */
  connectWhenHidden?: boolean
  /** How long without any input until the person counts as away, ms. Default: 5000. */
  leaveTimeout?: number
  /** How often that is looked at, ms. Default: 500. */
  leaveCheckInterval?: number
  /** How many requests may wait for the server; one more is rejected with an `OutboxFullError`. Default: 1000. */
  maxQueued?: number
}

/** An empty string or a zero stands for "nothing given" where the option's own text says so. */
const DEFAULTS = {
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
  maxQueued: 1000,
}

/** The options with their defaults. */
export type ResolvedOptions = typeof DEFAULTS & { url: string }

/** @throws TypeError that names the option that is wrong. Others than these are left alone: the original has some more. */
export function resolveOptions(options: SseOptions): ResolvedOptions {
  const given = { ...options }
  const names = Object.keys(DEFAULTS) as (keyof typeof DEFAULTS)[]
  for (const name of names) check(name, given[name] ?? DEFAULTS[name])
  const values = names.map((name) => [name, given[name] ?? DEFAULTS[name]])
  return { ...Object.fromEntries(values), url: toBase(given.url) }
}

/** @returns the address without slashes at its end. @throws TypeError if it is none */
export function toBase(url: unknown): string {
  if (typeof url !== 'string' || url === '') throw wrong('url', 'an address such as "/sse/hr"')
  return url.replace(/\/+$/, '')
}

function check(name: keyof typeof DEFAULTS, value: unknown): void {
  const model = DEFAULTS[name]
  const kind = typeof model
  if (Array.isArray(model)) {
    if (!Array.isArray(value) || value.some((item) => typeof item !== 'function'))
      throw wrong(name, 'an array of functions')
  } else if (kind === 'number') {
    if (!Number.isFinite(value) || (value as number) < 0) throw wrong(name, 'a number of at least 0')
  } else if (typeof value !== kind && !(name === 'headers' && typeof value === 'function')) {
    throw wrong(name, `of type ${kind}`)
  }
}

function wrong(name: string, expected: string): TypeError {
  return new TypeError(`Sse option "${name}" must be ${expected}.`)
}
