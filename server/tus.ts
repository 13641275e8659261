import type { ReadableStream } from 'node:stream/web'
import type { Server } from '@tus/server'
import { PATH_UPLOADS } from '../client/protocol'
import type { Report } from './hooks'
import { UploadLocker } from './upload-lock'

/** The version of the protocol. */
export const TUS_VERSION = '1.0.0'

/** ms in which a request that another one takes the place of may still write what has come. */
const YIELD_TIME = 50

/** A request that was checked: of the headers only what tus is to know. */
export interface TusRequest {
  readonly method: 'POST' | 'HEAD' | 'PATCH' | 'DELETE'
  readonly id: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: ReadableStream<Uint8Array>
}

/** How far an upload has come, bytes. */
export interface Progress {
  readonly offset: number
  readonly length: number
}

/** [tus 1.0] as a library speaks it, which is loaded when it is needed for the first time. */
export class Tus {
  readonly #folder: string
  readonly #report: Report
  #server: Promise<Server> | undefined

  /** @param folder Where the files lie, under their ids. */
  constructor(folder: string, report: Report) {
    this.#folder = folder
    this.#report = report
  }

  async handle({ method, id, headers, body }: TusRequest): Promise<Response> {
    const server = await this.#load()
    // The name of the host has no meaning: the answer's Location is made by us.
    const url = `http://localhost${PATH_UPLOADS}/${id}`
    const init = { method, headers, body: body ?? null, duplex: 'half' }
    return server.handleWeb(new Request(url, init as RequestInit))
  }

  /** `undefined`: there is none. */
  async progress(id: string): Promise<Progress | undefined> {
    const { datastore } = await this.#load()
    try {
      const { offset, size = Infinity } = await datastore.getUpload(id)
      return { offset, length: size }
    } catch (error) {
      // What the library throws on purpose is no Error.
      if (error instanceof Error) throw error
      return undefined
    }
  }

  #load(): Promise<Server> {
    this.#server ??= this.#make()
    return this.#server
  }

  async #make(): Promise<Server> {
    const [tus, { FileStore }] = await Promise.all([import('@tus/server'), import('@tus/file-store')])
    return new tus.Server({
      path: PATH_UPLOADS,
      // It could only count from the creation; we count from the last piece.
      datastore: new FileStore({ directory: this.#folder, expirationPeriodInMilliseconds: 0 }),
      // Who comes back after a broken line finds its old request still at work, and need not wait for its end.
      locker: new UploadLocker(),
      lockDrainTimeout: YIELD_TIME,
      namingFunction: ({ url }) => url.slice(url.lastIndexOf('/') + 1),
      onResponseError: (_req, error) => {
        if (error === tus.ERRORS.ABORTED) return { status_code: 423, body: '' }
        if (!('status_code' in error) || error.status_code >= 500) this.#report(error, 'an upload')
        return undefined
      },
    })
  }
}
