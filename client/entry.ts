import { randomId } from './env'
import type { KeptRequest } from './kept'
import type { OutboxCore, OutboxTask } from './part'
import { PATH_MESSAGE, PATH_SUFFIX, PATH_UPLOAD } from './protocol'

/** Lane of the changes of listeners: they need not wait behind what the application sends. */
const LANE_LISTENERS = '\0listeners'

/** A request that is not settled. */
export interface Entry {
  readonly task: OutboxTask
  readonly kind: 'message' | 'upload' | 'listeners'
  readonly key: string
  /** As the application gave it. */
  readonly path: string
  readonly lane: string
  /** As it was when it was sent; a change of listeners is made when its turn comes. */
  readonly body: string | FormData
  readonly bytes: number
  /** ms since 1970. */
  readonly createTime: number
  readonly expiryTime: number
  /** For who asks what is pending. */
  response: Promise<Response> | undefined
  /** Whose it is; `undefined`: not known yet. */
  owner: string | undefined
  /** May it leave? What is to be kept may not before it is. */
  isReady: boolean
  /** Answered, or taken back. */
  isSettled: boolean
  /** It takes long: others should not wait for the answer to a batch that it is in. */
  isSlow: boolean
  /** In vain, while connected. */
  attempts: number
  /** Where it is kept. */
  id: number | undefined
  /** Sent before a reload: nobody has its promise. */
  isRevived: boolean
  upload: KeptRequest['upload']
  /** Bytes of the body that were on their way, at most. */
  farthest: number
}

type Own = Pick<Entry, 'key' | 'lane' | 'createTime' | 'expiryTime'> &
  Partial<Pick<Entry, 'upload' | 'id' | 'owner'>>

/** @throws TypeError on a key that no header can hold */
export function createEntry(core: OutboxCore, task: OutboxTask): Entry {
  const { key, lane, timeout } = task.options
  const createTime = task.createTime ?? core.env.Date.now()
  if (key != null && !/^[!#-[\]-~]{1,200}$/.test(key))
    throw new TypeError('"key" must be 1 to 200 visible ASCII characters but " and \\.')
  return make(task, {
    key: key ?? randomId(core.env),
    lane: kindOf(task.path) === 'listeners' ? LANE_LISTENERS : (lane ?? nameOf(task.path)),
    owner: kindOf(task.path) === 'listeners' ? undefined : task.owner,
    createTime,
    expiryTime: createTime + Math.min(timeout ?? Infinity, core.options.maxQueuedAge),
  })
}

/** A request that was kept; nobody has its promise yet. */
export function reviveEntry(id: number, kept: KeptRequest): Entry {
  const controller = new AbortController()
  const body = typeof kept.body === 'string' ? kept.body : toForm(kept.body)
  const { key, lane, createTime, expiryTime, upload } = kept
  const task: OutboxTask = {
    path: kept.path,
    body: () => body,
    query: new URLSearchParams(kept.query),
    headers: new Headers(kept.headers),
    options: {},
    signal: controller.signal,
    resolve() {},
    reject: (error) => controller.abort(error),
  }
  return { ...make(task, { key, lane, createTime, expiryTime }), upload, id, isReady: true, isRevived: true }
}

export function toKept({ task, key, body, lane, createTime, expiryTime, upload }: Entry): KeptRequest {
  return {
    key,
    path: task.path,
    body: typeof body === 'string' ? body : [...body],
    query: task.query.toString(),
    headers: [...task.headers],
    lane,
    createTime,
    expiryTime,
    ...(upload && { upload }),
  }
}

/** Its outcome, also for who was not there when it was sent. */
export function responseOf(entry: Entry): Promise<Response> {
  // Each has a body of its own to read.
  const response = outcomeOf(entry).then((outcome) => outcome.clone())
  // Who does not use it need not mind.
  response.catch(() => {})
  return response
}

/** Its body is nobody's. */
function outcomeOf(entry: Entry): Promise<Response> {
  entry.response ??= new Promise<Response>((resolve, reject) => {
    const { task } = entry
    const settle = task.resolve
    task.resolve = (response) => {
      resolve(response.clone())
      settle(response)
    }
    task.signal.addEventListener('abort', () => reject(task.signal.reason))
  })
  return entry.response
}

function make(task: OutboxTask, own: Own): Entry {
  const kind = kindOf(task.path)
  const body = kind === 'listeners' ? '' : (task.body('') as string | FormData)
  return {
    task,
    kind,
    path: nameOf(task.path),
    body,
    bytes: bytesOf(body),
    response: undefined,
    owner: undefined,
    isReady: false,
    isSettled: false,
    isSlow: false,
    attempts: 0,
    id: undefined,
    isRevived: false,
    upload: undefined,
    farthest: 0,
    ...own,
  }
}

function kindOf(path: string): Entry['kind'] {
  if (path.startsWith(PATH_MESSAGE)) return 'message'
  return path.startsWith(PATH_UPLOAD) ? 'upload' : 'listeners'
}

function nameOf(path: string): string {
  const prefix = path.startsWith(PATH_UPLOAD) ? PATH_UPLOAD : PATH_MESSAGE
  return decodeURIComponent(path.slice(prefix.length, -PATH_SUFFIX.length))
}

/** Of a form about, without what stands between its parts. */
function bytesOf(body: string | FormData): number {
  // Not of a Blob: browsers ask another process for each.
  if (typeof body === 'string') return new TextEncoder().encode(body).length
  let bytes = 0
  for (const [, value] of body) bytes += typeof value === 'string' ? value.length : value.size
  return bytes
}

function toForm(fields: readonly [string, string | File][]): FormData {
  const form = new FormData()
  for (const [name, value] of fields) form.append(name, value)
  return form
}
