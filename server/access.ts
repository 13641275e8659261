import type { Request } from 'express'
import { HttpError, unknownConnection } from './errors'
import { type Caller, identify } from './identity'
import type { Settings } from './options'
import { queryOf } from './params'

/** Who is it, may they, is this connection theirs, is this origin ours: PROTOCOL.md, section 1. */
export class Access<User extends object> {
  readonly #settings: Settings<User>

  constructor(settings: Settings<User>) {
    this.#settings = settings
  }

  /** @throws HttpError 401 if nobody is asking. */
  async caller(req: Request): Promise<Caller<User>> {
    const user = await this.#settings.handlers.getUser(req)
    if (user === null || user === undefined || user === false) {
      throw new HttpError(401, 'Nobody is signed in; sign in and try again.')
    }
    if (typeof user !== 'object') {
      throw new TypeError(`getUser must return an object, or null for nobody; it returned a ${typeof user}.`)
    }
    return { user, identity: identify(user) }
  }

  /** @throws HttpError 403 if a page of a foreign origin is asking. */
  checkOrigin(req: Request): void {
    if (this.#isHome(req)) return
    throw new HttpError(403, 'Pages of this origin may not use this service; its option origins allows them.')
  }

  /** @throws HttpError what no request may: 403 if it would change something and is a foreign page's, 413 for a long query. */
  checkRequest(req: Request): void {
    const { queryLimit } = this.#settings
    if (req.method !== 'GET' && req.method !== 'HEAD') this.checkOrigin(req)
    if (queryOf(req.url).length > queryLimit)
      throw new HttpError(413, `The query must not be longer than ${queryLimit} characters.`)
  }

  /** Whether this is an origin of the allowed list (and so gets CORS headers). */
  isListed(origin: string | undefined): origin is string {
    return origin !== undefined && this.#settings.origins.has(origin)
  }

  /** @throws HttpError 403 if the user may not join the channel. */
  async checkChannel(user: User, channel: string | undefined, req: Request): Promise<void> {
    if (channel === undefined || this.#settings.handlers.mayJoin === undefined) return
    if (await this.#settings.handlers.mayJoin(user, channel, req)) return
    throw new HttpError(403, 'You may not join this channel.')
  }

  /** @throws HttpError 403 if the user is no operator. */
  async checkAdmin(user: User, req: Request): Promise<void> {
    if (await this.#settings.handlers.admin?.(user, req)) return
    throw new HttpError(403, 'Only operators may do this.')
  }

  /** @throws HttpError 404 if there is no such connection, 403 if it is another user's. */
  checkOwner<Owned extends { readonly owner: string }>(
    connection: Owned | undefined,
    caller: Caller<User>,
  ): Owned {
    if (connection === undefined) throw unknownConnection()
    if (connection.owner === caller.identity.owner) return connection
    throw new HttpError(403, 'This connection belongs to another user.')
  }

  #isHome(req: Request): boolean {
    const { origin } = req.headers
    if (this.isListed(origin)) return true
    const site = req.headers['sec-fetch-site']
    if (site !== undefined) return site === 'same-origin' || site === 'none'
    return origin === undefined || isHostOf(origin, hostOf(req))
  }
}

/** The host that the client asked, with the port: Express 4's `req.host` has none. */
function hostOf(req: Request): string {
  const isProxyTrusted: (address: string | undefined, hop: number) => boolean = req.app.get('trust proxy fn')
  const [forwarded = ''] = req.get('x-forwarded-host')?.split(',') ?? []
  return forwarded !== '' && isProxyTrusted(req.socket.remoteAddress, 0)
    ? forwarded.trim()
    : (req.get('host') ?? '')
}

function isHostOf(origin: string, host: string): boolean {
  if (!URL.canParse(origin)) return false
  const { protocol, host: originHost } = new URL(origin)
  // Through the same parser, so that case and the default port do not matter.
  const own = `${protocol}//${host}`
  return URL.canParse(own) && new URL(own).host === originHost
}
