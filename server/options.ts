import { createHash, randomBytes } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Request } from 'express'
import type { AuditEntry } from './audit'
import type { Connection, ConnectionRequest } from './connection'
import { Counters } from './counters'
import type { Report } from './hooks'
import { LONGEST_DELAY } from './params'
import type { Store } from './store'
import { memoryStore } from './stores/memory'
import type { UploadedFile } from './upload'

/**
 * What `createSse` takes. The functions get Express's request, so what other middleware put there (a session, cookies)
 * is at hand; an `HttpError` that they throw is the answer.
 */
export interface SseOptions<User extends object> {
  /** Name of the service, told to the client and used in the store. Default `'sse'`. */
  name?: string | undefined
  /**
   * Who is asking? Any object; `id`, `name`, `tenantId` and `accessToken` are read if present. `null`, `undefined` or
   * `false`: nobody, 401. Asked for every request, so it should be quick. May be async. Users with neither `id` nor
   * `accessToken` are not told apart: any of them may use a connection whose (unguessable) id it knows, a key is their
   * browser's (`clientId`), and `maxUnfinished` holds for all of them together.
   */
  getUser(req: Request): User | null | undefined | false | Promise<User | null | undefined | false>
  /**
   * A message came from a page; what this returns (or resolves to) is the answer. Default: every path is a 404.
   * @param path What the client gave as path: the application's data, never checked.
   * @param message The parameters of the message with the members of its body over them; or a body that is no object.
   * @param request Its key, if the client gave one: a repeat gets the remembered answer, and does not come here.
   */
  onMessage?(
    path: string,
    connection: Connection<User>,
    message: unknown,
    request: ConnectionRequest,
  ): unknown
  /**
   * Files came from a page; what this returns (or resolves to) is the answer. Default: every path is a 404.
   * @param message The parameters of the upload, over them the text fields of its form.
   * @param files Deleted when this has settled: read or move what is to stay.
   * @param request Its key, as above.
   */
  onUpload?(
    path: string,
    connection: Connection<User>,
    message: Record<string, unknown>,
    files: UploadedFile[],
    request: ConnectionRequest,
  ): unknown
  /** The log of events, the remembered answers and what else outlives a connection. Default `memoryStore()`. */
  store?: Store | undefined
  /** May this user join the channel that the client asks for? No: 403. Default: any signed-in user may. */
  mayJoin?(user: User, channel: string, req: Request): boolean | Promise<boolean>
  /** May this user see the monitor, the lists and the metrics, and disconnect users? Default: nobody may. */
  admin?(user: User, req: Request): boolean | Promise<boolean>
  /** Hears of every request for what `admin` opens, allowed or refused. It is not waited for. Default: none. */
  audit?(entry: AuditEntry<User>): unknown
  /** Foreign origins whose pages may use the service, e.g. `['https://app.example.org']`. Default none; `'*'` is refused. */
  origins?: readonly string[] | undefined
  /**
   * Wraps the data of a success; default `{ success, code, data, message, errorMessage }`. Failures keep their shape. If
   * it throws, the handler counts as failed: a repeat of the request runs it again.
   */
  wrapOk?(data: unknown): unknown
  /** Connections that one user may have with one client id (a browser); beyond that the oldest is closed. Default 3. */
  clientIdMaxConnections?: number | undefined
  /** ms after which a stream is ended (the client comes back), at random 80 to 100 % of it; 0: never. Default: what the client asks for, else 900 000. */
  keepaliveTime?: number | undefined
  /** ms that the client takes as the base of its delay before it comes back, at most 2³¹−1. Default 2000. */
  reconnectTime?: number | undefined
  /**
   * ms between two beats; a connection that got nothing since the last one gets a comment. At most 2³¹−1; 0: none.
   * Default 15 000.
   */
  heartbeatInterval?: number | undefined
  /**
   * Bytes that may wait for a connection whose client does not read. Beyond them it is closed (`slow-reader`); the
   * client comes back for what it missed. Default 4 194 304.
   */
  bufferLimit?: number | undefined
  /**
   * Bytes of a request's body, and of all text fields of an upload together. Default 1 048 576. A body that holds
   * parameters (of connect, the goodbye, disconnectUser) may have 65 536 at most.
   */
  bodyLimit?: number | undefined
  /** Bytes of one uploaded file. Default 104 857 600. */
  uploadLimit?: number | undefined
  /** Files in one upload. Default 20. */
  maxFiles?: number | undefined
  /** Bytes of one upload in all, files and text fields together. Default 1 073 741 824. */
  uploadTotal?: number | undefined
  /** Bytes of one piece of a large upload; longer forms come in pieces, so that a line may break. Default 1 048 576. */
  uploadChunk?: number | undefined
  /**
   * Where pieces wait for the rest, also over a restart; made if it is not there. It must belong to this process' user,
   * and to this service alone. Default: `tabwire-` and the name of the service, in the system's temporary folder.
   */
  uploadFolder?: string | undefined
  /** Uploads in pieces that one user may have begun and not sent; beyond that 429. Each is gone after a day. Default 20. */
  maxUnfinished?: number | undefined
  /** ms in which a body must bring something; else 408. At most 2³¹−1. Default 30 000. */
  bodyIdleTimeout?: number | undefined
  /** ms in which a body must be complete; else 408. At most 2³¹−1. Default 60 000. */
  bodyTimeout?: number | undefined
  /**
   * ms in which a form with files, or a piece of one, must be complete; else 408. At most 2³¹−1. Default 600 000. Node's
   * own `server.requestTimeout` (300 000) ends a request earlier, unless it is changed.
   */
  uploadTimeout?: number | undefined
  /**
   * ms after which a message of `qos()` that an open connection has not acknowledged is sent to it again; twice as long
   * after each time. At most 2³¹−1. Default 10 000.
   */
  ackTimeout?: number | undefined
  /**
   * ms that a page may be gone until `onDisconnect` is told: who reloads it, or whose line breaks for a moment, is not
   * gone. A client whose line broke waits up to `reconnectTime` before it dials. At most 2³¹−1; 0: told at once (a socket
   * that is gone waits 300 ms for the goodbye). Default: `reconnectTime` and a second.
   */
  disconnectGrace?: number | undefined
  /** Characters of a request's query. Default 8192. */
  queryLimit?: number | undefined
  /** Names that one connection may listen to. Default 1000. */
  maxListeners?: number | undefined
  /** Characters of a listener's or a channel's name. Default 200. */
  maxNameLength?: number | undefined
  /** Which node this is, told in every answer. Default: 8 random hexadecimal digits. */
  serverId?: string | undefined
  /** Hears of each failure of the application's functions and of the store. Default: `console.error`. */
  onError?(error: unknown, where: string): unknown
}

