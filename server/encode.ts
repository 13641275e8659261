const LINE_END = /\r\n|\r|\n/
/** A line end in a name would let it inject another field. */
const FORBIDDEN = /[\r\n\0]/

/** A comment, which every client ignores: it shows proxies that the stream lives. */
export const HEARTBEAT: Buffer = Buffer.from(':\n\n')

/**
 * One event as the bytes of an event stream; made once per event and written to every connection.
 *
 * @param name Name of the event: not empty, without CR, LF and NUL.
 * @param data A string goes as it is, `undefined` as the empty string, anything else as JSON.
 * @throws TypeError for a bad name, or for data that JSON cannot hold.
 */
export function encode(name: string, data: unknown): Buffer {
  checkName(name)
  if (name === '') throw new TypeError('The name of an event must not be empty.')
  let text = `event: ${name}\n`
  for (const line of textOf(data).split(LINE_END)) text += `data: ${line}\n`
  return Buffer.from(`${text}\n`)
}

/** The line that tells an EventSource how long to wait before it comes back. */
export function encodeRetry(ms: number): Buffer {
  return Buffer.from(`retry: ${ms}\n`)
}

function checkName(name: unknown): void {
  if (typeof name !== 'string')
    throw new TypeError(`The name of an event must be a string, not ${typeof name}.`)
  if (FORBIDDEN.test(name)) throw new TypeError('The name of an event must not hold CR, LF or NUL.')
}

function textOf(data: unknown): string {
  if (typeof data === 'string') return data
  if (data === undefined) return ''
  const json: string | undefined = JSON.stringify(data)
  if (json === undefined)
    throw new TypeError(`The data of an event must fit into JSON; a ${typeof data} does not.`)
  return json
}
