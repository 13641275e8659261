/** ms between two pieces of one stream. Nobody sees so short a wait, and a busy stream costs a fraction of the writes. */
const GATHER = 20

/** Something that has bytes to write. */
export interface Flushable {
  flush(): void
  /** It could not write. */
  destroy(): void
}

/**
 * When streams write: what comes in one turn of the event loop goes out as one piece, and a stream that has just
 * written waits for more. One callback serves all streams.
 */
export class Turn {
  readonly #report: (error: unknown) => void
  #soon: Flushable[] = []
  #later: Flushable[] = []
  #joined: { readonly events: readonly Buffer[]; readonly bytes: Buffer } | undefined

  /** @param report hears of what a stream throws, which may be the application's: it may have wrapped the response. */
  constructor(report: (error: unknown) => void) {
    this.#report = report
  }

  /** @param writtenAt when it has written last, by `performance.now()` */
  add(stream: Flushable, writtenAt: number): void {
    if (performance.now() - writtenAt < GATHER) {
      if (this.#later.push(stream) === 1) setTimeout(() => this.#flushLater(), GATHER)
    } else if (this.#soon.push(stream) === 1) setImmediate(() => this.#flushSoon())
  }

  /** The events as one piece; made once for all streams that have the same, as in a broadcast. */
  join(events: readonly Buffer[], size: number): Buffer {
    const known = this.#joined
    if (known?.events.length === events.length && known.events.every((event, at) => event === events[at]))
      return known.bytes
    const bytes = Buffer.concat(events, size)
    this.#joined = { events, bytes }
    return bytes
  }

  #flushSoon(): void {
    const streams = this.#soon
    this.#soon = []
    this.#flush(streams)
  }

  #flushLater(): void {
    const streams = this.#later
    this.#later = []
    this.#flush(streams)
  }

  #flush(streams: Flushable[]): void {
    for (const stream of streams) this.#run(stream)
    // Not kept longer than its events.
    this.#joined = undefined
  }

  /** What one stream throws must not stop the others. */
  #run(stream: Flushable): void {
    try {
      stream.flush()
    } catch (error) {
      stream.destroy()
      this.#report(error)
    }
  }
}