interface Range {
  readonly least: number
  readonly most?: number
}

const NUMBERS = {
  clientIdMaxConnections: { standard: 3, least: 1 },
  reconnectTime: { standard: 2000, least: 0, most: LONGEST_DELAY },
  heartbeatInterval: { standard: 15_000, least: 0, most: LONGEST_DELAY },
  bufferLimit: { standard: 4 * 1024 * 1024, least: 0 },
  bodyLimit: { standard: 1024 * 1024, least: 0 },
  uploadLimit: { standard: 100 * 1024 * 1024, least: 0 },
  maxFiles: { standard: 20, least: 0 },
  uploadTotal: { standard: 1024 ** 3, least: 0 },
  uploadChunk: { standard: 1024 * 1024, least: 1 },
  maxUnfinished: { standard: 20, least: 1 },
  bodyIdleTimeout: { standard: 30_000, least: 1, most: LONGEST_DELAY },
  bodyTimeout: { standard: 60_000, least: 1, most: LONGEST_DELAY },
  uploadTimeout: { standard: 600_000, least: 1, most: LONGEST_DELAY },
  ackTimeout: { standard: 10_000, least: 1, most: LONGEST_DELAY },
  queryLimit: { standard: 8192, least: 0 },
  maxListeners: { standard: 1000, least: 0 },
  maxNameLength: { standard: 200, least: 1 },
} satisfies Record<string, Range & { standard: number }>

/** ms that a client may take to come back when it has begun to dial. */
const DIAL_TIME = 1000

const STORE_METHODS = [
  'append',
  'join',
  'read',
  'hold',
  'pending',
  'pendingPage',
  'acknowledge',
  'cancel',
  'setDuration',
  'takeDuration',
  'claim',
  'remember',
  'release',
] as const satisfies readonly (keyof Store)[]
const FUNCTIONS = ['onMessage', 'onUpload', 'mayJoin', 'admin', 'audit', 'wrapOk', 'onError'] as const

type Numbers = Record<keyof typeof NUMBERS, number>
type Handlers<User extends object> = Pick<
  SseOptions<User>,
  'getUser' | 'onMessage' | 'onUpload' | 'mayJoin' | 'admin' | 'audit' | 'wrapOk'
>

