/**
 * An answer that is no success, made on purpose. Throw it from `getUser`, `mayJoin`, `onMessage` or `onUpload`:
 * the client gets this status and this message. (Any other error becomes a 500 that tells nothing.)
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
   * @throws RangeError if the status is not one of an error.
   */
  constructor(status: number, message: string, headers: Readonly<Record<string, string>> = {}) {
    if (!Number.isInteger(status) || status < 400 || status > 599) {
      throw new RangeError(`HttpError: the status must be 400 to 599, not ${status}.`)
    }
    super(message)
    this.status = status
    this.headers = headers
  }
}

/**
 * The deliberate answer that an error stands for: an HttpError, or any error with an integer `status` 400 to 499
 * (the habit of `http-errors`); `undefined` for a failure.
 */
export function deliberate(error: unknown): HttpError | undefined {
  if (error instanceof HttpError) return error
  if (!(error instanceof Error) || !('status' in error)) return undefined
  const { status, message } = error
  const isClients = typeof status === 'number' && Number.isInteger(status) && status >= 400 && status < 500
  return isClients ? new HttpError(status, message) : undefined
}
