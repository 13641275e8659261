import { type Env, randomId, readStorage, writeStorage } from './env'
import type { Query, ResolvedOptions } from './options'
import { VERSION } from './protocol'

const IMPORTED_AT = Date.now()

/** Who this is, as the server is told at each connect: the names are those on the wire. Keys in storage are the original's, so that its users stay who they are. */
export interface Identity {
  /** This browser. */
  readonly clientId: string
  /** This object. */
  readonly clientInstanceId: string
  /** When this tab's session began, ms since 1970. */
  readonly accessTime: number
  /** When this object was made, ms since 1970. */
  readonly clientInstanceTime: number
}

export function createIdentity(env: Env, options: ResolvedOptions): Identity {
  const clientInstanceTime = env.Date.now()
  const clientId = options.clientId || readStorage(env, 'localStorage', 'sseClientId') || randomId(env)
  writeStorage(env, 'localStorage', 'sseClientId', clientId)
  const accessTime =
    options.accessTimestamp ||
    Number(readStorage(env, 'sessionStorage', 'sseAccessTimestamp')) ||
    clientInstanceTime
  writeStorage(env, 'sessionStorage', 'sseAccessTimestamp', accessTime)
  return { clientId, clientInstanceId: randomId(env), accessTime, clientInstanceTime }
}

/** What a connect tells of the page, but for what changes from one connect to the next. */
export function connectParameters(env: Env, identity: Identity, options: ResolvedOptions): Query {
  const catchUps = Object.entries(options.catchUp).map((pair) => pair.join(':'))
  return {
    ...identity,
    keepaliveTime: options.keepaliveTime,
    clientVersion: VERSION,
    // By a string, so that it is asked of `self`: a page may well have a variable of this name.
    screen: `${env['screen'].width}x${env['screen'].height}`,
    useWindowEventBus: options.useWindowEventBus,
    catchUp: catchUps.join() || null,
    // Without query and hash: they are nobody's business, and may hold secrets.
    locationHref: env.location.origin + env.location.pathname,
    clientImportModuleTime: IMPORTED_AT,
    // This client acknowledges.
    acks: 1,
  }
}
