import type { ServerResponse } from 'node:http'
import { HEARTBEAT } from './encode'

/** ms after the end of a stream until a client that does not read it any more is cut off. */
const CUT_AFTER = 2000

/** The bytes of one response that stays open. What is written in one turn of the event loop goes out as one piece. */
export class EventStream {
  /** Settles when the socket is done with this stream, whoever ended it. */
  readonly closed: Promise<void>
  readonly #response: ServerResponse
  #queue: Buffer[] = []
  #isIdle = false
  #isEnded = false

  /** @param response with its head written. */
  constructor(response: ServerResponse) {
    this.#response = response
    // Without a listener a write to a socket that has just gone would end the process.
    response.on('error', () => {})
    this.closed = new Promise((resolve) => {
      if (response.closed) resolve()
      else response.once('close', () => resolve())
    })
  }

  /** @returns whether the stream still takes it. */
  write(bytes: Buffer): boolean {
    if (this.#isEnded || this.#response.destroyed) return false
    if (bytes !== HEARTBEAT) this.#isIdle = false
    if (this.#queue.push(bytes) === 1) setImmediate(() => this.#flush())
    return true
  }

  /** Writes a comment if nothing else was written since the last beat. */
  beat(): void {
    if (this.#isIdle) this.write(HEARTBEAT)
    this.#isIdle = true
  }

  /** Writes what waits, then ends. */
  end(): void {
    if (this.#isEnded) return
    this.#flush()
    this.#isEnded = true
    this.#response.end()
    const cut = setTimeout(() => this.#response.destroy(), CUT_AFTER)
    void this.closed.then(() => clearTimeout(cut))
  }

  #flush(): void {
    const queue = this.#queue
    const [first] = queue
    if (first === undefined || this.#response.destroyed) return
    this.#queue = []
    this.#response.write(queue.length === 1 ? first : Buffer.concat(queue))
  }
}
