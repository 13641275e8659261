import type { ServerResponse } from 'node:http'
import { type Answer, TYPE_BATCH } from '../client/protocol'
import { deliberate, HttpError } from './errors'

const JSON_TYPE = { 'Content-Type': 'application/json; charset=utf-8' }

/** An answer as it goes out, and as it is remembered. */
export interface Reply {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** How the application wraps its successes, if it does. */
interface Wrapping {
  wrapOk?(data: unknown): unknown
}

/** @throws TypeError if the data does not fit into JSON; what the application's wrapping throws. */
export async function successOf(data: unknown, wrapping: Wrapping = {}): Promise<Reply> {
  const given = orNull(data)
  const wrapped = wrapping.wrapOk === undefined ? wrap(given) : await wrapping.wrapOk(given)
  return { status: 200, headers: JSON_TYPE, body: JSON.stringify(wrapped) ?? 'null' }
}

/** The answer that an error stands for. A failure is reported; the answer tells nothing of it. */
export function refusalOf(error: unknown, report: () => void): Reply {
  const refusal = deliberate(error)
  if (refusal === undefined) report()
  const { status, message, headers } =
    refusal ?? new HttpError(500, "The handler failed; see the server's log.")
  const body: Answer<null> = { success: false, code: status, data: null, message, errorMessage: message }
  return { status, headers: { ...headers, ...JSON_TYPE }, body: JSON.stringify(body) }
}

export function send(res: ServerResponse, { status, headers, body }: Reply): void {
  res.statusCode = status
  for (const [name, value] of Object.entries(headers)) res.setHeader(name, value)
  res.setHeader('Content-Length', Buffer.byteLength(body))
  res.setHeader('Cache-Control', 'no-store')
  res.end(body)
}

/** Bytes of lines that may wait for a client that does not read. */
const WAITING_LINES = 4 * 1024 * 1024

/** An answer that comes line by line. */
interface Lines {
  /** @returns whether there is room for another. */
  write(value: object): boolean
  end(): void
}

export function beginLines(res: ServerResponse): Lines {
  res.writeHead(200, {
    'Content-Type': TYPE_BATCH,
    // What holds it back, or compresses it, would make the first line wait for the last.
    'Cache-Control': 'no-store, no-transform',
    'X-Accel-Buffering': 'no',
  })
  res.flushHeaders()
  return {
    write(value) {
      res.write(`${JSON.stringify(value)}\n`)
      return res.writableLength < WAITING_LINES
    },
    end: () => void res.end(),
  }
}

/** The data of an answer is always there: `null` for what JSON would leave out (`undefined`, a function, a symbol). */
function orNull(data: unknown): unknown {
  // Other objects are always written, however large they are.
  const isObject = typeof data === 'object' && data !== null && !('toJSON' in data)
  return isObject || JSON.stringify(data) !== undefined ? data : null
}

/** The shape of a success, if the application does not wrap its own. */
function wrap(data: unknown): Answer<unknown> {
  return { success: true, code: 200, data, message: '', errorMessage: '' }
}
