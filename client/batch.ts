import type { Entry } from './entry'
import type { Posting } from './part'
import { type BatchAnswer, type ConnectFinish, PATH_BATCH, TYPE_BATCH } from './protocol'

/** Bytes of what stands around a body. */
const FRAME = 100

/** May it go together with others? What has headers or a progress of its own may not. */
export function isBatchable(entry: Entry): boolean {
  const { kind, isSlow, task } = entry
  return kind === 'message' && !isSlow && !task.options.onProgress && ![...task.headers].length
}

/** The first of ours, and those behind it that may go along. No more than there is room for: a queue may be long. */
export function heading(queue: readonly Entry[], isOurs: (entry: Entry) => boolean, most: number): Entry[] {
  const some: Entry[] = []
  for (const entry of queue) {
    if (!isOurs(entry)) continue
    const isAlone = !isBatchable(entry)
    if (!entry.isReady || (isAlone && some.length)) break
    some.push(entry)
    if (isAlone || some.length >= most) break
  }
  return some
}

/** Bytes in a batch, about. */
export function frameOf({ bytes, path, key, lane, task }: Entry): number {
  // Characters of a text may be escaped, or have several bytes.
  return FRAME + bytes + 3 * (path.length + key.length + lane.length + task.query.toString().length)
}

/** How many of these fit into one batch, one at least. */
export function fitting(
  entries: readonly Entry[],
  limits: NonNullable<ConnectFinish['batch']>,
): readonly Entry[] {
  let bytes = 0
  const end = entries.findIndex((entry, index) => {
    bytes += frameOf(entry)
    return index >= limits.entries || bytes > limits.bytes
  })
  return end < 0 ? entries : entries.slice(0, Math.max(1, end))
}

export function batchPosting(entries: readonly Entry[]): Posting {
  const texts = entries.map(({ key, path, lane, task, body }) => {
    const query = task.query.toString()
    const head = JSON.stringify({ key, path, lane, ...(query && { query }) })
    // The body is JSON already.
    return `${head.slice(0, -1)},"body":${body}}`
  })
  return {
    path: PATH_BATCH,
    body: () => `{"entries":[${texts}]}`,
    query: new URLSearchParams(),
    headers: new Headers(),
  }
}

/** Is it the answer to a batch, and not to what carried it? */
export function isOfBatch({ ok, headers }: Response): boolean {
  return ok && (headers.get('Content-Type') ?? '').startsWith(TYPE_BATCH)
}

/** Each answer as it comes. @throws SyntaxError if it is none of ours; what the line breaks with */
export async function* readAnswers(response: Response): AsyncGenerator<[index: number, answer: Response]> {
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
  let rest = ''
  for (let chunk = await reader?.read(); chunk && !chunk.done; chunk = await reader?.read()) {
    const lines = (rest + chunk.value).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) yield readLine(line)
  }
}

function readLine(line: string): [index: number, answer: Response] {
  try {
    const { index, ...answer }: BatchAnswer = JSON.parse(line)
    return [index, toResponse(answer)]
  } catch (cause) {
    throw new SyntaxError('This is no answer to a batch.', { cause })
  }
}

function toResponse({ status, headers, body }: Omit<BatchAnswer, 'index'>): Response {
  const isEmpty = status === 204 || status === 205 || status === 304
  return new Response(isEmpty ? null : body, { status, headers })
}
