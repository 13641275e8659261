import type { Connection } from './connection'
import { type Env, report } from './env'
import type { Query, ResolvedOptions } from './options'
import type { Posting } from './part'
import {
  type Disconnect,
  ERROR_UNKNOWN_CONNECTION,
  HEADER_ERROR,
  PATH_CONNECT,
  PATH_DISCONNECT,
} from './protocol'
import type { StreamRequest } from './stream'

/** Longest address of a connect; a longer query travels in a body, which the original server does not read. Many proxies cut at 8 kB, some at 4. */
const MAX_URL = 4000

/** Every request of one client: its address, headers and credentials. */
export interface Requests {
  stream(parameters: Query): StreamRequest
  /** One attempt. Rejects if there was no answer, or the connection is not known (any more). */
  post(
    posting: Posting,
    connection: Pick<Connection, 'finish' | 'onUnknown'>,
    signal: AbortSignal,
  ): Promise<Response>
  /** Leaves even while the page goes. Nobody waits for an answer. */
  goodbye(parameters: Disconnect): void
}

/** @param options read anew at each request: `url` changes with `switchURL` */
export function createRequests(env: Env, options: ResolvedOptions): Requests {
  const credentials: RequestCredentials = options.withCredentials ? 'include' : 'same-origin'
  /** The goodbye can't wait for a function that gives headers; it takes the last ones. */
  let lastHeaders = new Headers()

  /** A failure is the application's; it is reported, and tried again like one of the network. */
  async function ownHeaders(): Promise<Headers> {
    try {
      const { headers } = options
      lastHeaders = new Headers((typeof headers === 'function' ? await headers() : headers) ?? {})
      // What each request carries, it says itself.
      lastHeaders.delete('Content-Type')
    } catch (error) {
      report(env, error)
      throw error
    }
    return new Headers(lastHeaders)
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
    { path, body, query, headers: given }: Posting,
    connection: Pick<Connection, 'finish' | 'onUnknown'>,
    signal: AbortSignal,
  ): Promise<Response> {
    const headers = await ownHeaders()
    // Only now: asking for the headers may have taken longer than the connection lived.
    if (!connection.finish) throw undefined
    const { connectionId } = connection.finish
    const made = body(connectionId)
    // Of a form the browser says it, with the boundary.
    if (typeof made === 'string') headers.set('Content-Type', 'application/json;charset=UTF-8')
    for (const [name, value] of given) headers.set(name, value)
    const init: RequestInit = { method: 'POST', body: made, headers, credentials, signal }
    const response = await env.fetch(address(path, { connectionId }, query), init)
    if (response.headers.get(HEADER_ERROR) !== ERROR_UNKNOWN_CONNECTION) return response
    // The server runs anew, or has closed the connection.
    connection.onUnknown(connectionId)
    throw response
  }

  function goodbye(parameters: Disconnect): void {
    const url = address(PATH_DISCONNECT)
    const body = toQuery(parameters)
    // A beacon carries no headers and always cookies; where that is wrong, a request that outlives the page goes.
    const isPlain = options.withCredentials && [...lastHeaders].length === 0
    if (isPlain && env.navigator.sendBeacon?.(url, body)) return
    const init = { method: 'POST', body, headers: lastHeaders, keepalive: true, credentials }
    env.fetch(url, init).catch(() => {})
  }

  return { stream, post, goodbye }
}

/** The values of all records in one query, in their order. `null` and `undefined` are left out. */
export function toQuery(...records: readonly Query[]): URLSearchParams {
  const query = new URLSearchParams()
  for (const record of records) {
    const entries = record instanceof URLSearchParams ? record : Object.entries(record)
    for (const [name, value] of entries) if (value != null) query.append(name, value)
  }
  return query
}
