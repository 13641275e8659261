import express, {
  type NextFunction,
  type Request,
  type RequestHandler,
  type Response,
  type Router,
} from 'express'
import * as wire from '../client/protocol'
import type { Admin, Page } from './admin'
import { answer, orNull, refuse, wrap } from './answer'
import { drain, isRecord, readJson, readParams } from './body'
import { type ConnectParts, ConnectRoute } from './connect-route'
import { corsHeaders, preflightHeaders } from './cors'
import { deliberate, HttpError } from './errors'
import type { Listening } from './listening'
import type { OpenConnection } from './open-connection'
import { amountIn, connectionQuery, idIn, type Params, paramsOf, pathIn, queryOf, textIn } from './params'
import type { Asset, Sdk } from './sdk'
import { withUpload } from './upload'

const MAX_REASON_LENGTH = 200
/** Bytes of a body that holds parameters; a connection keeps them for as long as it is open. */
const PARAMS_LIMIT = 64 * 1024

type Handle = (req: Request, res: Response, next: NextFunction) => void | Promise<void>

type List = 'users' | 'connections' | 'repositoryMessages'

/** What the routes call. */
export interface RouteParts<User extends object> extends ConnectParts<User> {
  readonly admin: Admin<User>
  readonly listening: Listening<User>
  readonly sdk: Sdk
  readonly disconnectUser: (userId: string) => number
}

/** HTTP in, a call, HTTP out: PROTOCOL.md as a table. */
export function createRouter<User extends object>(parts: RouteParts<User>): Router {
  const routes = new Routes(parts)
  const router = express.Router({ caseSensitive: true, mergeParams: true })
  // What is thrown does not go through Express, to which 'route', 'router' and nothing at all would be a command.
  const run =
    (handle: Handle): RequestHandler =>
    async (req, res, next) => {
      try {
        const handled = handle(req, res, next)
        await (req.method === 'POST' ? parts.lifecycle.during(handled) : handled)
      } catch (error) {
        routes.failed(error, req, res)
      }
    }
  router.use(run(routes.introduce))
  router.get(wire.PATHS_MODULE, run(routes.module))
  router.get(wire.PATH_MAP, run(routes.asset('map')))
  router.get(wire.PATH_TYPES, run(routes.asset('types')))
  router.get(wire.PATH_OUTBOX, run(routes.outbox))
  router.get(wire.PATH_OUTBOX_MAP, run(routes.asset('outboxMap')))
  router.use(run(routes.guard))
  // Without a handler of its own, Express would answer HEAD with an open stream.
  router
    .route(wire.PATH_CONNECT)
    .head(run(routes.unknownPath))
    .get(run(routes.connect))
    .post(run(routes.connect))
  router.post(wire.PATH_ADD_LISTENER, run(routes.changeListeners('add')))
  router.post(wire.PATH_REMOVE_LISTENER, run(routes.changeListeners('remove')))
  router.post(wire.PATH_DISCONNECT, run(routes.disconnect))
  router.post(/^\/connect\/message\/.*\.do$/s, run(routes.message))
  router.post(/^\/connect\/upload\/.*\.do$/s, run(routes.upload))
  router.get(wire.PATHS_USERS, run(routes.list('users')))
  router.get(wire.PATHS_CONNECTIONS, run(routes.list('connections')))
  router.get(wire.PATHS_REPOSITORY_MESSAGES, run(routes.list('repositoryMessages')))
  router.post(wire.PATH_DISCONNECT_USER, run(routes.disconnectUser))
  router.use(run(routes.unknownPath))
  return router
}

/** The handlers: arrow functions, because they are called by themselves. What they throw goes to `failed`. */
class Routes<User extends object> {
  readonly #parts: RouteParts<User>
  readonly #connectRoute: ConnectRoute<User>

  constructor(parts: RouteParts<User>) {
    this.#parts = parts
    this.#connectRoute = new ConnectRoute(parts)
  }

