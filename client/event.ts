/**
 * What a listener gets. It reads like a `MessageEvent`, but is a plain object: building a DOM event for each message is what makes clients slow.
 * The methods of a DOM event (`preventDefault` and the like) are not there.
 */
export interface SseEvent<T = string> extends MessageEvent<T> {
  /** `data`, parsed at the first use. Throws a `SyntaxError` if it is no JSON. */
  readonly json: unknown
  /** True if the event was sent while this page was away, and is caught up on now. */
  readonly replayed: boolean
  /** `url` of the Sse that received it. */
  readonly url: string
  /** With `connect-close`: who ended the connection. */
  readonly whoTriggerClose?: 'client' | 'server'
  /** With `connect-close`: why. */
  readonly closeReason?: string
  /** With `sse-state`: why the state changed. */
  readonly reason?: string
  /** With `sse-state`: there if no further attempt is made before `connect()`. */
  readonly error?: Error
}

/** Data of `sse-change-active`. */
export interface ActiveChange {
  oldActive: boolean
  newActive: boolean
  /** Seconds: `sessionDuration` of this tab before, `duration` since the last change to active. */
  duration: Duration
}

export interface Duration {
  sessionDuration: number
  duration: number
}

/** What listeners of `connect-close` are told besides. */
export interface Closing {
  whoTriggerClose: 'client' | 'server'
  closeReason: string
}

/** Data of `sse-state`. */
export interface StateChange {
  oldState: number
  newState: number
  /** What led to it, e.g. `visibilitychange`, `close`, `offline`, `connect-finish`, `network`. */
  reason: string
  /** Only when no further attempt is made before `connect()`. */
  error?: Error
}

/** The implementation of {@link SseEvent}. */
export class ReceivedEvent {
  // No `#`: an event that is kept in reactive state (Vue, MobX) is read through a proxy, which has no private fields.
  private parsed: unknown
  constructor(
    readonly type: string,
    readonly data: unknown,
    readonly lastEventId: string,
    readonly origin: string,
    readonly url: string,
    readonly replayed: boolean,
    /** Further fields, of events that the SDK itself emits. */
    readonly extra?: object,
  ) {
    if (extra) Object.assign(this, extra)
  }

  get json(): unknown {
    this.parsed ??= typeof this.data === 'string' ? JSON.parse(this.data) : this.data
    return this.parsed
  }
}
