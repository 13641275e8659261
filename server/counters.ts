/** Why connections end, as far as we say it or our client does. */
const REASONS = [
  ...['close', 'freeze', 'offline', 'pagehide', 'silent', 'switchURL', 'visibilitychange'],
  ...[
    'lost',
    'server-close',
    'server-shutdown',
    'slow-reader',
    'superseded',
    'timeout',
    'too-many-connections',
  ],
]
const OTHER = 'other'

/** What is counted since the process began: plain numbers, because what they count is hot. */
export class Counters {
  connects = 0
  /** Connections in the place of others, whose ends nobody was told of. */
  returns = 0
  /** Events that the application has sent. */
  sent = 0
  /** Events that were written, one for each connection. */
  delivered = 0
  /** Messages and uploads that a handler was given. */
  messages = 0
  uploads = 0
  /** Acknowledgements of messages that wait no more. */
  acknowledged = 0
  /** Messages that were sent to a client again, or to one that came later. */
  redelivered = 0
  readonly #disconnects = new Map<string, number>()
  readonly #refusals = new Map<number, number>()

  connected(isReturn: boolean): void {
    if (isReturn) this.returns++
    else this.connects++
  }

  /** A reason may be the application's own text, or a client's: those count as one, or they would fill the memory. */
  disconnected(reason: string): void {
    const known = REASONS.includes(reason) ? reason : OTHER
    this.#disconnects.set(known, (this.#disconnects.get(known) ?? 0) + 1)
  }

  /** A request was answered with this status, 400 or more. */
  refused(status: number): void {
    this.#refusals.set(status, (this.#refusals.get(status) ?? 0) + 1)
  }

  get disconnects(): ReadonlyMap<string, number> {
    return this.#disconnects
  }

  get refusals(): ReadonlyMap<number, number> {
    return this.#refusals
  }
}
