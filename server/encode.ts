import { MESSAGE_MARK } from '../client/protocol'
import { type Cursor, formatCursor } from './cursor'

const LINE_END = /\r\n|\r|\n/
/** A line end in a name would let it inject another field. */
const FORBIDDEN = /[\r\n\0]/

/** A comment, which every client ignores: it shows proxies and clients that the stream lives. */
export const HEARTBEAT: Buffer = Buffer.from(':\n\n')

/**
 * One event as the bytes of an event stream; made once per event and written to every connection.
 *
 * @param name As `checkName` allows it.
 * @param data As `textOf` makes it.
 * @param id The cursor behind the event; none for what concerns this connection alone and is not in the log.
 */
export function encode(name: string, data: string, id?: string): Buffer {
  let text = id === undefined ? '' : `id: ${id}\n`
  text += `event: ${name}\n`
  // Most data has one line; the search for its ends is most of the work.
  if (!LINE_END.test(data)) return Buffer.from(`${text}data: ${data}\n\n`)
  for (const line of data.split(LINE_END)) text += `data: ${line}\n`
  return Buffer.from(`${text}\n`)
}

/**
 * An event of the log, with the cursor behind it as its id. One that brings a message has that in its id too; then the
 * bare cursor follows, because an event without an id counts as having the last one ([spec] WHATWG HTML, 9.2.6), and
 * must not pass for the message.
 */
export function encodeEntry(name: string, data: string, place: Cursor, message?: string): Buffer {
  const cursor = formatCursor(place)
  if (message === undefined) return encode(name, data, cursor)
  return Buffer.concat([
    encode(name, data, cursor + MESSAGE_MARK + message),
    Buffer.from(`id: ${cursor}\n\n`),
  ])
}

/** The line that tells an EventSource how long to wait before it comes back. */
export function encodeRetry(ms: number): Buffer {
  return Buffer.from(`retry: ${ms}\n`)
}

/** @throws TypeError for what is no name of an event: not a string, empty, or with CR, LF or NUL. */
export function checkName(name: unknown): void {
  if (typeof name !== 'string')
    throw new TypeError(`The name of an event must be a string, not ${typeof name}.`)
  if (FORBIDDEN.test(name)) throw new TypeError('The name of an event must not hold CR, LF or NUL.')
  if (name === '') throw new TypeError('The name of an event must not be empty.')
}

/**
 * A string goes as it is, `undefined` as the empty string, anything else as JSON.
 * @throws TypeError for data that JSON cannot hold.
 */
export function textOf(data: unknown): string {
  if (typeof data === 'string') return data
  if (data === undefined) return ''
  const json: string | undefined = JSON.stringify(data)
  if (json === undefined)
    throw new TypeError(`The data of an event must fit into JSON; a ${typeof data} does not.`)
  return json
}
