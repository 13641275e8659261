import type { IncomingMessage } from 'node:http'
import { finished, PassThrough, Readable } from 'node:stream'
import type { ReadableStream } from 'node:stream/web'
import type { Request, Response } from 'express'
import { PATH_UPLOADS } from '../client/protocol'
import type { Access } from './access'
import { drain } from './body'
import { HttpError } from './errors'
import type { Settings } from './options'
import { queryOf } from './params'
import { watch } from './patience'
import { TUS_VERSION, type TusRequest } from './tus'
import { KEPT } from './upload-folder'
import type { Uploads } from './uploads'

/** Of the library's answer: the rest is ours to say, or nobody's to know. */
const TOLD = ['Upload-Offset', 'Upload-Length', 'Cache-Control', 'Connection']
const PIECE = 'application/offset+octet-stream'

const REFUSALS = new Map([
  [404, 'There is no such upload; begin a new one.'],
  [409, 'The upload goes on at another place; ask for its Upload-Offset.'],
  [413, 'The upload must not become longer than its Upload-Length.'],
  [423, 'Another request goes on with this upload; ask for its Upload-Offset.'],
])

export interface UploadsParts<User extends object> {
  readonly settings: Settings<User>
  readonly access: Access<User>
  readonly uploads: Uploads<User>
}

/** PROTOCOL.md, section 6, "Large forms": [tus 1.0]. */
export class UploadsRoute<User extends object> {
  readonly #parts: UploadsParts<User>

  constructor(parts: UploadsParts<User>) {
    this.#parts = parts
  }

  readonly create = async (req: Request, res: Response): Promise<void> => {
    const owner = await this.#owner(req, res)
    checkVersion(req)
    const length = wholeIn(req, 'upload-length')
    const id = await this.#parts.uploads.create(owner, length)
    drain(req)
    const query = queryOf(req.url)
    // Relative to this path, in case a proxy on the way shows it at another one.
    const location = `uploads/${id}${query === '' ? '' : `?${query}`}`
    res.writeHead(201, { Location: location, 'Upload-Expires': expiry(), 'Content-Length': 0 }).end()
  }

  /** HEAD, PATCH and DELETE of one upload. */
  readonly piece = async (req: Request, res: Response): Promise<void> => {
    const { uploads, settings } = this.#parts
    const owner = await this.#owner(req, res)
    // As it was sent: what has to be decoded is no id.
    const id = req.path.slice(PATH_UPLOADS.length + 1)
    await uploads.find(id, owner)
    checkVersion(req)
    const request = { method: req.method as TusRequest['method'], id, headers: headersOf(req) }
    const answer =
      req.method === 'PATCH'
        ? await received(req, settings, (body) => uploads.handle({ ...request, body }))
        : await uploads.handle(request)
    respond(res, req.method, answer)
  }

  async #owner(req: Request, res: Response): Promise<string> {
    const { access, settings } = this.#parts
    res.set('Tus-Resumable', TUS_VERSION)
    // The guard lets HEAD pass, as it asks for nothing elsewhere.
    access.checkOrigin(req)
    const { identity } = await access.caller(req)
    if (settings.handlers.onUpload === undefined) throw new HttpError(404, 'This service takes no uploads.')
    return identity.owner
  }
}

/** [tus 1.0] another version is refused with 412, and told ours. */
function checkVersion(req: Request): void {
  if (req.get('tus-resumable') === TUS_VERSION) return
  const headers = { 'Tus-Version': TUS_VERSION }
  throw new HttpError(412, `The header Tus-Resumable must be ${TUS_VERSION}.`, headers)
}

function headersOf(req: Request): Record<string, string> {
  const version = { 'tus-resumable': TUS_VERSION }
  if (req.method !== 'PATCH') return version
  if (req.get('content-type') !== PIECE) throw new HttpError(415, `The content type must be ${PIECE}.`)
  const length = req.get('content-length')
  return {
    ...version,
    'content-type': PIECE,
    'upload-offset': String(wholeIn(req, 'upload-offset')),
    ...(length === undefined ? {} : { 'content-length': length }),
  }
}

/** A header that counts bytes. */
function wholeIn(req: Request, name: string): number {
  const text = req.get(name) ?? ''
  const count = Number(text)
  if (/^\d+$/.test(text) && Number.isSafeInteger(count)) return count
  throw new HttpError(400, `The header ${name} must be a whole number of bytes.`)
}

/**
 * Gives `use` the bytes of a request for as long as they come. Those that came are kept, however it ends.
 * @throws HttpError 408 if they did not come in time.
 */
async function received(
  req: IncomingMessage,
  { bodyIdleTimeout: idle, uploadTimeout: total }: { bodyIdleTimeout: number; uploadTimeout: number },
  use: (body: ReadableStream<Uint8Array>) => Promise<globalThis.Response>,
): Promise<globalThis.Response> {
  const body = new PassThrough()
  // A request that broke off holds what we had no time to read, but would let nobody hear of it any more.
  const pour = () => {
    for (let rest = req.read(); rest !== null; rest = req.read()) body.write(rest)
  }
  pour()
  let late: HttpError | undefined
  const stop = watch(req, { idle, total }, (error) => {
    late = error
    body.end()
  })
  finished(req, { writable: false }, () => {
    pour()
    body.end()
  })
  req.pipe(body, { end: false })
  try {
    const answer = await use(Readable.toWeb(body))
    if (late !== undefined) throw late
    return answer
  } finally {
    stop()
    req.unpipe(body)
    body.on('error', () => {}).destroy()
    drain(req)
  }
}

function respond(res: Response, method: string, { status, headers }: globalThis.Response): void {
  if (status >= 400) {
    const known = status === 410 ? 404 : status
    const message = REFUSALS.get(known) ?? 'The upload failed; try again.'
    // Whose place another one took need not be heard out.
    throw new HttpError(known, message, status === 423 ? { Connection: 'close' } : {})
  }
  for (const name of TOLD) {
    const value = headers.get(name)
    if (value !== null) res.setHeader(name, value)
  }
  if (method === 'PATCH') res.setHeader('Upload-Expires', expiry())
  res.writeHead(status).end()
}

function expiry(): string {
  return new Date(Date.now() + KEPT).toUTCString()
}
