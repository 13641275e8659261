import express, {
  type NextFunction,
  type Request,
  type RequestHandler,
  type Response,
  type Router,
} from 'express'
import * as wire from '../client/protocol'
import type { Acts } from './acts'
import { type AdminParts, AdminRoutes } from './admin-routes'
import { refusalOf, send, successOf } from './answer'
import { allParams, drain, isRecord, readJson } from './body'
import { type ConnectParts, ConnectRoute } from './connect-route'
import { corsHeaders, preflightHeaders } from './cors'
import { HttpError } from './errors'
import { amountIn, idIn, type Params, queryOf, queryParams, textIn } from './params'
import { type RequestParts, RequestRoutes } from './request-routes'
import type { Asset } from './sdk'
import { UploadsRoute } from './uploads-route'

const MAX_REASON_LENGTH = 200

/** Scripts beside the module: the parts that it loads when they are needed, and the monitor's. The map of each lies beside it. */
const PARTS = [
  [wire.PATH_OUTBOX, 'outbox.js'],
  [wire.PATH_OUTBOX_STORE, 'outbox-store.js'],
  [wire.PATH_UPLOADER, 'upload.js'],
  [wire.PATH_MONITOR_SCRIPT, 'monitor.js'],
] as const

type Handle = (req: Request, res: Response, next: NextFunction) => void | Promise<void>

/** What the routes call. */
export interface RouteParts<User extends object>
  extends ConnectParts<User>,
    RequestParts<User>,
    AdminParts<User> {
  readonly acts: Acts<User>
}

/** HTTP in, a call, HTTP out: PROTOCOL.md as a table. */
export function createRouter<User extends object>(parts: RouteParts<User>): Router {
  const routes = new Routes(parts)
  const requests = new RequestRoutes(parts)
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
  router.get(wire.PATH_MAP, run(routes.asset('sse.js.map')))
  router.get(wire.PATH_TYPES, run(routes.asset('sse.d.ts')))
  for (const [path, name] of PARTS) {
    router.get(path, run(routes.part(name)))
    router.get(`${path}.map`, run(routes.asset(`${name}.map`)))
  }
  router.get(wire.PATH_MONITOR_STYLE, run(routes.asset('monitor.css')))
  addAdmin(router, new AdminRoutes(parts), run)
  router.use(run(routes.guard))
  // Without a handler of its own, Express would answer HEAD with an open stream.
  router
    .route(wire.PATH_CONNECT)
    .head(run(routes.unknownPath))
    .get(run(routes.connect))
    .post(run(routes.connect))
  router.post(wire.PATH_ADD_LISTENER, run(routes.changeListeners('add')))
  router.post(wire.PATH_REMOVE_LISTENER, run(routes.changeListeners('remove')))
  router.post(wire.PATH_REPORT, run(routes.report))
  router.post(wire.PATH_DISCONNECT, run(routes.disconnect))
  router.post(/^\/connect\/message\/.*\.do$/s, run(requests.message))
  router.post(/^\/connect\/upload\/.*\.do$/s, run(requests.upload))
  router.post(wire.PATH_BATCH, run(requests.batch))
  addUploads(router, new UploadsRoute(parts), run)
  router.use(run(routes.unknownPath))
  return router
}

/** Before the guard: they ask it themselves, so that the application hears of what it refuses. */
function addAdmin<User extends object>(
  router: Router,
  routes: AdminRoutes<User>,
  run: (handle: Handle) => RequestHandler,
): void {
  router.get(wire.PATHS_USERS, run(routes.list('users')))
  router.get(wire.PATHS_CONNECTIONS, run(routes.list('connections')))
  router.get(wire.PATHS_REPOSITORY_MESSAGES, run(routes.list('repositoryMessages')))
  router.post(wire.PATH_DISCONNECT_USER, run(routes.disconnectUser))
  router.get(wire.PATH_METRICS, run(routes.metrics))
  // Not with a slash at the end, where the page would look for its script in vain.
  router.get(/^\/monitor$/, run(routes.monitor))
  router.get(wire.PATH_MONITOR_USERS, run(routes.list('monitorUsers')))
  router.post(wire.PATH_WATCH, run(routes.watch))
}