  readonly introduce = (req: Request, res: Response, next: NextFunction): void => {
    const { settings } = this.#parts
    res.set({
      [wire.HEADER_VERSION]: wire.VERSION,
      [wire.HEADER_SERVER_ID]: settings.serverId,
      'X-Content-Type-Options': 'nosniff',
    })
    if (settings.origins.size > 0) this.#allowOrigin(req, res)
    if (req.method === 'OPTIONS') this.#preflight(req, res)
    else next()
  }

  readonly module = (req: Request, res: Response): Promise<void> => {
    const type = new URLSearchParams(queryOf(req.url)).get('script-type')
    if (type !== null && type !== 'module') return this.#serve('classic', req, res)
    res.set('SourceMap', req.baseUrl + wire.PATH_MAP)
    return this.#serve('module', req, res)
  }

  readonly outbox = (req: Request, res: Response): Promise<void> => {
    res.set('SourceMap', req.baseUrl + wire.PATH_OUTBOX_MAP)
    return this.#serve('outbox', req, res)
  }

  readonly asset =
    (asset: Asset) =>
    (req: Request, res: Response): Promise<void> =>
      this.#serve(asset, req, res)

  readonly guard = (req: Request, _res: Response, next: NextFunction): void => {
    const { access, settings } = this.#parts
    if (req.method !== 'GET' && req.method !== 'HEAD') access.checkOrigin(req)
    if (queryOf(req.url).length > settings.queryLimit) {
      throw new HttpError(413, `The query must not be longer than ${settings.queryLimit} characters.`)
    }
    next()
  }

  readonly connect = async (req: Request, res: Response): Promise<void> => {
    const { access } = this.#parts
    access.checkOrigin(req)
    const caller = await access.caller(req)
    await this.#connectRoute.answer(req, res, caller, await this.#params(req))
  }

  readonly changeListeners =
    (change: 'add' | 'remove') =>
    async (req: Request, res: Response): Promise<void> => {
      const { access, connections, listening, settings } = this.#parts
      const caller = await access.caller(req)
      const body = await readJson(req, settings.bodyLimit)
      if (!isRecord(body)) throw new HttpError(400, 'The body must be a JSON object.')
      const connection = access.checkOwner(connections.get(idIn(body)), caller)
      const { listener: names } = body
      const listener = listening[change](connection, names)
      connection.lastRequestTime = Date.now()
      await this.#answer(res, { listener })
    }

  readonly message = async (req: Request, res: Response): Promise<void> => {
    const { handlers, bodyLimit } = this.#parts.settings
    const { connection, query } = await this.#owned(req)
    const path = pathIn(req.path, wire.PATH_MESSAGE)
    if (handlers.onMessage === undefined) throw new HttpError(404, 'This service takes no messages.')
    const body = await readJson(req, bodyLimit)
    connection.requestMessageCount++
    const message = body === undefined || isRecord(body) ? { ...query, ...body } : body
    await this.#answer(res, await handlers.onMessage(path, connection, message))
  }

  readonly upload = async (req: Request, res: Response): Promise<void> => {
    const { settings } = this.#parts
    const { handlers } = settings
    const { connection, query } = await this.#owned(req)
    const path = pathIn(req.path, wire.PATH_UPLOAD)
    if (handlers.onUpload === undefined) throw new HttpError(404, 'This service takes no uploads.')
    const data = await withUpload(req, settings, ({ fields, files }) => {
      connection.requestUploadCount++
      return handlers.onUpload?.(path, connection, { ...query, ...fields }, files)
    })
    await this.#answer(res, data)
  }

  readonly disconnect = async (req: Request, res: Response): Promise<void> => {
    const { access, lifecycle } = this.#parts
    const caller = await access.caller(req)
    const params = await this.#params(req)
    const connection = lifecycle.find(idIn(params))
    if (connection === undefined) return this.#answer(res, { count: 0 })
    access.checkOwner(connection, caller)
    recordDuration(connection, params)
    const reason = (textIn(params, 'reason') ?? 'client-close').slice(0, MAX_REASON_LENGTH)
    lifecycle.goodbye(connection, reason)
    await this.#answer(res, { count: 1 })
  }

