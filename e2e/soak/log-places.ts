/** Where a cursor points to: behind the event with this number. */
export interface LogPlace {
  readonly epoch: string
  readonly n: number
  /** In the middle of a catch-up, in which an event that stands for many is still to come. */
  readonly isAmid: boolean
}

/** Reads cursors. The soak numbers all that it sends, and a log numbers all that it gets: both go up by one. */
export class LogPlaces {
  /** The number of the last event before the log of this epoch began. */
  readonly #before = new Map<string, number>()

  begin(epoch: string, before: number): void {
    this.#before.set(epoch, before)
  }

  /** @throws Error for a cursor that no log of the soak can have given. */
  of(cursor: string): LogPlace {
    const [epoch = '', seq, ...range] = cursor.split('-')
    const before = this.#before.get(epoch)
    const n = Number(seq)
    if (before === undefined || !Number.isInteger(n)) throw new Error(`An unknown cursor: ${cursor}`)
    return { epoch, n: before + n, isAmid: range.length > 0 }
  }
}
