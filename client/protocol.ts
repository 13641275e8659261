/** Everything that client and server must agree on. PROTOCOL.md says the same in words. */

/** Version of client and server; the same as in package.json. */
export const VERSION = '0.1.0'

export const PATH_CONNECT = '/connect'
export const PATH_ADD_LISTENER = '/connect/addListener.do'
export const PATH_REMOVE_LISTENER = '/connect/removeListener.do'
export const PATH_DISCONNECT = '/connect/disconnect.do'
/** `{prefix}{encodeURIComponent(path)}.do` */
export const PATH_MESSAGE = '/connect/message/'
export const PATH_UPLOAD = '/connect/upload/'
export const PATH_SUFFIX = '.do'

/** The module and what lies beside it; `/` is the base itself. */
export const PATHS_MODULE = ['/', '/sse.js']
export const PATH_MAP = '/sse.js.map'
export const PATH_TYPES = '/sse.d.ts'
/** The part of the module that a page loads when it sends for the first time. */
export const PATH_OUTBOX = '/outbox.js'
export const PATH_OUTBOX_MAP = '/outbox.js.map'
/** For operators; the second of each is the original's. */
export const PATHS_USERS = ['/users', '/connect/users.json']
export const PATHS_CONNECTIONS = ['/connections', '/connect/connections.json']
export const PATHS_REPOSITORY_MESSAGES = ['/repositoryMessages', '/connect/repositoryMessages.json']
export const PATH_DISCONNECT_USER = '/disconnectUser'

/** On every answer: the server's version, and which node. */
export const HEADER_VERSION = 'X-Sse-Version'
export const HEADER_SERVER_ID = 'X-Sse-Server-Id'

export const EVENT_CONNECT_FINISH = 'connect-finish'
export const EVENT_CONNECT_CLOSE = 'connect-close'
export const EVENT_SET_DURATION = 'sse-set-duration'
export const EVENT_CHANGE_ACTIVE = 'sse-change-active'
export const EVENT_STATE = 'sse-state'
export const EVENT_GAP = 'sse-gap'

/** Header of a 404 that means "this connection is not open", as against "nobody handles this path". */
export const HEADER_ERROR = 'X-Sse-Error'
export const ERROR_UNKNOWN_CONNECTION = 'unknown-connection'

/** `mode` of a connect that is answered by short responses instead of one that stays open. */
export const MODE_POLL = 'poll'

/** What becomes of the events of one name that a client missed: all, the newest, one that tells how many, or none. */
export const CATCH_UPS = ['all', 'latest', 'count', 'drop'] as const
export type CatchUp = (typeof CATCH_UPS)[number]

/** Why nobody can tell what was missed: the log is another one, or does not reach back so far. */
export type GapReason = 'epoch' | 'floor'

/** Data of `connect-finish`. Members to come announce features. */
export interface ConnectFinish {
  connectionId: string
  /** ms since 1970 */
  serverTime: number
  /** Base of the client's delay before it comes back, ms. */
  reconnectTime: number
  /** Name of the service. */
  name: string
  enableCluster: boolean
  version: string
  /** ms; something is sent in any two of them. 0: not so. */
  heartbeatInterval: number
  /** Where the part of the module that sends is: path and query below the base. Not there: the client sends without. */
  outbox?: string
  /** There if the client gave a cursor: is everything behind it at hand? */
  recovered?: boolean
  /** If recovered: the number of events that follow first, which the client missed. */
  replayed?: number
  /** If not recovered. */
  reason?: GapReason
}

/** Data of `connect-close`. The original server sends `connectionId` alone. */
export interface ConnectClose {
  connectionId: string
  reason?: string
  /** `false`: do not come back before the page is shown again. */
  reconnect?: boolean
  /** ms until the client comes back; instead of a delay of its own. */
  reconnectDelay?: number
}

/** Data of `sse-gap`, which the client makes of `connect-finish`. */
export interface Gap {
  /** `unknown`: the server does not say, or cannot resume. */
  reason: GapReason | 'unknown'
}

/** Data of the one event that stands for many, with `catchUp: { name: 'count' }`. */
export interface Count {
  count: number
}

/** Data of `sse-set-duration`. */
export interface SetDuration {
  /** Seconds; a string, as in the original. */
  duration: string
}

/** Parameters of the goodbye. */
export interface Disconnect {
  clientId: string
  connectionId: string
  reason: string
  sseVersion: string
  /** Seconds of activity that `sessionDuration` does not hold yet. */
  duration: number
  sessionDuration: number
}

/** How every JSON answer is wrapped. */
export interface Answer<T> {
  success: boolean
  code: number
  data: T | null
  message: string
  errorMessage: string
}
