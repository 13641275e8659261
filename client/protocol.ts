/** Everything that client and server must agree on. PROTOCOL.md says the same in words. */

/** Version of client and server; the same as in package.json. */
export const VERSION = '0.1.0'

export const PATH_CONNECT = '/connect'
export const PATH_ADD_LISTENER = '/connect/addListener.do'
export const PATH_REMOVE_LISTENER = '/connect/removeListener.do'
export const PATH_REPORT = '/connect/report.do'
export const PATH_DISCONNECT = '/connect/disconnect.do'
/** `{prefix}{encodeURIComponent(path)}.do` */
export const PATH_MESSAGE = '/connect/message/'
export const PATH_UPLOAD = '/connect/upload/'
export const PATH_SUFFIX = '.do'
/** Several messages in one request. */
export const PATH_BATCH = '/connect/batch.do'
/** Large forms in pieces (tus 1.0); `{prefix}/{id}` is one of them. */
export const PATH_UPLOADS = '/connect/uploads'

/** The module and what lies beside it; `/` is the base itself. */
export const PATHS_MODULE = ['/', '/sse.js']
export const PATH_MAP = '/sse.js.map'
export const PATH_TYPES = '/sse.d.ts'
/** The part of the module that a page loads when it sends for the first time. */
export const PATH_OUTBOX = '/outbox.js'
/** Further parts, which that one loads: what keeps requests over a reload, and what sends large forms. */
export const PATH_OUTBOX_STORE = '/outbox-store.js'
export const PATH_UPLOADER = '/upload.js'
/** For operators; the second of each is the original's. */
export const PATHS_USERS = ['/users', '/connect/users.json']
export const PATHS_CONNECTIONS = ['/connections', '/connect/connections.json']
export const PATHS_REPOSITORY_MESSAGES = ['/repositoryMessages', '/connect/repositoryMessages.json']
export const PATH_DISCONNECT_USER = '/disconnectUser'
export const PATH_METRICS = '/metrics'
/** What the page for operators, at `/monitor`, is made of. */
export const PATH_MONITOR_SCRIPT = '/monitor.js'
export const PATH_MONITOR_STYLE = '/monitor.css'
/** Who is online, user by user. */
export const PATH_MONITOR_USERS = '/monitor/users'
/** From now on EVENT_MONITOR goes to this connection. */
export const PATH_WATCH = '/monitor/watch.do'

/** On every answer: the server's version, and which node. */
export const HEADER_VERSION = 'X-Sse-Version'
export const HEADER_SERVER_ID = 'X-Sse-Server-Id'

export const EVENT_CONNECT_FINISH = 'connect-finish'
export const EVENT_CONNECT_CLOSE = 'connect-close'
export const EVENT_SET_DURATION = 'sse-set-duration'
export const EVENT_MONITOR = 'sse-monitor'
export const EVENT_CHANGE_ACTIVE = 'sse-change-active'
export const EVENT_STATE = 'sse-state'
export const EVENT_GAP = 'sse-gap'
export const EVENT_OUTBOX = 'sse-outbox'

/** Type of the answer to PATH_BATCH: a line of JSON for each that was answered, as soon as it was. */
export const TYPE_BATCH = 'application/x-ndjson'

/** Header of a 404 that means "this connection is not open", as against "nobody handles this path". */
export const HEADER_ERROR = 'X-Sse-Error'
export const ERROR_UNKNOWN_CONNECTION = 'unknown-connection'
/** Name of a request [draft-ietf-httpapi-idempotency-key-header]. An answer that has it is what the handler gave. */
export const HEADER_KEY = 'Idempotency-Key'
/** `true` on an answer that was remembered. */
export const HEADER_REPLAYED = 'Idempotent-Replayed'
/** Id of the tus upload that holds the body of this request. */
export const HEADER_UPLOAD = 'X-Sse-Upload'

