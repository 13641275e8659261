import type { GapReason } from '../../client/protocol'
import type { Position } from '../cursor'
import type { Draft, Entry, History } from '../store'
import type { Topic } from '../topic'
import { bytesOf, costOfEvent } from './cost'
import type { Limits } from './limits'
import type { Settle } from './local-store'
import { APPEND, READ } from './redis-log-scripts'
import { onceScript, type Run, script } from './redis-script'
import { type Settled, tellSettled } from './redis-settling'

type ReadReply = [
  epoch: string,
  head: number,
  start: number,
  settled: Settled,
  gap: GapReason | '',
  found?: string[],
]

export interface RedisHistory extends History {
  /** Where all began anew the last time: nobody who is in this log has been told less. */
  readonly start: number
}

/** An event as it was appended, and the number of nodes that it is on its way to. */
export interface Appended extends Position {
  readonly heard: number
}

export interface RedisLog {
  /** Who asks hears from each node how many connections it was written to, for its call `n`. */
  append(draft: Draft, n: number): Promise<Appended>
  read(topics: readonly Topic[], after?: Position): Promise<RedisHistory>
}

export function redisLogs(
  limits: Limits,
  isCluster: boolean,
): (run: Run, asker: string, settle: Settle) => RedisLog {
  const append = onceScript(APPEND, { ...limits, isCluster })
  const read = script(READ, { ...limits })
  return (run, asker, settle) => ({
    async append(draft, n) {
      const sizes = [bytesOf(draft), costOfEvent(draft)]
      const brings = draft.message === undefined ? '' : `m${draft.message}`
      const text = JSON.stringify(draft)
      const reply = await run(append, asker, n, ...sizes, brings, text, ...draft.topics)
      const [epoch, seq, heard] = reply as [string, number, number]
      return { epoch, seq, heard }
    },
    async read(topics, after) {
      const reply = await run(read, asker, after?.epoch ?? '', after?.seq ?? 0, ...topics)
      const [epoch, head, start, settled, gap, found = []] = reply as ReadReply
      tellSettled(settled, settle)
      const entries: Entry[] = []
      for (let at = 0; at < found.length; at += 2)
        entries.push({ ...JSON.parse(found[at + 1] ?? ''), epoch, seq: Number(found[at]) })
      return { epoch, head, start, entries, ...(gap === '' ? {} : { gap }) }
    },
  })
}
