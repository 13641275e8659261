import { ServerResponse } from 'node:http'
import type { Writable } from 'node:stream'
import { HEARTBEAT } from './encode'
import type { Turn } from './turn'

/** ms after the end of a stream until a client that does not read it any more is cut off. */
const CUT_AFTER = 2000
/** Bytes that are handed to the socket at once; what waits behind them is not copied. */
const PIECE = 64 * 1024
/** So many of the queue may be gone before the rest moves up. */
const PASSED = 1024

/** Head of the stream. `no-transform` and `X-Accel-Buffering` keep proxies from holding events back. */
const HEAD = {
  'Content-Type': 'text/event-stream',
  'Cache-Control': 'no-cache, no-transform',
  'X-Accel-Buffering': 'no',
} as const

/** What a connection writes to. */
export interface Channel {
  /** Settles when the client is gone or was let go, whoever ended it. */
  readonly closed: Promise<void>
  /** Bytes that wait for the client to read. */
  readonly waiting: number
  /** Whether what is written now leaves. */
  readonly hasReader: boolean
  /** An event that is in the log. @returns whether it is still taken. */
  write(event: Buffer): boolean
  /** An event that is not in the log, and so can be had only now. */
  tell(event: Buffer): boolean
  /** Events that are made as fast as the client reads them; before all that is written later. */
  pour(events: Iterator<Buffer>): void
  beat(): void
  /** Forgets what waits. */
  discard(): void
  /** Writes what waits, then ends. */
  end(): void
}

/** The bytes of one response. */
export class EventStream implements Channel {
  readonly closed: Promise<void>
  readonly #response: ServerResponse
  readonly #turn: Turn
  readonly #isOpenEnded: boolean
  /** Where the bytes go; none before the first. */
  #sink: Writable | undefined
  /** Events, and what makes them when their turn comes. */
  #queue: (Buffer | Iterator<Buffer>)[] = []
  /** How many of the queue are gone. */
  #at = 0
  #waiting = 0
  #writtenAt = Number.NEGATIVE_INFINITY
  #isScheduled = false
  #isIdle = false
  #isEnded = false

  /** @param isOpenEnded whether its client need not know where it ends, because it is a stream. */
  constructor(response: ServerResponse, turn: Turn, isOpenEnded: boolean) {
    this.#response = response
    this.#turn = turn
    this.#isOpenEnded = isOpenEnded
    // Without a listener a write to a socket that has just gone would end the process.
    response.on('error', () => {})
    this.closed = new Promise((resolve) => {
      if (response.closed) resolve()
      else response.once('close', () => resolve())
    })
  }

  get waiting(): number {
    return this.#waiting
  }

  get hasReader(): boolean {
    return !this.#isEnded && !this.#response.destroyed
  }

  write(bytes: Buffer): boolean {
    if (!this.hasReader) return false
    if (bytes !== HEARTBEAT) this.#isIdle = false
    this.#queue.push(bytes)
    this.#waiting += bytes.length
    // In a long turn the socket may as well begin.
    if (this.#waiting >= PIECE && this.#sink !== undefined) this.flush()
    else this.#schedule()
    return true
  }

  tell(bytes: Buffer): boolean {
    return this.write(bytes)
  }

  pour(events: Iterator<Buffer>): void {
    this.#queue.push(events)
    this.#schedule()
  }

  /** Writes a comment if nothing else was written since the last beat. */
  beat(): void {
    if (this.#isIdle && this.#waiting === 0) this.write(HEARTBEAT)
    this.#isIdle = true
  }

  discard(): void {
    this.#queue = []
    this.#at = 0
    this.#waiting = 0
  }

  /** @param cutAfter ms until a client that does not read it all is cut off. */
  end(cutAfter = CUT_AFTER): void {
    if (this.#isEnded) return
    this.#isEnded = true
    this.flush()
    const cut = setTimeout(() => this.#response.destroy(), cutAfter)
    void this.closed.then(() => clearTimeout(cut))
  }

  destroy(): void {
    this.#isEnded = true
    this.#response.destroy()
  }

  /** Until the client does not keep up; then `drain` goes on. */
  flush(): void {
    this.#isScheduled = false
    if (this.#response.destroyed) return
    const sink = this.#sink ?? this.#open()
    while (!sink.writableNeedDrain) {
      const piece = this.#take()
      if (piece !== undefined) sink.write(piece)
      else if (this.#isEnded) return void this.#response.end()
      else break
    }
    this.#writtenAt = performance.now()
  }

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    this.#turn.add(this, this.#writtenAt)
  }

  #open(): Writable {
    const sink = openSink(this.#response, this.#isOpenEnded)
    sink.on('drain', () => this.flush())
    this.#sink = sink
    return sink
  }

  #take(): Buffer | undefined {
    const parts: Buffer[] = []
    let size = 0
    while (size < PIECE) {
      const next = this.#next()
      if (next === undefined) break
      parts.push(next)
      size += next.length
    }
    return parts.length > 1 ? this.#turn.join(parts, size) : parts[0]
  }

  #next(): Buffer | undefined {
    for (;;) {
      const head = this.#queue[this.#at]
      if (head === undefined) return void this.discard()
      if (Buffer.isBuffer(head)) return this.#shift(head)
      const made = head.next()
      if (!made.done) return made.value
      this.#at++
    }
  }

  #shift(event: Buffer): Buffer {
    this.#waiting -= event.length
    this.#at++
    if (this.#at === PASSED) {
      this.#queue = this.#queue.slice(PASSED)
      this.#at = 0
    }
    return event
  }
}

/**
 * Sends the head. A body in chunks costs several times as much as bytes straight to the socket, which are the body where
 * its end is that of the connection. HTTP/2, and whoever wraps the response, gets them through the response.
 */
function openSink(response: ServerResponse, isOpenEnded: boolean): Writable {
  const { socket } = response
  const isPlain = response.write === ServerResponse.prototype.write && response.req.httpVersionMajor === 1
  if (!isPlain || !isOpenEnded || socket === null) return response.writeHead(200, HEAD)
  response.removeHeader('Transfer-Encoding')
  response.removeHeader('Content-Length')
  response.writeHead(200, { ...HEAD, Connection: 'close' }).flushHeaders()
  return socket
}
