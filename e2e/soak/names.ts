import type { Random } from './random'

/** Of each, all. */
const PLAIN = ['order', 'note']
/** With keys; some clients catch up on the newest of each. */
const NAME_TICKER = 'ticker'
/** What all clients listen to; for some of them some names have a policy of catching up. */
export const NAMES = [...PLAIN, NAME_TICKER, 'mail', 'typing']
/** Sent only to who listens to it; some do not. */
export const NAME_QUIET = 'quiet'
/** The last of all. */
export const NAME_END = 'end'

export interface NamedEvent {
  readonly name: string
  readonly key: string
  readonly listening: boolean
}

export function pickEvent(random: Random): NamedEvent {
  const name = random.pick([...NAMES, NAME_QUIET])
  const key = name === NAME_TICKER ? `key-${random.whole(0, 3)}` : ''
  return { name, key, listening: name === NAME_QUIET || random.chance(0.2) }
}
