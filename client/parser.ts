export interface ParserHandlers {
  onEvent(type: string, data: string, lastEventId: string): void
  /** Bytes came, of whatever kind. */
  onLife(): void
  /** The stream's own wish for the delay before reconnecting, ms. */
  onRetry(ms: number): void
}

/**
 * Reads an event stream piece by piece. Quotes are from https://html.spec.whatwg.org/multipage/server-sent-events.html
 * It works on positions in the piece and cuts out only what an event keeps; that is most of the speed.
 */
export function createParser({ onEvent, onRetry }: Omit<ParserHandlers, 'onLife'>): (piece: string) => void {
  let rest = ''
  let afterCR = false
  let type = ''
  let data: string | undefined
  let lastEventId = ''

  function dispatch(): void {
    // [spec] "If the data buffer is an empty string, set the data buffer and the event type buffer to the empty string and return."
    if (data !== undefined) onEvent(type || 'message', data, lastEventId)
    type = ''
    data = undefined
  }

  function field(name: string, value: string): void {
    if (name === 'data') data = data === undefined ? value : `${data}\n${value}`
    else if (name === 'event') type = value
    // [spec] "If the field value does not contain U+0000 NULL, then set the last event ID buffer to the field value. Otherwise, ignore the field."
    else if (name === 'id' && !value.includes('\0')) lastEventId = value
    // [spec] "If the field value consists of only ASCII digits"
    else if (name === 'retry' && /^\d+$/.test(value)) onRetry(Number(value))
  }

  function line(text: string, start: number, end: number): void {
    if (start === end) return dispatch()
    const found = text.indexOf(':', start)
    const colon = found === -1 || found > end ? end : found
    // [spec] "If value starts with a U+0020 SPACE character, remove it from value."
    const from = text[colon + 1] === ' ' ? colon + 2 : colon + 1
    field(text.slice(start, colon), text.slice(from, end))
  }

  /** A line that began in an earlier piece; only such lines are joined, so a long one costs no copy per piece. */
  function lineAt(piece: string, start: number, end: number): void {
    if (rest === '') return line(piece, start, end)
    const whole = rest + piece.slice(start, end)
    rest = ''
    line(whole, 0, whole.length)
  }

  return (piece) => {
    let start = afterCR && piece[0] === '\n' ? 1 : 0
    if (piece) afterCR = piece.at(-1) === '\r'
    // [spec] lines end with CRLF, LF, or CR
    const text = piece.includes('\r') ? piece.replace(/\r\n?/g, '\n') : piece
    let end = text.indexOf('\n', start)
    while (end >= 0) {
      lineAt(text, start, end)
      start = end + 1
      end = text.indexOf('\n', start)
    }
    rest += text.slice(start)
  }
}
