import { checkName, textOf } from './encode'
import type { Draft } from './store'
import { checkId, type Id, type Topic } from './topic'

/** How an event is sent. */
export interface SendOptions {
  /** Only to connections that listen to the event's name. Default `false`. */
  listening?: boolean
  /**
   * What the event is about, e.g. a share of a ticker: for a client that catches up on the latest only, events of one
   * name and key replace one another. Default: none, all events of one name do.
   */
  key?: Id
}

/** @throws TypeError for what cannot be sent. */
export function draftOf(
  topics: readonly Topic[],
  name: string,
  data: unknown,
  { listening = false, key = '' }: SendOptions = {},
): Draft {
  checkName(name)
  return { topics, name, data: textOf(data), listening, key: String(checkId(key)) }
}
