import type { Connection } from './connection'
import { type Env, report } from './env'
import type { Query, ResolvedOptions } from './options'
import type { Posting } from './part'
import { ERROR_UNKNOWN_CONNECTION, HEADER_ERROR, PATH_CONNECT } from './protocol'

/** Longest address of a connect; a longer query travels in a body, which the original server does not read. Many proxies cut at 8 kB, some at 4. */
const MAX_URL = 4000

/** Every request of one client: its address, headers and credentials. */
export interface Requests {
  /** Asks for a stream. */
  stream(parameters: Query, signal: AbortSignal): Promise<Response>
  /**
   * One attempt. Rejects if there was no answer, or the connection is not known (any more).
   * @param fetch instead of the browser's
   */
  post(posting: Posting, init: RequestInit, fetch?: Env['fetch']): Promise<Response>
  /** The application's, asked anew. Rejects if its function does; that is reported already. */
  headers(): Promise<Headers>
  /** Of a path below the base, with the application's query and then these. */
  address(path: string, ...queries: Query[]): string
  /** Leaves even while the page goes. Nobody waits for an answer. */
  tell(path: string, parameters: Query): void
  /** The application has handled the messages up to here: all that is posted and told from now on acknowledges them. */
  acknowledge(lastEventId: string): void
}

/** @param options read anew at each request: `url` changes with `switchURL` */
export function createRequests(
  env: Env,
  options: ResolvedOptions,
  connection: () => Pick<Connection, 'finish' | 'onUnknown'>,
): Requests {
  const credentials: RequestCredentials = options.withCredentials ? 'include' : 'same-origin'
  /** What is told can't wait for a function that gives headers; the last ones are taken. */
  let lastHeaders = new Headers()
  let lastEventId: string | undefined

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

  async function stream(parameters: Query, signal: AbortSignal, isAgain?: boolean): Promise<Response> {
    const headers = await ownHeaders()
    headers.set('Accept', 'text/event-stream')
    const whole = address(PATH_CONNECT, parameters)
    const init: RequestInit = { credentials, cache: 'no-store', headers, signal }
    const response = await (whole.length > MAX_URL
      ? env.fetch(address(PATH_CONNECT), { ...init, method: 'POST', body: toQuery(parameters) })
      : env.fetch(whole, init))
    // Asking for the headers again may give others.
    const canRenew = response.status === 401 && !isAgain && typeof options.headers === 'function'
    return canRenew ? stream(parameters, signal, true) : response
  }

  async function post(
    { path, body, query, headers: own }: Posting,
    given: RequestInit,
    send = env.fetch,
  ): Promise<Response> {
    const { finish, onUnknown } = connection()
    const open = finish()
    const headers = await ownHeaders()
    // Asking for the headers may have taken longer than the connection lived; the next may be another user's.
    if (!open || open !== finish()) throw undefined
    const { connectionId } = open
    const made = body(connectionId)
    // Of a form the browser says it, with the boundary.
    if (typeof made === 'string') headers.set('Content-Type', 'application/json')
    for (const [name, value] of own) headers.set(name, value)
    const init: RequestInit = { method: 'POST', body: made, headers, credentials, ...given }
    const response = await send(address(path, { lastEventId, connectionId }, query), init)
    if (response.headers.get(HEADER_ERROR) !== ERROR_UNKNOWN_CONNECTION) return response
    // The server runs anew, or has closed the connection.
    onUnknown(connectionId)
    throw response
  }

  function tell(path: string, parameters: Query): void {
    const url = address(path)
    const body = toQuery(parameters, { lastEventId })
    // A beacon carries no headers and always cookies; where that is wrong, a request that outlives the page goes.
    const isPlain = options.withCredentials && ![...lastHeaders].length
    if (isPlain && env.navigator.sendBeacon?.(url, body)) return
    const init = { method: 'POST', body, headers: lastHeaders, credentials, keepalive: true }
    env.fetch(url, init).catch(() => {})
  }

  function acknowledge(handled: string): void {
    lastEventId = handled
  }

  return { stream, post, tell, acknowledge, headers: ownHeaders, address }
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
