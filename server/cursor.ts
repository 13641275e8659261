import { MESSAGE_MARK } from '../client/protocol'

/** A place in the log of one epoch: behind the entry with this number. */
export interface Position {
  readonly epoch: string
  readonly seq: number
}

/** Where a client is. */
export interface Cursor extends Position {
  /**
   * Amid a catch-up over `from` (exclusive) to `to`, in which an event that stands for many is still to come: what that
   * one counts begins at `from`, not at `seq`.
   */
  readonly range?: { readonly from: number; readonly to: number }
}

/** For others an opaque text; here `epoch-seq`, or amid a catch-up `epoch-seq-from-to`. */
export function formatCursor({ epoch, seq, range }: Cursor): string {
  return range === undefined ? `${epoch}-${seq}` : `${epoch}-${seq}-${range.from}-${range.to}`
}

/** The message in an event's id. */
export function messageIn(id: string | undefined): string | undefined {
  return id?.split(MESSAGE_MARK)[1]
}

/** Of an event's id, too. `undefined` for what is no cursor of ours: an EventSource may bring the id of another server's events. */
export function parseCursor(text: string): Cursor | undefined {
  const [, epoch, seq, from, to] =
    /^([0-9a-z]{1,32})-(\d{1,15})(?:-(\d{1,15})-(\d{1,15}))?(?:~[\w-]*)?$/.exec(text) ?? []
  if (epoch === undefined) return undefined
  const cursor = { epoch, seq: Number(seq) }
  if (from === undefined) return cursor
  const range = { from: Number(from), to: Number(to) }
  return range.from <= cursor.seq && cursor.seq <= range.to ? { ...cursor, range } : undefined
}