/** The options, checked, with their defaults. */
export interface Settings<User extends object> extends Numbers {
  readonly name: string
  readonly serverId: string
  readonly uploadFolder: string
  readonly store: Store
  readonly origins: ReadonlySet<string>
  readonly keepaliveTime: number | undefined
  readonly disconnectGrace: number
  /** Called as methods of the application's object, in case they use `this`. */
  readonly handlers: Handlers<User>
  readonly report: Report
  readonly counters: Counters
}

/** @throws TypeError that names the option that is wrong. */
export function settle<User extends object>(options: SseOptions<User>): Settings<User> {
  if (typeof options?.getUser !== 'function') throw wrong('getUser', 'a function that says who is asking')
  for (const name of FUNCTIONS) {
    if (options[name] !== undefined && typeof options[name] !== 'function') throw wrong(name, 'a function')
  }
  const { keepaliveTime } = options
  const name = text('name', options.name ?? 'sse')
  const checked = numbers(options)
  const grace = options.disconnectGrace ?? Math.min(checked.reconnectTime + DIAL_TIME, LONGEST_DELAY)
  return {
    ...checked,
    disconnectGrace: whole('disconnectGrace', grace, { least: 0, most: LONGEST_DELAY }),
    keepaliveTime:
      keepaliveTime === undefined ? undefined : whole('keepaliveTime', keepaliveTime, { least: 0 }),
    name,
    uploadFolder: text('uploadFolder', options.uploadFolder ?? join(tmpdir(), `tabwire-${fileName(name)}`)),
    serverId: headerText('serverId', options.serverId ?? randomBytes(4).toString('hex')),
    store: storeOf(options.store ?? memoryStore()),
    origins: originsOf(options.origins ?? []),
    handlers: options,
    report: reporter(options),
    counters: new Counters(),
  }
}

function numbers<User extends object>(options: SseOptions<User>): Numbers {
  const names = Object.keys(NUMBERS) as (keyof Numbers)[]
  const checked = names.map((name) => [
    name,
    whole(name, options[name] ?? NUMBERS[name].standard, NUMBERS[name]),
  ])
  return Object.fromEntries(checked) as Numbers
}

function whole(name: string, value: unknown, { least, most = Infinity }: Range): number {
  const isWhole = typeof value === 'number' && (Number.isInteger(value) || value === Infinity)
  if (isWhole && value >= least && value <= most) return value
  throw wrong(name, `a whole number of at least ${least}${most === Infinity ? '' : ` and at most ${most}`}`)
}

function text(name: string, value: unknown): string {
  if (typeof value === 'string' && value !== '') return value
  throw wrong(name, 'a text that is not empty')
}

function headerText(name: string, value: unknown): string {
  // [RFC 9110, 5.5] visible ASCII, and spaces between.
  if (typeof value === 'string' && /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(value)) return value
  throw wrong(name, 'a text of visible ASCII characters')
}

/** What stands for a name as a file: the name itself, or what is safe of it and a digest, so that no two share one. */
function fileName(name: string): string {
  if (/^[a-z\d_-]{1,60}$/.test(name)) return name
  const digest = createHash('sha256').update(name).digest('hex').slice(0, 12)
  return `${name.replace(/[^\w-]/g, '_').slice(0, 40)}-${digest}`
}

function storeOf(store: Store): Store {
  if (STORE_METHODS.every((name) => typeof store?.[name] === 'function')) return store
  throw wrong('store', 'a store, e.g. memoryStore()')
}

function originsOf(origins: unknown): ReadonlySet<string> {
  if (!Array.isArray(origins)) throw wrong('origins', "an array like ['https://app.example.org']")
  for (const origin of origins) {
    if (origin === '*') throw wrong('origins', "a list of origins: '*' is not allowed where cookies are sent")
    if (typeof origin !== 'string' || !URL.canParse(origin) || new URL(origin).origin !== origin) {
      throw wrong('origins', `made of origins like 'https://app.example.org', not ${JSON.stringify(origin)}`)
    }
  }
  return new Set(origins)
}

/** An error on the way of reporting errors must not become a second failure. */
function reporter<User extends object>(options: SseOptions<User>): Report {
  const fallback: Report = (error, where) => console.error(`tabwire: ${where} failed:`, error)
  return async (error, where) => {
    try {
      await (options.onError === undefined ? fallback(error, where) : options.onError(error, where))
    } catch (second) {
      fallback(second, 'onError')
    }
  }
}

function wrong(name: string, expected: string): TypeError {
  return new TypeError(`tabwire: the option ${name} must be ${expected}.`)
}
