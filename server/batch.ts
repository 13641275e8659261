import { setTimeout as sleep } from 'node:timers/promises'
import type { Reply } from './answer'
import { type BodyLimits, type Incoming, isRecord, messageOf, readUnchecked } from './body'
import { deliberate, HttpError } from './errors'
import { jsonOf, keyOf } from './key'
import { checkKeys, paramsOf } from './params'

/** What one batch may hold: messages, and bytes of them. */
export const BATCH = { entries: 100, bytes: 256 * 1024 }
/** Bytes that the JSON around the messages may take besides: names, keys, paths and lanes. */
const FRAMING = 64 * 1024
/** ms until what is not answered by then is left to the next batch. */
const BATCH_TIME = 2000

interface Limits extends BodyLimits {
  readonly queryLimit: number
}

/** A message of a batch. */
export interface Entry {
  readonly key: string
  readonly path: string
  readonly message: unknown
  readonly lane: string
}

/**
 * The messages of a batch; what is wrong with one stands in its place.
 * @throws HttpError 400 malformed, 413 too large or too many, 415 no JSON: the batch as a whole.
 */
export async function readBatch(req: Incoming, limits: Limits): Promise<(Entry | HttpError)[]> {
  const body = await readUnchecked(req, { ...limits, bodyLimit: BATCH.bytes + FRAMING })
  if (!isRecord(body) || !Array.isArray(body['entries']))
    throw new HttpError(400, 'The body must be a JSON object with an array entries.')
  const { entries, ...others } = body
  checkKeys(others)
  if (entries.length > BATCH.entries)
    throw new HttpError(413, `A batch must not have more than ${BATCH.entries} entries.`)
  return entries.map((value) => entryOr(value, limits))
}

/**
 * Answers the messages of each lane one after the other, the lanes side by side. What is to be tried again ends its lane.
 * When the time is over, or nobody takes the answers, nothing more is begun.
 * @param answer must not reject
 * @param tell hears of each answer as soon as there is one, and of none when the time is over; says whether there is
 *   room for more
 * @returns when what was begun has ended
 */
export async function answerInLanes(
  entries: readonly (Entry | HttpError)[],
  answer: (entry: Entry | HttpError) => Promise<Reply>,
  isLast: (reply: Reply) => boolean,
  tell: (index: number, reply: Reply) => boolean,
): Promise<{ all: Promise<unknown> }> {
  const over = new AbortController()
  const runLane = async (lane: Lane) => {
    for (const [index, entry] of lane) {
      const reply = await answer(entry)
      const hasRoom = !over.signal.aborted && tell(index, reply)
      if (isLast(reply) || !hasRoom) return
    }
  }
  const all = Promise.all(lanesOf(entries).map(runLane))
  await Promise.race([all, sleep(BATCH_TIME, undefined, { signal: over.signal })])
  over.abort()
  return { all }
}

type Lane = [index: number, entry: Entry | HttpError][]

function lanesOf(entries: readonly (Entry | HttpError)[]): Lane[] {
  const lanes = new Map<unknown, Lane>()
  for (const [index, entry] of entries.entries()) {
    // What is wrong stands in nobody's way: it has a lane of its own.
    const name = entry instanceof HttpError ? entry : entry.lane
    const lane = lanes.get(name)
    if (lane === undefined) lanes.set(name, [[index, entry]])
    else lane.push([index, entry])
  }
  return [...lanes.values()]
}

function entryOr(value: unknown, limits: Limits): Entry | HttpError {
  try {
    return entryOf(value, limits)
  } catch (error) {
    const refusal = deliberate(error)
    if (refusal === undefined) throw error
    return refusal
  }
}

function entryOf(value: unknown, { bodyLimit, queryLimit }: Limits): Entry {
  if (!isRecord(value)) throw new HttpError(400, 'An entry must be an object.')
  checkKeys(value)
  const { key, path, query = '', body, lane } = value
  if (typeof path !== 'string' || typeof query !== 'string' || typeof lane !== 'string')
    throw new HttpError(400, 'The path, the query and the lane of an entry must be texts.')
  if (query.length > queryLimit)
    throw new HttpError(413, `The query must not be longer than ${queryLimit} characters.`)
  if (Buffer.byteLength(jsonOf(body)) > bodyLimit)
    throw new HttpError(413, `The body must not be larger than ${bodyLimit} bytes.`)
  return { key: keyOf(key), path, lane, message: messageOf(paramsOf(new URLSearchParams(query)), body) }
}