function addUploads<User extends object>(
  router: Router,
  { create, piece }: UploadsRoute<User>,
  run: (handle: Handle) => RequestHandler,
): void {
  const one = run(piece)
  // No parameters: Express would decode them, and answer what it cannot by itself.
  router.post(/^\/connect\/uploads$/, run(create))
  router
    .route(/^\/connect\/uploads\/[^/]*$/)
    .head(one)
    .patch(one)
    .delete(one)
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
    if (type !== null && type !== 'module') return this.#serve('sse.classic.js', req, res)
    res.set('SourceMap', req.baseUrl + wire.PATH_MAP)
    return this.#serve('sse.js', req, res)
  }

  /** A script beside the module. */
  readonly part =
    (name: (typeof PARTS)[number][1]) =>
    (req: Request, res: Response): Promise<void> => {
      res.set('SourceMap', `${req.baseUrl}${req.path}.map`)
      return this.#serve(name, req, res)
    }

  readonly asset =
    (asset: Asset) =>
    (req: Request, res: Response): Promise<void> =>
      this.#serve(asset, req, res)

  readonly guard = (req: Request, _res: Response, next: NextFunction): void => {
    this.#parts.access.checkRequest(req)
    next()
  }

  readonly connect = async (req: Request, res: Response): Promise<void> => {
    const { access } = this.#parts
    access.checkOrigin(req)
    const caller = await access.caller(req)
    await this.#connectRoute.answer(req, res, caller, await allParams(req, this.#parts.settings))
  }

  readonly changeListeners =
    (kind: 'add' | 'remove') =>
    async (req: Request, res: Response): Promise<void> => {
      const { access, acts, settings } = this.#parts
      const caller = await access.caller(req)
      const body = await readJson(req, settings)
      if (!isRecord(body)) throw new HttpError(400, 'The body must be a JSON object.')
      const connection = access.checkOwner(await acts.find(idIn(body)), caller)
      const { listener: names } = body
      const lastEventId = textIn(queryParams(req.url), 'lastEventId')
      const listener = await acts.on(connection, { kind, names, lastEventId })
      await this.#answer(res, { listener })
    }

  readonly report = async (req: Request, res: Response): Promise<void> => {
    const { access, acts } = this.#parts
    const caller = await access.caller(req)
    const params = await allParams(req, this.#parts.settings)
    const connection = access.checkOwner(await acts.find(idIn(params)), caller)
    const away = textIn(params, 'away')
    const isAway = away === undefined ? undefined : away === 'true'
    const lastEventId = textIn(params, 'lastEventId')
    await acts.on(connection, { kind: 'report', isAway, lastEventId })
    await this.#answer(res, {})
  }

  readonly disconnect = async (req: Request, res: Response): Promise<void> => {
    const { access, acts } = this.#parts
    const caller = await access.caller(req)
    const params = await allParams(req, this.#parts.settings)
    const connection = await acts.find(idIn(params))
    if (connection === undefined) return this.#answer(res, { count: 0 })
    access.checkOwner(connection, caller)
    const isEnded = await acts.on(connection, {
      kind: 'goodbye',
      reason: (textIn(params, 'reason') ?? 'client-close').slice(0, MAX_REASON_LENGTH),
      sessionDuration: durationIn(params),
      lastEventId: textIn(params, 'lastEventId'),
    })
    await this.#answer(res, { count: isEnded ? 1 : 0 })
  }

  readonly unknownPath = (): never => {
    throw new HttpError(404, 'There is nothing at this path.')
  }

  readonly failed = (error: unknown, req: Request, res: Response): void => {
    const where = `${req.method} ${req.baseUrl}${req.path}`
    const refusal = refusalOf(error, () => this.#parts.settings.report(error, where))
    this.#parts.settings.counters.refused(refusal.status)
    if (res.headersSent) return void res.destroy()
    drain(req)
    send(res, refusal)
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

  async #answer(res: Response, data: unknown): Promise<void> {
    send(res, await successOf(data, this.#parts.settings.handlers))
  }
}

/** Seconds that the person was active, if the client says it. */
function durationIn(params: Params): number | undefined {
  const before = amountIn(params, 'sessionDuration')
  const since = amountIn(params, 'duration')
  return before === undefined && since === undefined ? undefined : (before ?? 0) + (since ?? 0)
}
