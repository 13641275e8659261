/** Base of every error this client makes. What the network or a wrong option throws stays what it is: a `TypeError`. */
export class SseError extends Error {
  override get name(): string {
    return 'SseError'
  }
}

/** A kind of error, with a literal name that outlives the minifier. */
function kind<Name extends string>(
  name: Name,
): new (
  message?: string,
  options?: ErrorOptions,
) => SseError & { readonly name: Name } {
  return class extends SseError {
    override get name(): Name {
      return name
    }
  }
}

/** The stream ended for good: no further attempt is made before `connect()`. */
export class ConnectError extends kind('ConnectError') {
  constructor(
    message: string,
    /** HTTP status of the answer. */
    readonly status: number,
  ) {
    super(message)
  }
}

/** `maxQueued` requests wait already; this one was not taken. */
export const OutboxFullError = kind('OutboxFullError')
export type OutboxFullError = InstanceType<typeof OutboxFullError>

/** The request was not answered within its `timeout`, or failed too often. `cause` holds the last failure, if there was one. */
export const ExpiredError = kind('ExpiredError')
export type ExpiredError = InstanceType<typeof ExpiredError>

/** The request's `signal` was aborted; `cause` is the signal's reason. */
export const AbortError = kind('AbortError')
export type AbortError = InstanceType<typeof AbortError>

/** `destroy()` was called: nothing is sent any more. */
export const DestroyedError = kind('DestroyedError')
export type DestroyedError = InstanceType<typeof DestroyedError>
