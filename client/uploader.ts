import type { OutboxCore, Progress } from './part'

export type Field = [name: string, value: string | File]

/** A form as the bytes of one request. */
export interface FormBody {
  /** Made of the files themselves: it takes no memory for them. */
  readonly blob: Blob
  /** `multipart/form-data; boundary=…` */
  readonly type: string
}

export interface Pieces {
  readonly blob: Blob
  /** Bytes of one request. */
  readonly chunk: number
  /** The tus upload that holds a part of it already; if it is gone, another one begins. */
  readonly id: string | undefined
  /** Another one has begun. */
  onId(id: string): void
  onProgress(progress: Progress): void
  readonly signal: AbortSignal
}

/** What is at upload.js. */
export interface UploaderModule {
  /** [RFC 7578] The same fields and boundary make the same bytes. */
  toFormBody(fields: readonly Field[], boundary: string): FormBody
  /** `fetch` that tells how much of the body has been sent. */
  fetchWithProgress(onProgress: (progress: Progress) => void): OutboxCore['env']['fetch']
  /**
   * Brings a body to the server by tus 1.0, from where it stopped. Resolves with the id of the upload when all is
   * there, or with the answer that the server refused with, if it gave one. Rejects if there was none, if nothing moved
   * for 60 s, or with the browser's `NotReadableError` or `NotFoundError` if a file has vanished.
   */
  sendPieces(core: OutboxCore, pieces: Pieces): Promise<string | Response>
}
