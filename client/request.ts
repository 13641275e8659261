import { retryAfter } from './backoff'
import type { Env } from './env'
import type { HeaderRecord, Query, ResolvedOptions } from './options'
import type { Outcome } from './outbox'
import {
  type Disconnect,
  ERROR_UNKNOWN_CONNECTION,
  HEADER_ERROR,
  PATH_CONNECT,
  PATH_DISCONNECT,
} from './protocol'
import type { StreamRequest } from './stream'

/** Longest address of a connect; a longer query travels in a body. Some proxies cut at 4 kB. */
const MAX_URL = 2000

/** A POST of a connection, all but which connection: that is known when its turn comes. */
export interface Posting {
  path: string
  body(connectionId: string): string | FormData
  query: Query
  headers: Headers
}

/** The connection that a POST belongs to. */
export interface Line {
  id(): string | undefined
  /** Called if the server does not know the connection of that id. */
  onUnknown(connectionId: string): void
}

/** Every request of one client: its address, headers and credentials. */
export interface Requests {
  stream(parameters: Query): StreamRequest
  /** One attempt. */
  post(posting: Posting, line: Line, signal: AbortSignal): Promise<Outcome<Response>>
  /** Leaves even while the page goes. Nobody waits for an answer. */
  goodbye(parameters: Disconnect): void
}

/** @param options read anew at each request: `url` changes with `switchURL` */
export function createRequests(env: Env, options: ResolvedOptions): Requests {
  const credentials: RequestCredentials = options.withCredentials ? 'include' : 'same-origin'
  /** The goodbye can't wait for a function that gives headers; it takes the last ones. */
  let lastHeaders: HeaderRecord = {}

  async function ownHeaders(): Promise<HeaderRecord> {
    lastHeaders = typeof options.headers === 'function' ? await options.headers() : options.headers
    return lastHeaders
  }

  function address(path: string, ...queries: Query[]): string {
    const query = toQuery(options.query, ...queries).toString()
    return options.url + path + (query && `?${query}`)
  }

  function stream(parameters: Query): StreamRequest {
    const whole = address(PATH_CONNECT, parameters)
    const isLong = whole.length > MAX_URL
    return {
      headers: ownHeaders,
      canRenew: typeof options.headers === 'function',
      url: isLong ? address(PATH_CONNECT) : whole,
      init: isLong ? { credentials, method: 'POST', body: toQuery(parameters) } : { credentials },
    }
  }

  async function post(
    { path, body, query, headers }: Posting,
    line: Line,
    signal: AbortSignal,
  ): Promise<Outcome<Response>> {
    try {
      const all = new Headers(await ownHeaders())
      for (const [name, value] of headers) all.set(name, value)
      // Only now: asking for the headers may have taken longer than the connection lived.
      const id = line.id()
      if (id === undefined) return { after: 0, failure: undefined }
      const init = { method: 'POST', body: body(id), headers: all, credentials, signal }
      const response = await env.fetch(address(path, { connectionId: id }, query), init)
      if (isUnknownConnection(response)) line.onUnknown(id)
      return judge(response, env.Date.now())
    } catch (failure) {
      return { after: 0, failure }
    }
  }

  function goodbye(parameters: Disconnect): void {
    const url = address(PATH_DISCONNECT)
    const body = toQuery(parameters)
    // A beacon can't carry headers; where the server needs them, a request that outlives the page can.
    if (Object.keys(lastHeaders).length === 0 && env.navigator.sendBeacon?.(url, body)) return
    const init = { method: 'POST', body, headers: lastHeaders, keepalive: true, credentials }
    env.fetch(url, init).catch(() => {})
  }

  return { stream, post, goodbye }
}

/** What an answer means. What may be sent again is decided here alone. */
function judge(response: Response, now: number): Outcome<Response> {
  const { status, headers } = response
  if (isUnknownConnection(response)) return { after: 0, failure: response }
  const isTemporary = status === 408 || status === 425 || status === 429 || status >= 500
  if (!isTemporary) return { result: response }
  return { after: retryAfter(headers.get('Retry-After'), now), failure: response, lastResult: response }
}

/** The server knows the request's connection no more: it runs anew, or has closed it. */
function isUnknownConnection({ status, headers }: Response): boolean {
  return status === 404 && headers.get(HEADER_ERROR) === ERROR_UNKNOWN_CONNECTION
}

/** The values of all records in one query, in their order. `null` and `undefined` are left out. */
function toQuery(...records: readonly object[]): URLSearchParams {
  const query = new URLSearchParams()
  for (const record of records) {
    for (const [name, value] of Object.entries(record)) if (value != null) query.append(name, String(value))
  }
  return query
}
