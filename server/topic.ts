/** What names a user, a tenant, an access token or a channel. `7` and `'7'` name the same. */
export type Id = string | number

/** Whom an event is for: `all`, `user:7`, `tenant:3`, `token:…`, `channel:news`, `instance:…`. */
export type Topic = string

export type TopicKind = 'user' | 'tenant' | 'token' | 'channel' | 'instance'

export const TOPIC_ALL: Topic = 'all'

/** Whether it names one user by its id. */
export function isUser(topic: Topic): boolean {
  return topic.startsWith('user:')
}

/** Whether it names one user, by its id or, where there is none, by its access token. */
export function namesUser(topic: Topic): boolean {
  return isUser(topic) || topic.startsWith('token:')
}

export function isId(value: unknown): value is Id {
  // NaN would make all users equal whose id is no number.
  return typeof value === 'string' || Number.isFinite(value)
}

/** @throws TypeError for what is no id: `user:undefined` would quietly be nobody. */
export function topicOf(kind: TopicKind, id: Id): Topic {
  return `${kind}:${checkId(id)}`
}

/** @throws TypeError for what is no id. */
export function checkId<Value extends Id>(id: Value): Value {
  if (isId(id)) return id
  throw new TypeError(`An id is a string or a number, not ${describe(id)}.`)
}

/** @throws TypeError for what is neither an id nor a collection of ids. */
export function topicsOf(kind: TopicKind, ids: Id | Iterable<Id>): Topic[] {
  return [...new Set(many(ids).map((id) => topicOf(kind, id)))]
}

/** One or many, as an array. */
export function many<Value extends Id>(ids: Value | Iterable<Value>): Value[] {
  // A string is iterable as well, by its characters.
  if (isId(ids)) return [ids]
  if (typeof ids === 'object' && ids !== null && Symbol.iterator in ids) return [...ids]
  throw new TypeError(`Expected an id or a collection of ids, not ${describe(ids)}.`)
}

function describe(value: unknown): string {
  return value === null ? 'null' : typeof value
}