  readonly list =
    (list: List) =>
    async (req: Request, res: Response): Promise<void> => {
      await this.#checkAdmin(req)
      const page: Page<object> = this.#parts.admin[list](queryParams(req))
      await this.#answer(res, page)
    }

  readonly disconnectUser = async (req: Request, res: Response): Promise<void> => {
    await this.#checkAdmin(req)
    const params = await this.#params(req)
    const userId = textIn(params, 'userId')
    if (userId === undefined || Array.isArray(params['userId']))
      throw new HttpError(400, 'userId must be one id.')
    await this.#answer(res, { count: this.#parts.disconnectUser(userId) })
  }

  readonly unknownPath = (): never => {
    throw new HttpError(404, 'There is nothing at this path.')
  }

  readonly failed = (error: unknown, req: Request, res: Response): void => {
    const refusal = deliberate(error)
    if (refusal === undefined) this.#parts.settings.report(error, `${req.method} ${req.baseUrl}${req.path}`)
    if (res.headersSent) return void res.destroy()
    drain(req)
    refuse(res, refusal ?? new HttpError(500, "The handler failed; see the server's log."))
  }

  async #serve(asset: Asset, req: Request, res: Response): Promise<void> {
    const wanted = { acceptEncoding: req.get('accept-encoding'), ifNoneMatch: req.get('if-none-match') }
    const { status, headers, body } = await this.#parts.sdk.get(asset, wanted)
    res.vary('Accept-Encoding')
    res.writeHead(status, headers).end(body)
  }

  #allowOrigin(req: Request, res: Response): void {
    const { origin } = req.headers
    res.vary('Origin')
    if (this.#parts.access.isListed(origin)) res.set(corsHeaders(origin))
  }

  #preflight(req: Request, res: Response): void {
    this.#parts.access.checkOrigin(req)
    if (this.#parts.access.isListed(req.headers.origin)) {
      res.vary('Access-Control-Request-Headers')
      res.set(preflightHeaders(req.get('access-control-request-headers')))
    }
    res.writeHead(204).end()
  }

  /** The caller's own connection that the query names, and the message's parameters there. */
  async #owned(req: Request): Promise<{ connection: OpenConnection<User>; query: Params }> {
    const { access, connections } = this.#parts
    const caller = await access.caller(req)
    const { connectionId, message } = connectionQuery(req.url)
    const connection = access.checkOwner(connections.get(idIn({ connectionId })), caller)
    connection.lastRequestTime = Date.now()
    return { connection, query: message }
  }

  async #checkAdmin(req: Request): Promise<void> {
    const { user } = await this.#parts.access.caller(req)
    await this.#parts.access.checkAdmin(user, req)
  }

  /** The query, over it the body. */
  async #params(req: Request): Promise<Params> {
    const limit = Math.min(this.#parts.settings.bodyLimit, PARAMS_LIMIT)
    const inBody = req.method === 'POST' ? await readParams(req, limit) : {}
    return Object.assign(queryParams(req), inBody)
  }

  async #answer(res: Response, data: unknown): Promise<void> {
    const { handlers } = this.#parts.settings
    const given = orNull(data)
    answer(res, handlers.wrapOk === undefined ? wrap(given) : await handlers.wrapOk(given))
  }
}

function queryParams(req: Request): Params {
  return paramsOf(new URLSearchParams(queryOf(req.url)))
}

function recordDuration<User extends object>(connection: OpenConnection<User>, params: Params): void {
  const before = amountIn(params, 'sessionDuration')
  const since = amountIn(params, 'duration')
  if (before !== undefined || since !== undefined) connection.sessionDuration = (before ?? 0) + (since ?? 0)
}
