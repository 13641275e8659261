import type { End } from './end'
import type { Absence } from './store'

/** What a client says when its page was hidden. */
const HIDING = ['visibilitychange', 'freeze']
/** What a client says when its line was dead, and nobody has left the page. */
const BROKEN = ['offline', 'silent']

/** Where a user is whose last connection ended so. */
export function absenceAfter({ by, reason }: End): Absence {
  if (by === 'server') return 'gone'
  if (by === 'line' || BROKEN.includes(reason)) return 'lost'
  return HIDING.includes(reason) ? 'hidden' : 'gone'
}
