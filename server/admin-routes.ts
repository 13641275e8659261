import type { Request, Response } from 'express'
import type { Access } from './access'
import type { Admin } from './admin'
import { send, successOf } from './answer'
import type { AdminAction, AuditEntry } from './audit'
import { allParams } from './body'
import type { Connections } from './connections'
import { HttpError } from './errors'
import { Hooks } from './hooks'
import type { Caller } from './identity'
import { METRICS_TYPE } from './metrics'
import type { OpenConnection } from './open-connection'
import type { Settings } from './options'
import { idIn, type Params, queryParams, textIn } from './params'
import type { Sdk } from './sdk'
import type { Watchers } from './watchers'

type List = 'users' | 'connections' | 'repositoryMessages' | 'monitorUsers'

export interface AdminParts<User extends object> {
  readonly settings: Settings<User>
  readonly access: Access<User>
  readonly connections: Connections<OpenConnection<User>>
  readonly admin: Admin<User>
  readonly watchers: Watchers<User>
  readonly sdk: Sdk
  readonly disconnectUser: (userId: string) => Promise<number>
  readonly metrics: () => Promise<string>
}

const PAGING = ['pageNum', 'pageSize', 'name']
/** The parameters of each action: all others are the application's, and may be secrets. */
const PARAMS: Record<AdminAction, readonly string[]> = {
  users: PAGING,
  connections: [...PAGING, 'id', 'clientId', 'userId', 'tenantId', 'channel', 'listening'],
  repositoryMessages: PAGING,
  disconnectUser: ['userId'],
  metrics: [],
  monitor: [],
  monitorUsers: PAGING,
  watch: ['connectionId'],
}

/**
 * What is shown in a page comes from users: nothing in it can be a script. Its address may hold a token, which must not
 * go elsewhere, nor into a cache. `data:` is the icon.
 */
const PAGE_HEADERS = {
  'Cache-Control': 'no-store',
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'Referrer-Policy': 'no-referrer',
}

interface Visit<User extends object> {
  readonly caller: Caller<User>
  readonly params: Params
  readonly req: Request
  readonly res: Response
}

type Handle = (req: Request, res: Response) => Promise<void>

/** PROTOCOL.md, section 8: each of these goes through the one door. */
export class AdminRoutes<User extends object> {
  readonly #parts: AdminParts<User>
  readonly #audit: Hooks<[AuditEntry<User>]>

  constructor(parts: AdminParts<User>) {
    this.#parts = parts
    const { handlers, report } = parts.settings
    this.#audit = new Hooks('audit', report)
    if (handlers.audit !== undefined) this.#audit.add((entry) => handlers.audit?.(entry))
  }

  readonly list = (list: List): Handle =>
    this.#door(list, async ({ params, res }) => {
      await this.#answer(res, await this.#parts.admin[list](params))
    })

  readonly disconnectUser = this.#door('disconnectUser', async ({ params, res }) => {
    const userId = textIn(params, 'userId')
    if (userId === undefined || Array.isArray(params['userId']))
      throw new HttpError(400, 'userId must be one id.')
    await this.#answer(res, { count: await this.#parts.disconnectUser(userId) })
  })

  readonly metrics = this.#door('metrics', async ({ res }) => {
    const body = await this.#parts.metrics()
    send(res, { status: 200, headers: { 'Content-Type': METRICS_TYPE }, body })
  })

  readonly monitor = this.#door('monitor', async ({ req, res }) => {
    const wanted = { acceptEncoding: req.get('accept-encoding'), ifNoneMatch: undefined }
    const { status, headers, body } = await this.#parts.sdk.get('monitor.html', wanted)
    res.writeHead(status, { ...headers, ...PAGE_HEADERS }).end(body)
  })

  readonly watch = this.#door('watch', async ({ caller, params, res }) => {
    const { access, connections, watchers } = this.#parts
    watchers.add(access.checkOwner(connections.get(idIn(params)), caller))
    await this.#answer(res, {})
  })

  /** Lets operators in, and nobody else; whoever asks, the application hears of it. */
  #door(action: AdminAction, handle: (visit: Visit<User>) => Promise<void>): Handle {
    return async (req, res) => {
      const { access, settings } = this.#parts
      let [caller, isAllowed, params]: [Caller<User> | undefined, boolean, Params] = [undefined, false, {}]
      try {
        access.checkRequest(req)
        params = queryParams(req.url)
        caller = await access.caller(req)
        await access.checkAdmin(caller.user, req)
        isAllowed = true
        params = await allParams(req, settings)
      } finally {
        const told = { isAllowed, user: caller?.user, requestIp: req.ip }
        this.#audit.run({ action, params: toldOf(action, params), ...told })
      }
      await handle({ caller, params, req, res })
    }
  }

  async #answer(res: Response, data: unknown): Promise<void> {
    send(res, await successOf(data, this.#parts.settings.handlers))
  }
}

function toldOf(action: AdminAction, params: Params): Record<string, string> {
  const given = PARAMS[action].map((name) => [name, textIn(params, name)])
  return Object.fromEntries(given.filter(([, value]) => value !== undefined))
}