/** In the id of an event, between the cursor and the id of the message that is to be acknowledged. */
export const MESSAGE_MARK = '~'

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
  /** The same text exactly for the same user. */
  owner?: string
  /** There: PATH_BATCH takes so many entries, of so many bytes in all. */
  batch?: { entries: number; bytes: number }
  /** There: PATH_UPLOADS takes forms in pieces of so many bytes; what is no longer goes as one request. */
  uploads?: { chunk: number }
  /** Path below the base that takes a `Report`. Not there: the server wants none. */
  report?: string
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

/** What PATH_BATCH takes. */
export interface Batch {
  entries: BatchEntry[]
}

/** One message of a batch. */
export interface BatchEntry {
  key: string
  /** As the application gave it. */
  path: string
  /** The message's own parameters, as in an address. */
  query?: string
  body?: unknown
  /** Entries of one lane run one after the other. */
  lane: string
}

/** One line of what PATH_BATCH answers. */
export interface BatchAnswer {
  /** Which of the entries, from 0. */
  index: number
  status: number
  /** As of a request by itself. */
  headers: Record<string, string>
  body: string
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

/** Parameters of the goodbye. The original also says who and which version it is, as it did at its connect. */
export interface Disconnect {
  connectionId: string
  reason: string
  /** Seconds of activity that `sessionDuration` does not hold yet. */
  duration: number
  sessionDuration: number
  /** Where the last event stood that is acknowledged by this. */
  lastEventId?: string | undefined
}

/** What a client tells of itself between its connect and its goodbye. */
export interface Report {
  connectionId: string
  /** Of the last message that was handled: this acknowledges it, and all that came before it on this connection. */
  lastEventId?: string | undefined
  /** Whether the person was not at the page for a minute. Not there: as before. */
  away?: boolean | undefined
}

/** How every JSON answer is wrapped. */
export interface Answer<T> {
  success: boolean
  code: number
  data: T | null
  message: string
  errorMessage: string
}

/** Data of `sse-monitor`: what is now, and what was counted since the process began. */
export interface Figures {
  /** ms since 1970 */
  time: number
  connections: number
  users: number
  /** Messages that wait to be acknowledged. */
  pending: number
  connects: number
  disconnects: number
  /** Events that the application has sent. */
  sent: number
  /** Events that were written, one for each connection. */
  delivered: number
  /** Messages and uploads that pages have sent. */
  received: number
}

/** One page of a list for operators. */
export interface ListPage<Item> {
  list: Item[]
  total: number
  pageNum: number
  pageSize: number
}

/** One user of PATH_MONITOR_USERS. */
export interface OnlineUser {
  userId?: string | number | undefined
  userName?: string | undefined
  tenantId?: string | number | undefined
  /** Nobody is at any of the connections. */
  isAway: boolean
  connections: OnlineConnection[]
}

/** One of PATHS_CONNECTIONS, as far as the monitor shows it. Times are ms since 1970. */
export interface OnlineConnection {
  id: string
  isAway: boolean
  channel?: string | undefined
  locationHref?: string | undefined
  requestIp?: string | undefined
  userAgent?: string | undefined
  screen?: string | undefined
  clientVersion?: string | undefined
  createTime: number
  lastRequestTime?: number | undefined
  sessionDuration: number
  messageCount: number
  requestMessageCount: number
  requestUploadCount: number
  listeners: string[]
}

/** One of PATHS_REPOSITORY_MESSAGES. Times are ms since 1970. */
export interface PendingSummary {
  id: string
  eventName: string
  /** The beginning of it. */
  data: string
  /** Characters in all. */
  dataLength: number
  isForAll: boolean
  userIdList: string[]
  tenantIdList: string[]
  channelList: string[]
  /** Access tokens are secrets: only how many. */
  accessTokenCount: number
  /** Only for connections that listen to this name. */
  listenerName?: string
  createTime: number
  expiryTime: number
  /** Users who have still to acknowledge it; empty: anybody does. */
  recipientUserIdList: string[]
  /** The same for users who are known by their access token. */
  recipientAccessTokenCount: number
}
