import type { Request, Response } from 'express'
import { type BatchAnswer, HEADER_KEY, HEADER_UPLOAD, PATH_MESSAGE, PATH_UPLOAD } from '../client/protocol'
import type { Access } from './access'
import type { Acts } from './acts'
import { beginLines, type Reply, refusalOf, send, successOf } from './answer'
import { answerInLanes, type Entry, readBatch } from './batch'
import { messageOf, readJson } from './body'
import type { ConnectionRequest } from './connection'
import { HttpError } from './errors'
import { type Inbox, isTemporary, type Keyed } from './inbox'
import { digestOf, keyIn } from './key'
import type { Lifecycle } from './lifecycle'
import type { Found } from './nodes'
import type { Settings } from './options'
import { connectionQuery, idIn, type Params, pathIn } from './params'
import { withUpload } from './upload'
import type { Pieces, Uploads } from './uploads'

export interface RequestParts<User extends object> {
  readonly settings: Settings<User>
  readonly access: Access<User>
  readonly acts: Acts<User>
  readonly lifecycle: Lifecycle<User>
  readonly inbox: Inbox
  readonly uploads: Uploads<User>
}

/** One request for a handler. */
interface Work<User extends object> {
  readonly connection: Found<User>
  readonly request: ConnectionRequest
  /** For the report of a failure. */
  readonly where: string
}

/** PROTOCOL.md, section 6: what pages send to the application. Each runs once, if it has a key. */
export class RequestRoutes<User extends object> {
  readonly #parts: RequestParts<User>

  constructor(parts: RequestParts<User>) {
    this.#parts = parts
  }

  readonly message = async (req: Request, res: Response): Promise<void> => {
    const { query, ...work } = await this.#owned(req)
    const request = requestOf(req)
    const path = pathIn(req.path, PATH_MESSAGE)
    this.#checkTakesMessages()
    const body = await readJson(req, this.#parts.settings)
    send(res, await this.#message({ ...work, request }, path, messageOf(query, body)))
  }

  readonly upload = async (req: Request, res: Response): Promise<void> => {
    const { settings, uploads } = this.#parts
    const { query, ...owned } = await this.#owned(req)
    const work = { ...owned, request: requestOf(req) }
    const path = pathIn(req.path, PATH_UPLOAD)
    if (settings.handlers.onUpload === undefined) throw new HttpError(404, 'This service takes no uploads.')
    const answer = (pieces: Pieces) => this.#upload(req, work, path, query, pieces)
    const id = req.get(HEADER_UPLOAD)
    if (id === undefined) return send(res, await answer({ body: req }))
    send(res, await uploads.withPieces(id, work.connection.owner, res, answer))
  }

  readonly batch = async (req: Request, res: Response): Promise<void> => {
    const { connection, where } = await this.#owned(req)
    const entries = await readBatch(req, this.#parts.settings)
    const answerOne = (entry: Entry | HttpError) => this.#entry(connection, where, entry)
    const lines = beginLines(res)
    const tell = (index: number, reply: Reply): boolean =>
      lines.write({ index, ...reply } satisfies BatchAnswer)
    const { all } = await answerInLanes(entries, answerOne, isTemporary, tell)
    void this.#parts.lifecycle.during(all)
    lines.end()
  }

  #upload(req: Request, work: Work<User>, path: string, query: Params, pieces: Pieces): Promise<Reply> {
    const { acts, settings } = this.#parts
    const { connection, request } = work
    const fingerprint = () => digestOf('upload', path, query, pieces.digest)
    if (pieces.body === undefined) return this.#again(work, fingerprint)
    const limits = { ...settings, isDigested: request.key !== undefined }
    return withUpload(
      req,
      limits,
      ({ fields, files, digest }) => {
        if (digest !== undefined) pieces.digest = digest
        return this.#once(work, fingerprint, () => {
          acts.noteRequest(connection, { handled: 'upload' })
          settings.counters.uploads++
          return settings.handlers.onUpload?.(path, connection, { ...query, ...fields }, files, request)
        })
      },
      pieces.body,
    )
  }

  async #entry(connection: Found<User>, where: string, entry: Entry | HttpError): Promise<Reply> {
    try {
      if (entry instanceof HttpError) throw entry
      this.#checkTakesMessages()
      const { key, path, message } = entry
      return await this.#message({ connection, where, request: { key } }, path, message)
    } catch (error) {
      return refusalOf(error, () => this.#parts.settings.report(error, where))
    }
  }

  #message(work: Work<User>, path: string, message: unknown): Promise<Reply> {
    const { handlers, counters } = this.#parts.settings
    const { connection, request } = work
    return this.#once(
      work,
      () => digestOf('message', path, message),
      () => {
        this.#parts.acts.noteRequest(connection, { handled: 'message' })
        counters.messages++
        return handlers.onMessage?.(path, connection, message, request)
      },
    )
  }

  /** With a key it outlives whoever asked, and failing is an answer as well. */
  async #once(work: Work<User>, fingerprint: () => string, handle: () => unknown): Promise<Reply> {
    const { handlers, report } = this.#parts.settings
    const run = async () => successOf(await handle(), handlers)
    const keyed = keyedOf(work, fingerprint)
    if (keyed === undefined) return run()
    return this.#parts.inbox.answer(keyed, () =>
      run().catch((error) => refusalOf(error, () => report(error, work.where))),
    )
  }

  /** The form has gone: only what its key was answered can answer it. */
  async #again(work: Work<User>, fingerprint: () => string): Promise<Reply> {
    const keyed = keyedOf(work, fingerprint)
    if (keyed === undefined) throw gone()
    return this.#parts.inbox.answer(keyed, async () => {
      throw gone()
    })
  }

  #checkTakesMessages(): void {
    if (this.#parts.settings.handlers.onMessage === undefined)
      throw new HttpError(404, 'This service takes no messages.')
  }

  /** The caller's own connection that the query names, which may have left just now; and the message's parameters there. */
  async #owned(req: Request): Promise<Omit<Work<User>, 'request'> & { query: Params }> {
    const { access, acts } = this.#parts
    const caller = await access.caller(req)
    const { connectionId, message, lastEventId } = connectionQuery(req.url)
    const id = idIn({ connectionId })
    const connection = access.checkOwner(await acts.find(id), caller)
    acts.noteRequest(connection, { lastEventId })
    return { connection, query: message, where: `${req.method} ${req.baseUrl}${req.path}` }
  }
}

/** `undefined`: it has no key. */
function keyedOf<User extends object>(
  { connection, request: { key } }: Work<User>,
  fingerprint: () => string,
): Keyed | undefined {
  return key === undefined ? undefined : { owner: keyOwnerOf(connection), key, fingerprint: fingerprint() }
}

/** Users who are not told apart have a browser each: the key of one must not be answered with what the other did. */
function keyOwnerOf<User extends object>(connection: Found<User>): string {
  const { owner, userId, accessToken, clientId } = connection
  return userId === undefined && accessToken === undefined ? JSON.stringify([owner, clientId]) : owner
}

function gone(): HttpError {
  return new HttpError(404, 'This upload was answered, and is gone; begin a new one.')
}

/** @throws HttpError 400 for a key that is none */
function requestOf(req: Request): ConnectionRequest {
  const header = req.get(HEADER_KEY)
  return header === undefined ? {} : { key: keyIn(header) }
}
