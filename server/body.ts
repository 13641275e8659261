import type { IncomingMessage } from 'node:http'
import { finished } from 'node:stream'
import { cutOff, HttpError } from './errors'
import { checkKeys, type Params, paramsOf } from './params'

/** ms that a refused body may still run before its connection is cut. */
const DRAIN_TIME = 5000

const JSON_TYPE = 'application/json'
const TEXT_TYPE = 'text/plain'
const FORM_TYPES = ['application/x-www-form-urlencoded', TEXT_TYPE]

/** A request whose body another middleware may have read already (`express.json()` and its like). */
export type Incoming = IncomingMessage & { body?: unknown }

/**
 * The JSON of a request; `undefined` if there is no body.
 * @param limit Bytes that are accepted.
 * @throws HttpError 400 malformed, 413 too large, 415 another type.
 */
export async function readJson(req: Incoming, limit: number): Promise<unknown> {
  return (await readBody(req, limit, [JSON_TYPE])).value
}

/**
 * The parameters in a request's body: a form, or an object as JSON, or text that is one of
 * these (as `sendBeacon` sends it).
 * @param limit Bytes that are accepted.
 * @throws HttpError 400 malformed, 413 too large, 415 another type.
 */
export async function readParams(req: Incoming, limit: number): Promise<Params> {
  const { value } = await readBody(req, limit, [JSON_TYPE, ...FORM_TYPES])
  if (value === undefined) return {}
  if (!isRecord(value)) throw new HttpError(400, 'The body must be a form or a JSON object.')
  return value
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Lets a refused body run out, so that a client that is still sending gets to read the answer; but not for ever. */
export function drain(req: IncomingMessage): void {
  if (req.complete || req.destroyed) return
  const timer = setTimeout(() => req.destroy(), DRAIN_TIME)
  timer.unref()
  req.once('close', () => clearTimeout(timer))
  req.resume()
}

async function readBody(req: Incoming, limit: number, types: readonly string[]): Promise<{ value: unknown }> {
  if (!hasBody(req)) return { value: undefined }
  const type = typeOf(req)
  if (type !== '' && !types.includes(type)) throw wrongType(types)
  if (Number(req.headers['content-length']) > limit) throw tooLarge(limit)
  const given = req.readableDidRead ? req.body : undefined
  const value =
    isText(given) || given === undefined ? parse(type, await textOf(req, given, limit), types) : given
  checkKeys(value)
  return { value }
}

/** [RFC 9112, 6.3] a request without both of these headers has no body. */
function hasBody(req: IncomingMessage): boolean {
  return req.headers['transfer-encoding'] !== undefined || Number(req.headers['content-length'] ?? 0) > 0
}

/** The media type in lower case; '' if none is named. */
function typeOf(req: IncomingMessage): string {
  const [type = '', ...parameters] = (req.headers['content-type'] ?? '').toLowerCase().split(';')
  const charset = parameters.map((text) => text.trim()).find((text) => text.startsWith('charset='))
  if (charset !== undefined && !/^charset="?utf-?8"?$/.test(charset)) {
    throw new HttpError(415, 'The body must be UTF-8.')
  }
  const coding = req.headers['content-encoding'] ?? 'identity'
  if (coding !== 'identity') throw new HttpError(415, 'The body must not be compressed.')
  return type.trim()
}

function isText(given: unknown): given is string | Buffer {
  return typeof given === 'string' || Buffer.isBuffer(given)
}

async function textOf(
  req: IncomingMessage,
  given: string | Buffer | undefined,
  limit: number,
): Promise<string> {
  if (typeof given === 'string') return given
  const bytes = given ?? (await readBytes(req, limit))
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw new HttpError(400, 'The body must be UTF-8.')
  }
}

function parse(type: string, text: string, types: readonly string[]): unknown {
  if (text === '') return undefined
  if (type === '') throw wrongType(types)
  // A beacon with a string is text, also if the string is JSON.
  const isJson = type === JSON_TYPE || (type === TEXT_TYPE && text.startsWith('{'))
  if (!isJson) return paramsOf(new URLSearchParams(text))
  try {
    return JSON.parse(text)
  } catch {
    throw new HttpError(400, 'The body is not valid JSON.')
  }
}

function wrongType(types: readonly string[]): HttpError {
  return new HttpError(415, `The content type must be ${types.join(' or ')}.`)
}

function tooLarge(limit: number): HttpError {
  return new HttpError(413, `The body must not be larger than ${limit} bytes.`)
}

function readBytes(req: IncomingMessage, limit: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    req.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size <= limit) chunks.push(chunk)
      else reject(tooLarge(limit))
    })
    // It also hears of a request that had ended, or was gone, before anybody listened.
    finished(req, { writable: false }, (error) => (error ? reject(cutOff()) : resolve(Buffer.concat(chunks))))
  })
}
