import { type Env, randomId, readStorage, writeStorage } from './env'
import type { Query, ResolvedOptions } from './options'
import { VERSION } from './protocol'

const IMPORTED_AT = Date.now()

/** Who this is, as the server is told at each connect. Keys in storage are the original's, so that its users stay who they are. */
export interface Identity {
  /** This browser. */
  readonly clientId: string
  /** This object. */
  readonly instanceId: string
  /** When this tab's session began, ms since 1970. */
  readonly accessTimestamp: number
  /** When this object was made, ms since 1970. */
  readonly createdAt: number
}

export function createIdentity(env: Env, options: ResolvedOptions): Identity {
  const createdAt = env.Date.now()
  const clientId = options.clientId || readStorage(env, 'localStorage', 'sseClientId') || randomId(env)
  writeStorage(env, 'localStorage', 'sseClientId', clientId)
  const accessTimestamp =
    options.accessTimestamp || Number(readStorage(env, 'sessionStorage', 'sseAccessTimestamp')) || createdAt
  writeStorage(env, 'sessionStorage', 'sseAccessTimestamp', String(accessTimestamp))
  return { clientId, instanceId: randomId(env), accessTimestamp, createdAt }
}

/** What a connect tells of the page, but for what changes from one connect to the next. */
export function connectParameters(env: Env, identity: Identity, options: ResolvedOptions): Query {
  const { location, screen } = env
  return {
    keepaliveTime: options.keepaliveTime,
    clientId: identity.clientId,
    clientVersion: VERSION,
    screen: `${screen.width}x${screen.height}`,
    accessTime: identity.accessTimestamp,
    useWindowEventBus: options.useWindowEventBus,
    // Without query and hash: they are nobody's business, and may hold secrets.
    locationHref: location.origin + location.pathname,
    clientImportModuleTime: IMPORTED_AT,
    clientInstanceTime: identity.createdAt,
    clientInstanceId: identity.instanceId,
  }
}
