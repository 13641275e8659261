import { PATH_SUFFIX } from '../client/protocol'
import { HttpError } from './errors'

/** Parameters of a query or a form, without a prototype. A name given more than once has an array. */
export type Params = Record<string, unknown>

/** The largest delay a timer can hold, ms; beyond it Node would fire at once. */
export const LONGEST_DELAY = 2 ** 31 - 1

/** Parameters of one query or one form. */
const MAX_PARAMS = 1000

/** @throws HttpError 400 for the name `__proto__`, 413 for too many. */
export function paramsOf(pairs: Iterable<readonly [string, string]>): Params {
  const params: Params = Object.create(null)
  let count = 0
  for (const [name, value] of pairs) {
    if (name === '__proto__') throw forbiddenName()
    if (++count > MAX_PARAMS) throw new HttpError(413, `More than ${MAX_PARAMS} parameters are not accepted.`)
    const before = params[name]
    if (before === undefined) params[name] = value
    else if (Array.isArray(before)) before.push(value)
    else params[name] = [before, value]
  }
  return params
}

export interface ConnectionQuery {
  readonly connectionId: string
  readonly message: Params
  readonly lastEventId: string | undefined
}

/** The raw query of a URL, without the `?`. */
export function queryOf(url: string): string {
  const start = url.indexOf('?')
  return start < 0 ? '' : url.slice(start + 1)
}

/** All parameters of a URL. @throws HttpError as `paramsOf`. */
export function queryParams(url: string): Params {
  return paramsOf(new URLSearchParams(queryOf(url)))
}

/**
 * The query of a request that names a connection: the id, and the message's own parameters, which stand after it.
 * (What stands before it is the application's, for `getUser`, but for the last event that the client has handled.)
 */
export function connectionQuery(url: string): ConnectionQuery {
  const pairs = [...new URLSearchParams(queryOf(url))]
  const at = pairs.findIndex(([name]) => name === 'connectionId')
  const own = at < 0 ? pairs : pairs.slice(0, at)
  return {
    connectionId: pairs[at]?.[1] ?? '',
    message: at < 0 ? {} : paramsOf(pairs.slice(at + 1)),
    lastEventId: own.findLast(([name]) => name === 'lastEventId')?.[1],
  }
}

/** `{path}` out of the raw URL, so that an encoded slash is data as well. @throws HttpError 400 */
export function pathIn(path: string, prefix: string): string {
  try {
    return decodeURIComponent(path.slice(prefix.length, -PATH_SUFFIX.length))
  } catch {
    throw new HttpError(400, 'The path is not properly percent-encoded.')
  }
}

/** @throws HttpError 400 if it is not there. */
export function idIn(params: Params): string {
  const id = textIn(params, 'connectionId')
  if (id === undefined) throw new HttpError(400, 'connectionId is missing.')
  return id
}

/** A parameter as text; of several the last. `undefined` if it is not there, empty, or no plain value. */
export function textIn(params: Params, name: string): string | undefined {
  const given = params[name]
  const value: unknown = Array.isArray(given) ? given.at(-1) : given
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  return typeof value === 'string' && value !== '' ? value : undefined
}

/** A parameter as a number of 0 or more; `undefined` if it is not there or is none. */
export function amountIn(params: Params, name: string): number | undefined {
  const amount = Number(textIn(params, name) ?? Number.NaN)
  return Number.isFinite(amount) && amount >= 0 ? amount : undefined
}

/**
 * Refuses what would reach a prototype when an application merges it.
 * @throws HttpError 400 if `__proto__` is a key anywhere inside.
 */
export function checkKeys(value: unknown): void {
  // A stack of our own: nesting as deep as a body is long must not overflow the engine's.
  const rest = [value]
  while (rest.length > 0) {
    const next = rest.pop()
    if (typeof next !== 'object' || next === null) continue
    if (Object.hasOwn(next, '__proto__')) throw forbiddenName()
    for (const member of Object.values(next)) rest.push(member)
  }
}

function forbiddenName(): HttpError {
  return new HttpError(400, 'The name __proto__ is not allowed.')
}
