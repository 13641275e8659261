import { batchPosting, isOfBatch, readAnswers } from './batch'
import type { Entry } from './entry'
import { randomId, report } from './env'
import { judge, type Outcome } from './judge'
import type { OutboxCore, Progress } from './part'
import { loadUploader } from './parts'
import { type ConnectFinish, HEADER_ERROR, HEADER_KEY, HEADER_UPLOAD } from './protocol'
import type { Field, UploaderModule } from './uploader'

/** What the browser says of a file that is not there any more, or was changed since. */
const VANISHED = ['NotFoundError', 'NotReadableError']

/** What goes over the line, and what comes back. */
export interface Exchange {
  /**
   * One attempt.
   * @param onMoved the line lives
   */
  one(entry: Entry, signal: AbortSignal, onMoved: () => void): Promise<Outcome>
  /** One request for all. @returns what became of those without an answer */
  many(
    entries: readonly Entry[],
    init: RequestInit,
    onAnswer: (entry: Entry, outcome: Outcome) => void,
  ): Promise<Outcome>
  /** How many may go together; nothing if they may not. */
  limits(): ConnectFinish['batch']
  /** Another server may be there: what was refused may be taken. */
  renew(): void
}

/**
 * @param onUpload the place of the bytes that have arrived is another one
 */
export function createExchange(core: OutboxCore, onUpload: (entry: Entry) => void): Exchange {
  let canBatch = true
  let uploader: Promise<UploaderModule> | undefined
  let loads = 0

  /** Asked when it leaves: the stream may have ended when the answer comes. */
  const judging = (): ((response: Response) => Outcome) => {
    const isKeyed = Boolean(core.finish()?.outbox)
    return (response) => judge(response, core.env.Date.now(), isKeyed)
  }

  function load(): Promise<UploaderModule> {
    uploader ??= loadUploader(loads).catch((error) => {
      loads++
      uploader = undefined
      throw error
    })
    return uploader
  }

  async function one(entry: Entry, signal: AbortSignal, onMoved: () => void): Promise<Outcome> {
    try {
      return await attempt(entry, signal, onMoved)
    } catch (failure) {
      const isFinal = entry.body instanceof FormData && (await hasVanished(entry.body, failure))
      return { failure, isFinal }
    }
  }

  async function attempt(entry: Entry, signal: AbortSignal, onMoved: () => void): Promise<Outcome> {
    const { task, kind, bytes } = entry
    const finish = core.finish()
    const judged = judging()
    const headers = new Headers(task.headers)
    if (finish?.outbox && kind !== 'listeners') headers.set(HEADER_KEY, `"${entry.key}"`)
    const onProgress = (progress: Progress): void => {
      onMoved()
      tell(entry, progress)
    }
    const onPiece = (progress: Progress): void => {
      // Where it gets ahead it is not in vain.
      if (progress.loaded > entry.farthest) entry.attempts = 0
      entry.farthest = Math.max(entry.farthest, progress.loaded)
      onProgress(progress)
    }
    const chunk = finish?.uploads?.chunk ?? Infinity
    if (kind === 'upload' && bytes > chunk) {
      const answer = await inPieces(entry, chunk, headers, signal, onPiece)
      return answer instanceof Response ? judged(answer) : answer
    }
    const fetch = task.options.onProgress ? (await load()).fetchWithProgress(onProgress) : undefined
    return judged(await whole(await core.post({ ...task, headers }, { signal }, fetch)))
  }

  async function inPieces(
    entry: Entry,
    chunk: number,
    headers: Headers,
    signal: AbortSignal,
    onProgress: (progress: Progress) => void,
  ): Promise<Response | Outcome> {
    const { toFormBody, sendPieces } = await load()
    const { id, boundary, isWhole } = entry.upload ?? { boundary: `tabwire-${randomId(core.env)}` }
    const { blob, type } = toFormBody([...(entry.body as FormData)] as Field[], boundary)
    const note = (id: string, isWhole: boolean): void => {
      entry.upload = { id, boundary, isWhole }
      onUpload(entry)
    }
    const onId = (id: string): void => note(id, false)
    // What is there whole may have been answered; then the server has its answer, and not its bytes any more.
    const sent = isWhole && id ? id : await sendPieces(core, { blob, chunk, id, onId, onProgress, signal })
    if (typeof sent !== 'string') return isOfPieces(sent) ? { response: sent, after: 0 } : sent
    note(sent, true)
    headers.set('Content-Type', type)
    headers.set(HEADER_UPLOAD, sent)
    const response = await whole(await core.post({ ...entry.task, headers, body: () => null }, { signal }))
    const { status, headers: told } = response
    if (told.has(HEADER_KEY) || told.has(HEADER_ERROR)) return response
    if (status === 409) note(sent, false)
    else if (status === 404) entry.upload = undefined
    else return response
    // The server has let go of it meanwhile, or has lost a part.
    return { response, after: 0 }
  }

  function tell({ key, path, task }: Entry, progress: Progress): void {
    core.emit({ type: 'progress', key, path, ...progress })
    try {
      task.options.onProgress?.(progress)
    } catch (error) {
      report(core.env, error)
    }
  }

  async function many(
    entries: readonly Entry[],
    init: RequestInit,
    onAnswer: (entry: Entry, outcome: Outcome) => void,
  ): Promise<Outcome> {
    try {
      const judged = judging()
      const response = await core.post(batchPosting(entries), init)
      if (!isOfBatch(response)) return ofWhole(judged(await whole(response)))
      for await (const [index, answer] of readAnswers(response)) {
        const entry = entries[index]
        if (entry) onAnswer(entry, judged(answer))
      }
      return 'open'
    } catch (failure) {
      return failure instanceof SyntaxError ? ofWhole('open') : { failure }
    }
  }

  /** What was answered as a whole is tried again, or was not understood. */
  function ofWhole(outcome: Outcome): Outcome {
    if (outcome === 'unauthorized' || (typeof outcome === 'object' && 'after' in outcome)) return outcome
    // No answer of ours: each goes by itself.
    canBatch = false
    return 'open'
  }

  return {
    one,
    many,
    limits: () => (canBatch ? core.finish()?.batch : undefined),
    renew: () => (canBatch = true),
  }
}

/** Another request still writes, or the upload is another one than was thought: it is looked at anew next time. */
const isOfPieces = ({ status }: Response): boolean =>
  status === 404 || status === 409 || status === 410 || status === 423

/** An answer that breaks off is none. */
async function whole(response: Response): Promise<Response> {
  await response.clone().arrayBuffer()
  return response
}

/** Of a file that it cannot read, `fetch` tells no more than of a line that broke. */
async function hasVanished(form: FormData, failure: unknown): Promise<boolean> {
  const isNamed = (error: unknown): boolean => error instanceof Error && VANISHED.includes(error.name)
  if (isNamed(failure)) return true
  try {
    for (const [, value] of form) if (value instanceof Blob) await value.slice(0, 1).arrayBuffer()
    return false
  } catch (error) {
    return isNamed(error)
  }
}
