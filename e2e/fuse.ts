/** Where connections are to be cut; one for all connections of a proxy. */
export interface Cut {
  /** So many bytes go through before it. */
  readonly bytes: number
  /** Counts only what follows the head of an event stream; other connections are spared. */
  readonly streams: boolean
  /** How many connections it may still cut. */
  times: number
}

/** The head of a response that is an event stream. What only mentions one, as the module does, has no such lines around it. */
const STREAM_HEAD =
  /HTTP\/1\.[01] \d{3}[^\r\n]*\r\n(?:[^\r\n]+\r\n)*?content-type:[ \t]*text\/event-stream[^\r\n]*\r\n(?:[^\r\n]+\r\n)*\r\n/i
/** A head in which a stream is still found when it comes in pieces (Node's own limit, too). */
const LONGEST_HEAD = 16 * 1024

/** Counts what goes one way of one connection, and says where to cut. */
export class Fuse {
  /** Cuts the connection. */
  readonly blow: () => void
  #cut: Cut | undefined
  #left = 0
  /** The last that went through, as long as no stream was seen. */
  #tail = ''
  #isStream = false

  constructor(blow: () => void) {
    this.blow = blow
  }

  /** Counts from here on. */
  light(cut: Cut): void {
    this.#cut = cut
    this.#left = cut.bytes
  }

  /** After how many bytes of this piece to cut; `undefined`: not in this one. */
  burn(piece: Buffer): number | undefined {
    const streamAt = this.#streamAt(piece)
    const cut = this.#cut
    const from = cut?.streams ? streamAt : 0
    if (!cut || cut.times <= 0 || from === undefined) return undefined
    const counted = piece.length - from
    this.#left -= counted
    if (this.#left > 0) return undefined
    cut.times--
    return from + counted + this.#left
  }

  /** Where in this piece the stream goes on, or its body begins; `undefined`: no stream so far. */
  #streamAt(piece: Buffer): number | undefined {
    if (this.#isStream) return 0
    const before = this.#tail.length
    const text = this.#tail + piece.toString('latin1')
    const found = STREAM_HEAD.exec(text)
    this.#isStream = found !== null
    this.#tail = found ? '' : text.slice(-LONGEST_HEAD)
    return found ? found.index + found[0].length - before : undefined
  }
}
