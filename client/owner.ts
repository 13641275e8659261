import type { Entry } from './entry'
import type { OutboxCore } from './part'

/** Whose the requests are. */
export interface Owner {
  /** `''`: not known, or the server does not tell. */
  now(): string
  /** Resolves with the first that is known. */
  readonly known: Promise<string>
  /** A connection may have told. @returns is it known? */
  learn(): boolean
  /** May it go out as the one who is connected? */
  isOurs(entry: Entry): boolean
}

export function createOwner({ options, finish }: OutboxCore): Owner {
  let told = ''
  let tell: (owner: string) => void = () => {}
  const known = new Promise<string>((resolve) => (tell = resolve))
  // Asked anew each time: who hears of a connection sends before it is flushed.
  const now = (): string => {
    const connected = finish()
    if (connected) told = connected.owner ?? ''
    return options.identity || told
  }

  return {
    now,
    known,
    learn() {
      const isKnown = Boolean(finish() || options.identity)
      if (isKnown) tell(now())
      return isKnown
    },
    isOurs: ({ owner }) => !now() || !owner || owner === now(),
  }
}
