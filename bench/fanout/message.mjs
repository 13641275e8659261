/** The message that is sent to all: about 100 bytes of JSON, with its number and the time it was sent. */

/** Stands in every message once, before the time, and nowhere else in what a server sends. */
export const MARK = '|'.charCodeAt(0)
const DIGITS = 15
/** What surely follows the mark within the message. */
export const TAIL = DIGITS + 40

/** µs of a clock that all processes of the machine share. */
export function now() {
  const [seconds, nanoseconds] = process.hrtime()
  return seconds * 1e6 + Math.floor(nanoseconds / 1000)
}

let number = 0

export function makeMessage() {
  number++
  return { number, sent: `|${String(now()).padStart(DIGITS, '0')}`, text: 'x'.repeat(48) }
}

/** When the message was sent whose mark is at this place; NaN if the piece ends before its last digit. */
export function sentAt(bytes, length, mark) {
  const end = mark + 1 + DIGITS
  if (end > length) return Number.NaN
  let time = 0
  for (let at = mark + 1; at < end; at++) time = time * 10 + (bytes[at] - 48)
  return time
}
