import { HttpError } from './errors'

/** No event can have such a name; a comma would split it. */
const FORBIDDEN = /[\r\n\0,]/

export interface ListenerLimits {
  /** Names of one connection. */
  readonly maxListeners: number
  /** Characters of one name. */
  readonly maxNameLength: number
}

/**
 * The names that a connection listens to after some were added.
 * @throws HttpError 400 for what is no list of names, 413 for too many.
 */
export function listenerNames(added: unknown, before: readonly string[], limits: ListenerLimits): string[] {
  const after = [...new Set([...before, ...namesIn(added, limits)])]
  if (after.length <= limits.maxListeners) return after
  throw new HttpError(413, `A connection may not listen to more than ${limits.maxListeners} names.`)
}

/** @throws HttpError 400 for what is no list of names. */
export function namesIn(names: unknown, { maxNameLength }: ListenerLimits): string[] {
  if (!Array.isArray(names)) throw new HttpError(400, 'listener must be an array of names.')
  for (const name of names) {
    const isName =
      typeof name === 'string' && name !== '' && name.length <= maxNameLength && !FORBIDDEN.test(name)
    if (!isName) {
      throw new HttpError(
        400,
        `A listener's name is a text of 1 to ${maxNameLength} characters without comma, CR, LF and NUL.`,
      )
    }
  }
  return names
}
