/** Base of every error this client makes. What the network or a wrong option throws stays what it is: a `TypeError`. */
export class SseError extends Error {
  override readonly name: string = 'SseError'
}

/** The stream ended for good: no further attempt is made before `connect()`. */
export class ConnectError extends SseError {
  override readonly name = 'ConnectError'
  constructor(
    message: string,
    /** HTTP status of the answer. */
    readonly status: number,
  ) {
    super(message)
  }
}

/** `maxQueued` requests wait already; this one was not taken. */
export class OutboxFullError extends SseError {
  override readonly name = 'OutboxFullError'
}

/** The request was not answered within its `timeout`, or failed too often. `cause` holds the last failure, if there was one. */
export class ExpiredError extends SseError {
  override readonly name = 'ExpiredError'
}

/** The request's `signal` was aborted; `cause` is the signal's reason. */
export class AbortError extends SseError {
  override readonly name = 'AbortError'
}

/** `destroy()` was called: nothing is sent any more. */
export class DestroyedError extends SseError {
  override readonly name = 'DestroyedError'
}
