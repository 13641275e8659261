import type { ServerResponse } from 'node:http'
import type { Answer } from '../client/protocol'
import type { HttpError } from './errors'

/** The data of an answer is always there: `null` for what JSON would leave out (`undefined`, a function, a symbol). */
export function orNull(data: unknown): unknown {
  // Other objects are always written, however large they are.
  const isObject = typeof data === 'object' && data !== null && !('toJSON' in data)
  return isObject || JSON.stringify(data) !== undefined ? data : null
}

/** The shape of a success, if the application does not wrap its own. */
export function wrap(data: unknown): Answer<unknown> {
  return { success: true, code: 200, data, message: '', errorMessage: '' }
}

/** @throws TypeError if the value does not fit into JSON. */
export function answer(res: ServerResponse, wrapped: unknown): void {
  write(res, 200, JSON.stringify(wrapped) ?? 'null')
}

export function refuse(res: ServerResponse, { status, message, headers }: HttpError): void {
  const body: Answer<null> = { success: false, code: status, data: null, message, errorMessage: message }
  for (const [name, value] of Object.entries(headers)) res.setHeader(name, value)
  write(res, status, JSON.stringify(body))
}

function write(res: ServerResponse, status: number, json: string): void {
  res.statusCode = status
  res.setHeader('Content-Type', 'application/json; charset=utf-8')
  res.setHeader('Content-Length', Buffer.byteLength(json))
  res.setHeader('Cache-Control', 'no-store')
  res.end(json)
}
