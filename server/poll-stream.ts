import { HEARTBEAT } from './encode'
import type { Channel, EventStream } from './stream'

/** ms until a client that was answered, and did not ask again, counts as gone. */
export const LINGER = 10_000
/** ms that a slow client may take for one answer; cut short, it would get nothing through a proxy that buffers. */
const ANSWER_TIME = 60_000

/**
 * A connection by long polling: each response ends as soon as it holds an event. What is in the log need not be kept
 * between two responses, because the next request says where the client is.
 */
export class PollStream implements Channel {
  readonly closed: Promise<void>
  #close!: () => void
  #response: EventStream | undefined
  /** How often the client has asked. */
  #asked = 0
  /** Something was written to the response. */
  #isFilled = false
  /** What the client missed was written; the next event ends the response. */
  #isAnswered = false
  /** Until the wait for an event, or for the next request, is over. */
  #timer: NodeJS.Timeout | undefined
  /** What is not in the log, and came while there was no response. */
  #told: Buffer[] = []

  constructor() {
    this.closed = new Promise((resolve) => {
      this.#close = resolve
    })
  }

  get waiting(): number {
    return this.#response?.waiting ?? 0
  }

  /** Between two responses there is none. */
  get hasReader(): boolean {
    return this.#response?.hasReader === true
  }

  /** There is something that can be told only by an answer that is still to come. */
  get hasFarewell(): boolean {
    return this.#told.length > 0
  }

  /** The client asks again. @returns whether it has not asked once more since. */
  attach(response: EventStream): () => boolean {
    this.#release()
    clearTimeout(this.#timer)
    this.#response = response
    this.#isFilled = false
    this.#isAnswered = false
    void response.closed.then(() => this.#response === response && this.#release())
    const asked = ++this.#asked
    return () => this.#asked === asked
  }

  /** What the client missed was written. @param wait ms until the response ends even without any event */
  answer(wait: number): void {
    // It may have gone meanwhile; then the time till it asks again is running.
    if (this.#response === undefined) return
    for (const event of this.#told.splice(0)) this.write(event)
    this.#isAnswered = true
    if (this.#isFilled || wait === 0) this.#release()
    else this.#timer = setTimeout(() => this.write(HEARTBEAT), wait).unref()
  }

  write(event: Buffer): boolean {
    this.#response?.write(event)
    this.#fill()
    return true
  }

  tell(event: Buffer): boolean {
    if (this.#response === undefined) this.#told.push(event)
    return this.write(event)
  }

  pour(events: Iterator<Buffer>): void {
    this.#response?.pour(events)
    this.#fill()
  }

  /** Nothing between proxy and client needs it: no response is open for long. */
  beat(): void {}

  discard(): void {
    this.#response?.discard()
  }

  end(): void {
    this.#release()
    clearTimeout(this.#timer)
    this.#close()
  }

  #fill(): void {
    this.#isFilled = true
    const response = this.#response
    // What else comes in this turn of the event loop is part of the same answer.
    if (this.#isAnswered) setImmediate(() => this.#response === response && this.#release())
  }

  /** Ends the response, and waits for the next request. */
  #release(): void {
    if (this.#response === undefined) return
    this.#response.end(ANSWER_TIME)
    this.#response = undefined
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.end(), LINGER).unref()
  }
}
