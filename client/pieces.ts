import { DetailedError, type HttpRequest, type HttpResponse, Upload } from 'tus-js-client'
import type { OutboxCore } from './part'
import { PATH_UPLOADS } from './protocol'
import type { Pieces } from './uploader'
import { toResponse } from './xhr'

/** Without any progress for so long, an attempt has failed, ms. */
const STALLED_AFTER = 60_000
/** The upload is not there any more, or another user's. */
const GONE = [403, 404, 410]
/** It has more than we knew: a browser repeats by itself what was cut off, or an earlier piece came late. */
const MISPLACED = 409

/** Bytes that are read at once, to see whether they can be. */
const READ = 1_000_000

/** Sends one upload to its end: the id, or the answer that is no success. */
type Attempt = (id: string | undefined) => Promise<string | Response>

export async function sendPieces(core: OutboxCore, pieces: Pieces): Promise<string | Response> {
  let { id } = pieces
  let offset = -1
  const attempt = createAttempt(core, pieces, {
    onId(made) {
      id = made
      pieces.onId(made)
    },
    onPiece(from) {
      offset = from
    },
  })
  let mayBegin = true
  let misplacedAt = -1
  for (;;) {
    const answer = await attempt(id)
    if (typeof answer === 'string' || id === undefined) return answer
    if (mayBegin && GONE.includes(answer.status)) {
      mayBegin = false
      id = undefined
      misplacedAt = -1
    } else if (answer.status === MISPLACED && offset > misplacedAt) misplacedAt = offset
    else return answer
  }
}

function createAttempt(core: OutboxCore, pieces: Pieces, steps: Steps): Attempt {
  const { env, ExpiredError } = core
  const { signal } = pieces

  return async (id) => {
    const stop = new AbortController()
    const abort = (): void => stop.abort(signal.reason)
    const expire = (): void =>
      stop.abort(new ExpiredError(`Nothing of the upload was sent for ${STALLED_AFTER / 1000} s.`))
    let timer: unknown
    const onMove = (): void => {
      env.clearTimeout(timer)
      timer = env.setTimeout(expire, STALLED_AFTER)
    }
    if (signal.aborted) throw signal.reason
    signal.addEventListener('abort', abort)
    onMove()
    try {
      return await transfer(core, pieces, id, { ...steps, stop: stop.signal, onMove })
    } finally {
      env.clearTimeout(timer)
      signal.removeEventListener('abort', abort)
    }
  }
}

interface Steps {
  /** An upload has begun. */
  onId(id: string): void
  /** The server has all before this byte, as far as we know. */
  onPiece(from: number): void
}

interface Watch extends Steps {
  readonly stop: AbortSignal
  onMove(): void
}

function transfer(
  core: OutboxCore,
  pieces: Pieces,
  id: string | undefined,
  { stop, onMove, onId, onPiece }: Watch,
): Promise<string | Response> {
  const { blob, chunk, onProgress } = pieces
  let refusal: Response | undefined
  let loaded = -1

  async function onBeforeRequest(request: HttpRequest): Promise<void> {
    const xhr: XMLHttpRequest = request.getUnderlyingObject()
    if (request.getMethod() === 'PATCH') onPiece(Number(request.getHeader('Upload-Offset')))
    xhr.withCredentials = core.options.withCredentials
    for (const [name, value] of await core.headers()) request.setHeader(name, value)
    // What the library aborts before it is sent, it would send nevertheless.
    if (stop.aborted) throw stop.reason
  }

  function onAfterResponse(request: HttpRequest, response: HttpResponse): void {
    onMove()
    refusal = refusalOf(request, response, blob.size)
    // The library would take any failed HEAD, also a 401 or 503, for an upload that is gone.
    if (refusal) throw new Error('refused')
  }

  return new Promise((resolve, reject) => {
    /** The query may hold a token that has changed; and a proxy may have spoilt the scheme or host of a Location. */
    const readdress = (): void => {
      upload.url = addressOf(core, idOf(upload))
    }
    const upload = new Upload(blob, {
      endpoint: core.address(PATH_UPLOADS),
      uploadUrl: id === undefined ? null : addressOf(core, id),
      chunkSize: chunk,
      retryDelays: null,
      storeFingerprintForResuming: false,
      onBeforeRequest,
      onAfterResponse,
      onUploadUrlAvailable() {
        readdress()
        if (id === undefined) onId(idOf(upload))
      },
      onChunkComplete: readdress,
      onProgress(sent) {
        if (sent === loaded || stop.aborted) return
        loaded = sent
        onMove()
        onProgress({ loaded, total: blob.size })
      },
      onSuccess: () => resolve(idOf(upload)),
      onError(error) {
        if (refusal) resolve(refusal)
        else if (error instanceof DetailedError) explain(error, pieces).then((why) => reject(why ?? error))
        else reject(error)
      },
    })
    stop.addEventListener('abort', () => {
      upload.abort()
      reject(stop.reason)
    })
    upload.start()
  })
}

const addressOf = (core: OutboxCore, id: string): string => core.address(`${PATH_UPLOADS}/${id}`)

const idOf = ({ url }: Upload): string => (url as string).replace(/[?#].*/, '').replace(/.*\//, '')

function refusalOf(request: HttpRequest, response: HttpResponse, size: number): Response | undefined {
  const status = response.getStatus()
  const isOk = status >= 200 && status < 300
  if (!isOk) return toResponse(response.getUnderlyingObject(), response.getBody())
  const isOther = request.getMethod() === 'HEAD' && Number(response.getHeader('Upload-Length')) !== size
  // The form is not made as it was then: what is there is of no use.
  return isOther ? new Response(null, { status: 410 }) : undefined
}

/** An XMLHttpRequest does not say why it failed; a file that has vanished says so when it is read. */
async function explain({ originalRequest, causingError }: DetailedError, { blob, chunk }: Pieces) {
  // What our own hooks threw is no failure of the network.
  if (!(causingError instanceof Event)) return causingError
  const from = Number(originalRequest.getHeader('Upload-Offset') ?? blob.size)
  const piece = blob.slice(from, from + chunk)
  try {
    // Not as a stream: what that fails with is a TypeError of the network, too.
    for (let at = 0; at < piece.size; at += READ) await piece.slice(at, at + READ).arrayBuffer()
    return new TypeError('Failed to fetch')
  } catch (unreadable) {
    return unreadable
  }
}
