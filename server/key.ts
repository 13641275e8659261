import { createHash } from 'node:crypto'
import { HttpError } from './errors'

/** Visible ASCII but `"` and `\`: what a string of RFC 8941 holds without escapes. */
const KEY = '[\\x21\\x23-\\x5b\\x5d-\\x7e]{1,200}'
const KEY_ALONE = new RegExp(`^${KEY}$`)
const KEY_IN_HEADER = new RegExp(`^(?:"(${KEY})"|(${KEY}))$`)

/** The key in the value of its header, quoted or bare. @throws HttpError 400 for what is none */
export function keyIn(header: string): string {
  const [, quoted, bare] = KEY_IN_HEADER.exec(header) ?? []
  return keyOf(quoted ?? bare)
}

/** @throws HttpError 400 for what is no key */
export function keyOf(value: unknown): string {
  if (typeof value === 'string' && KEY_ALONE.test(value)) return value
  throw new HttpError(400, 'Idempotency-Key must be 1 to 200 visible ASCII characters, without " and \\.')
}

/** The value of the header. */
export function quote(key: string): string {
  return `"${key}"`
}

/** Equal exactly if the parts are. @throws HttpError 400 for what is nested too deeply */
export function digestOf(...parts: readonly unknown[]): string {
  return createHash('sha256').update(jsonOf(parts)).digest('base64url')
}

/** Empty for what is not there. @throws HttpError 400 for what is nested too deeply */
export function jsonOf(value: unknown): string {
  try {
    return JSON.stringify(value) ?? ''
  } catch (error) {
    if (error instanceof RangeError) throw new HttpError(400, 'The message is nested too deeply.')
    throw error
  }
}
