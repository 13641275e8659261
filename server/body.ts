import type { IncomingMessage } from 'node:http'
import { finished } from 'node:stream'
import { cutOff, HttpError } from './errors'
import { checkKeys, type Params, paramsOf, queryParams } from './params'
import { watch } from './patience'

/** ms that a refused body may still run before its connection is cut. */
const DRAIN_TIME = 5000

/** Bytes of a body that holds parameters; a connection keeps them for as long as it is open. */
const PARAMS_LIMIT = 64 * 1024

const JSON_TYPE = 'application/json'
const TEXT_TYPE = 'text/plain'
const FORM_TYPES = ['application/x-www-form-urlencoded', TEXT_TYPE]

/** A request whose body another middleware may have read already (`express.json()` and its like). */
export type Incoming = IncomingMessage & { body?: unknown }

/** What is accepted of a body. */
export interface BodyLimits {
  /** Bytes. */
  readonly bodyLimit: number
  /** ms without a byte. */
  readonly bodyIdleTimeout: number
  /** ms for all of it. */
  readonly bodyTimeout: number
}

/**
 * The JSON of a request; `undefined` if there is no body.
 * @throws HttpError 400 malformed, 408 too slow, 413 too large, 415 another type.
 */
export async function readJson(req: Incoming, limits: BodyLimits): Promise<unknown> {
  const value = await readUnchecked(req, limits)
  checkKeys(value)
  return value
}

/** As `readJson`, for who checks the keys itself. */
export async function readUnchecked(req: Incoming, limits: BodyLimits): Promise<unknown> {
  return (await readBody(req, limits, [JSON_TYPE])).value
}

/**
 * The parameters in a request's body: a form, or an object as JSON, or text that is one of
 * these (as `sendBeacon` sends it).
 * @throws HttpError 400 malformed, 408 too slow, 413 too large, 415 another type.
 */
export async function readParams(req: Incoming, limits: BodyLimits): Promise<Params> {
  const { value } = await readBody(req, limits, [JSON_TYPE, ...FORM_TYPES])
  if (value === undefined) return {}
  if (!isRecord(value)) throw new HttpError(400, 'The body must be a form or a JSON object.')
  checkKeys(value)
  return value
}

/** All parameters of a request: those in its address, over them those in its body. @throws HttpError as `readParams`. */
export async function allParams(req: Incoming, settings: BodyLimits): Promise<Params> {
  const limits = { ...settings, bodyLimit: Math.min(settings.bodyLimit, PARAMS_LIMIT) }
  const inBody = req.method === 'POST' ? await readParams(req, limits) : {}
  return Object.assign(queryParams(req.url ?? ''), inBody)
}

/** What the handler gets: the parameters, over them the members of the body; or a body that is no object. */
export function messageOf(query: Params, body: unknown): unknown {
  return body === undefined || isRecord(body) ? { ...query, ...body } : body
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

async function readBody(
  req: Incoming,
  limits: BodyLimits,
  types: readonly string[],
): Promise<{ value: unknown }> {
  if (!hasBody(req)) return { value: undefined }
  const type = typeOf(req)
  if (type !== '' && !types.includes(type)) throw wrongType(types)
  if (Number(req.headers['content-length']) > limits.bodyLimit) throw tooLarge(limits)
  const given = req.readableDidRead ? req.body : undefined
  const value =
    isText(given) || given === undefined ? parse(type, await textOf(req, given, limits), types) : given
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
  limits: BodyLimits,
): Promise<string> {
  if (typeof given === 'string') return given
  const bytes = given ?? (await readBytes(req, limits))
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

function tooLarge({ bodyLimit }: BodyLimits): HttpError {
  return new HttpError(413, `The body must not be larger than ${bodyLimit} bytes.`)
}

function readBytes(req: IncomingMessage, limits: BodyLimits): Promise<Buffer> {
  const { bodyLimit, bodyIdleTimeout: idle, bodyTimeout: total } = limits
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    const stop = watch(req, { idle, total }, reject)
    req.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size <= bodyLimit) chunks.push(chunk)
      else reject(tooLarge(limits))
    })
    // It also hears of a request that had ended, or was gone, before anybody listened.
    finished(req, { writable: false }, (error) => {
      stop()
      if (error) reject(cutOff())
      else resolve(Buffer.concat(chunks))
    })
  })
}
