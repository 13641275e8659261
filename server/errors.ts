import { validateHeaderName, validateHeaderValue } from 'node:http'
import { ERROR_UNKNOWN_CONNECTION, HEADER_ERROR } from '../client/protocol'

/**
 * An answer that is no success, made on purpose. Throw it from `getUser`, `mayJoin`, `onMessage` or `onUpload`:
 * the client gets this status and this message. (An error of `http-errors` for clients,
 * with `expose` and a status 400 to 499, does the same; any other becomes a 500 that tells nothing.)
 *
 * @example throw new HttpError(404, 'No such path.')
 */
export class HttpError extends Error {
  override readonly name = 'HttpError'
  /** HTTP status, 400 to 599. */
  readonly status: number
  /** Headers that go with the answer, e.g. `Retry-After`. */
  readonly headers: Readonly<Record<string, string>>

  /**
   * @param status HTTP status, 400 to 599.
   * @param message One sentence for the client that says what to do.
   * @throws RangeError if the status is not one of an error, TypeError if HTTP does not allow a header.
   */
  constructor(status: number, message: string, headers: Readonly<Record<string, string>> = {}) {
    if (!Number.isInteger(status) || status < 400 || status > 599) {
      throw new RangeError(`HttpError: the status must be 400 to 599, not ${status}.`)
    }
    super(message)
    this.status = status
    this.headers = { ...headers }
    for (const [name, value] of Object.entries(this.headers)) {
      validateHeaderName(name)
      validateHeaderValue(name, value)
    }
  }
}

/**
 * The deliberate answer that an error stands for: an HttpError, or another library's error with a status 400 to 499
 * that says of its message that clients may see it (`expose` of `http-errors`); `undefined` for a failure.
 */
export function deliberate(error: unknown): HttpError | undefined {
  try {
    return meantForClients(error)
  } catch {
    // Anything can be thrown, also what cannot be looked at: a failure like others.
    return undefined
  }
}

function meantForClients(error: unknown): HttpError | undefined {
  if (error instanceof HttpError) return error
  if (error instanceof StoreUnavailableError)
    return new HttpError(503, 'The store cannot be reached; try again later.', { 'Retry-After': '1' })
  if (!(error instanceof Error && 'status' in error && 'expose' in error)) return undefined
  const { status, expose, message } = error
  const isClients = typeof status === 'number' && Number.isInteger(status) && status >= 400 && status < 500
  return expose === true && isClients ? new HttpError(status, message) : undefined
}

/** A client that is told so connects anew. */
export function unknownConnection(): HttpError {
  return new HttpError(404, 'This connection is not open; connect again.', {
    [HEADER_ERROR]: ERROR_UNKNOWN_CONNECTION,
  })
}

/** Something is full, and nothing is let go to make room: what was asked for was not done. */
export class LimitError extends Error {
  override readonly name = 'LimitError'
}

/** The store cannot be reached. What waits for it may be tried again. */
export class StoreUnavailableError extends Error {
  override readonly name = 'StoreUnavailableError'
  /** It may have been done all the same: it was on its way when the store went away. */
  readonly isUncertain: boolean

  constructor(message: string, isUncertain: boolean, cause?: unknown) {
    super(message, { cause })
    this.isUncertain = isUncertain
  }
}

/** The client broke off while it was sending. */
export function cutOff(): HttpError {
  return new HttpError(400, 'The body was cut off.')
}
