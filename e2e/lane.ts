import type { Socket } from 'node:net'
import type { Fuse } from './fuse'

/** What is wrong with one direction, and what came there; shared by all lanes that go there. */
export interface Faults {
  stalled: boolean
  /** ms */
  delay: number
  /** bytes per second, per lane */
  rate: number
  /** from the senders so far, whether it arrived or not */
  bytes: number
}

/**
 * So many bytes wait here before the source is no longer read: the sender feels it, and memory stays bounded. More than
 * one read (64 kB), so that a throttled lane does not stand still until the next comes.
 */
const HELD = 128 * 1024
/** A throttled lane lets so many pieces through per second, so that it trickles instead of jerking. */
const PIECES = 50
/** ms of a throttled lane that timers may be late, and are made up for: on a busy machine each is. */
const LATE = 250

/**
 * ms between the last bytes and the cut that follows them. Who finds both at once may take the cut for an end (libuv
 * does), or throw the bytes away for it (a browser's `fetch` does).
 */
const LAST_BYTES = 20

interface Item {
  what: Buffer | 'end' | 'reset'
  /** On the clock of `performance.now()`. */
  due: number
}

/** Resets a connection. */
export function reset(socket: Socket): void {
  // While an end is on its way, behind bytes that nobody reads, Node cannot reset.
  if (socket.writableEnded && !socket.writableFinished) socket.destroy()
  else if (!socket.destroyed) socket.resetAndDestroy()
}

/** One direction of one connection. Ends and resets wait in line like bytes: a dead line does not tell of them either. */
export class Lane {
  readonly #source: Socket
  readonly #target: Socket
  readonly #faults: Faults
  readonly #fuse: Fuse | undefined
  readonly #held: Item[] = []
  #bytes = 0
  /** When the throttle lets the next piece through. */
  #freeAt = 0
  #timer: NodeJS.Timeout | undefined
  #closed = false

  constructor(source: Socket, target: Socket, faults: Faults, fuse?: Fuse) {
    this.#source = source
    this.#target = target
    this.#faults = faults
    this.#fuse = fuse
    source.on('data', (chunk: Buffer) => this.#take(chunk)).on('end', () => this.#take('end'))
    // `close` follows, and tells all that matters.
    source.on('error', () => {})
    source.on('close', (failed) => {
      if (failed || !source.readableEnded) this.#take('reset')
    })
    target.on('drain', () => this.flush())
  }

  /** Lets through what may go; to be called when the faults have changed. */
  flush(): void {
    clearTimeout(this.#timer)
    for (let item = this.#held[0]; item && this.#isOpen(); item = this.#held[0]) {
      const wait = this.#wait(item)
      if (wait > 0) {
        this.#timer = setTimeout(() => this.flush(), wait)
        return
      }
      this.#pass(item)
    }
  }

  /** Nothing goes through any more. */
  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
    this.#held.length = 0
  }

  #take(what: Item['what']): void {
    if (this.#closed) return
    // What nobody sent meanwhile is not made up for.
    if (this.#held.length === 0) this.#freeAt = Math.max(this.#freeAt, performance.now())
    this.#held.push({ what, due: performance.now() + this.#faults.delay })
    if (typeof what !== 'string') {
      this.#faults.bytes += what.length
      this.#count(what.length)
    }
    this.flush()
  }

  #isOpen(): boolean {
    const { destroyed, writableNeedDrain } = this.#target
    return !this.#closed && !this.#faults.stalled && !destroyed && !writableNeedDrain
  }

  /** ms */
  #wait({ due }: Item): number {
    const free = Number.isFinite(this.#faults.rate) ? this.#freeAt : 0
    return Math.max(due, free) - performance.now()
  }

  #pass(item: Item): void {
    if (item.what === 'reset') reset(this.#target)
    else if (item.what === 'end') this.#target.end()
    else return this.#write(item, item.what)
    this.#held.shift()
  }

  #write(item: Item, bytes: Buffer): void {
    const { rate } = this.#faults
    const piece = bytes.subarray(0, Math.max(1, Math.floor(rate / PIECES)))
    if (piece.length < bytes.length) item.what = bytes.subarray(piece.length)
    else this.#held.shift()
    this.#freeAt = Math.max(this.#freeAt, performance.now() - LATE) + (piece.length / rate) * 1000
    const cutAt = this.#fuse?.burn(piece)
    if (cutAt === undefined) this.#target.write(piece)
    else this.#cut(piece.subarray(0, cutAt))
    this.#count(-piece.length)
  }

  #cut(last: Buffer): void {
    this.close()
    // `setImmediate`: a client in this process reads before it, however late the timer is.
    const blow = (): unknown => setImmediate(() => this.#fuse?.blow())
    this.#target.write(last, () => setTimeout(blow, LAST_BYTES))
  }

  #count(bytes: number): void {
    this.#bytes += bytes
    if (this.#bytes >= HELD) this.#source.pause()
    else if (this.#source.isPaused()) this.#source.resume()
  }
}
