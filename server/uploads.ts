import { type FileHandle, open } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import type { Readable } from 'node:stream'
import { HttpError } from './errors'
import { isTemporary } from './inbox'
import type { Settings } from './options'
import { type Progress, TUS_VERSION, Tus, type TusRequest } from './tus'
import { mostBytes } from './upload'
import { isOf, isUploadId, newId, UploadFolder } from './upload-folder'

/** ms between two looks for what has waited for too long. */
const SWEEP_INTERVAL = 60 * 60 * 1000
/** Seconds after which it may be worth while to ask for one more. */
const RETRY_AFTER = '60'

/** A form that came in pieces. */
export interface Pieces {
  /** Not there: the form was answered, and has gone. */
  readonly body?: Readable
  /** Of what the form held, once that is known: so a repeat is known as one when the form has gone. */
  digest?: string
}

/** Forms that come in pieces: whose they are, how many, and how long they wait for the rest. */
export class Uploads<User extends object> {
  readonly #settings: Settings<User>
  readonly #folder: UploadFolder
  readonly #tus: Tus
  readonly #timer: NodeJS.Timeout | undefined
  /** Being removed: nobody is to see them any more. With the digests of what they held. */
  readonly #leaving = new Map<string, string | undefined>()
  #creation: Promise<unknown> = Promise.resolve()

  constructor(settings: Settings<User>) {
    this.#settings = settings
    this.#folder = new UploadFolder(settings.uploadFolder)
    this.#tus = new Tus(this.#folder.path, settings.report)
    if (settings.handlers.onUpload === undefined) return
    void this.#sweep()
    this.#timer = setInterval(() => void this.#sweep(), SWEEP_INTERVAL).unref()
  }

  /**
   * @param length Bytes.
   * @returns the id.
   * @throws HttpError 413 if no form can be so long, 429 if the user has too many.
   */
  create(owner: string, length: number): Promise<string> {
    const most = mostBytes(this.#settings)
    if (length > most) throw new HttpError(413, `The upload must not be longer than ${most} bytes.`)
    // One after the other: else many at once would all see that there is room for one.
    const creation = this.#creation.then(() => this.#create(owner, length))
    this.#creation = creation.catch(() => {})
    return creation
  }

  /** How far the user's own upload has come. @throws HttpError 404 if there is none, 403 if it is another user's. */
  async find(id: string | undefined, owner: string): Promise<Progress> {
    if (!isUploadId(id) || this.#leaving.has(id) || !(await this.#folder.has(id))) throw unknown()
    if (!isOf(id, owner)) throw new HttpError(403, 'This upload belongs to another user.')
    const progress = await this.#tus.progress(id)
    if (progress === undefined) throw unknown()
    return progress
  }

  /** To be asked after `find`. */
  handle(request: TusRequest): Promise<Response> {
    return this.#tus.handle(request)
  }

  /**
   * Gives `use` all that came. When the answer is one that the client does not try again, and has left, the form goes.
   * @param res Where the answer is written.
   * @throws HttpError as `find`; 409 if bytes are missing; and what `use` throws.
   */
  async withPieces<Result>(
    id: string,
    owner: string,
    res: ServerResponse,
    use: (pieces: Pieces) => Promise<Result>,
  ): Promise<Result> {
    const file = await this.#open(id, owner)
    if (typeof file === 'string') return use({ digest: file })
    const pieces: Pieces = { body: file.createReadStream({ autoClose: false }) }
    res.once('finish', () => {
      if (!isTemporary({ status: res.statusCode })) void this.#settle(id, pieces.digest)
    })
    try {
      return await use(pieces)
    } finally {
      pieces.body?.destroy()
      await file.close()
    }
  }

  /** What is there stays, for the next process. */
  close(): void {
    clearInterval(this.#timer)
  }

  async #create(owner: string, length: number): Promise<string> {
    const { maxUnfinished } = this.#settings
    await this.#folder.prepare()
    if (!(await this.#hasRoom(owner))) {
      const message = `There are ${maxUnfinished} unfinished uploads already; finish or delete one first.`
      throw new HttpError(429, message, { 'Retry-After': RETRY_AFTER })
    }
    const id = newId(owner)
    const headers = { 'tus-resumable': TUS_VERSION, 'upload-length': String(length) }
    const { status } = await this.#tus.handle({ method: 'POST', id, headers })
    if (status !== 201) throw new Error(`An upload could not be created: ${status}.`)
    return id
  }

  /** The file of all bytes; or what its digest was, if it was answered. */
  async #open(id: string, owner: string): Promise<FileHandle | string> {
    try {
      const { offset, length } = await this.find(id, owner)
      if (offset === length) return await open(this.#folder.pathOf(id))
      throw new HttpError(409, `Of this upload ${offset} of ${length} bytes are here; send the rest first.`)
    } catch (error) {
      if (!isGone(error)) throw error
      const digest = isUploadId(id) && isOf(id, owner) ? await this.#digestOf(id) : undefined
      if (digest !== undefined) return digest
      throw unknown()
    }
  }

  async #digestOf(id: string): Promise<string | undefined> {
    return this.#leaving.get(id) ?? (await this.#folder.digestOf(id))
  }

  /** From now on there is none. */
  async #settle(id: string, digest: string | undefined): Promise<void> {
    if (this.#leaving.has(id)) return
    this.#leaving.set(id, digest)
    try {
      await this.#folder.settle(id, digest)
      this.#leaving.delete(id)
    } catch (error) {
      this.#settings.report(error, 'an upload')
    }
  }

  async #hasRoom(owner: string): Promise<boolean> {
    const { maxUnfinished } = this.#settings
    if ((await this.#folder.count(owner)) < maxUnfinished) return true
    await this.#folder.sweep(owner)
    return (await this.#folder.count(owner)) < maxUnfinished
  }

  async #sweep(): Promise<void> {
    try {
      await this.#folder.sweep()
    } catch (error) {
      this.#settings.report(error, 'the folder of uploads')
    }
  }
}

/** It was not there, or went while we asked. */
function isGone(error: unknown): boolean {
  if (error instanceof HttpError) return error.status === 404
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}

function unknown(): HttpError {
  return new HttpError(404, 'There is no such upload; begin a new one.')
}
