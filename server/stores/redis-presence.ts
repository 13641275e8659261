import type { ConnectionRecord } from '../connection'
import type { Position } from '../cursor'
import type { Absence, Arrived, Leave } from '../store'
import { isUser, type Topic } from '../topic'
import { BEAT, ECHO, ENLIST, FOLLOW, RESIGN } from './redis-node-scripts'
import {
  ABSENCE,
  ARRIVE,
  CHANGE,
  COUNT,
  ENLIST_FIRST,
  EXPLAIN,
  FIND,
  IS_TAKEN,
  LEAVE,
  LIST,
  TAKE_ENDED,
} from './redis-presence-scripts'
import { listed, type Run } from './redis-script'
import type { Settled } from './redis-settling'

/** Whether Redis does not know the node: it has to enlist. */
export function isNewcomer(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith(ENLIST_FIRST)
}

/** What one node tells Redis of itself and asks of the others. */
export interface RedisPresence {
  /** Makes the node known, with no connections. */
  enlist(life: number, change: number): Promise<Enlisted>
  /** Nobody is to know it any more. */
  resign(): Promise<void>
  follow(change: number, topics: readonly Topic[]): Promise<void>
  /**
   * @param late ms after which it clears away what is left of a dead node
   * @param confirmed messages that the beat before said to have settled
   */
  beat(life: number, late: number, confirmed: readonly string[], topics: readonly Topic[]): Promise<Beaten>
  echo(n: number): Promise<void>
  /** The node follows its topics from now on. */
  arrive(record: ConnectionRecord, change: number): Promise<Arrived>
  change(record: ConnectionRecord): Promise<void>
  /** @param unfollowed Those of its topics that the node follows no more. */
  leave(record: ConnectionRecord, leave: Leave, change: number, unfollowed: readonly Topic[]): Promise<void>
  explain(record: ConnectionRecord, absence: Absence): Promise<void>
  takeEnded(newcomer: ConnectionRecord): Promise<ConnectionRecord | undefined>
  isTaken(ended: ConnectionRecord): Promise<boolean>
  list(topic?: Topic): Promise<ConnectionRecord[]>
  find(node: string, id: string, mayHaveLeft: boolean): Promise<ConnectionRecord | undefined>
  count(): Promise<{ connections: number; users: number }>
  absence(user: Topic): Promise<Absence>
}

/** Where the log is, and how many events were said to the node before. */
export interface Enlisted extends Position {
  readonly said: number
}

/** Where the log is, the connections of nodes that have died, and what has settled. */
export interface Beaten {
  readonly epoch: string
  readonly head: number
  readonly fallen: readonly ConnectionRecord[]
  readonly settled: Settled
}

/**
 * @param asker Whose messages the node hears of when they have settled.
 * @param grace ms that the page of a lost connection has to come back
 */
export function redisPresence(run: Run, node: string, asker: string, grace: number): RedisPresence {
  const firstOf = (reply: unknown) => (reply as [string?])[0]
  return {
    async enlist(life, change) {
      for (;;) {
        const reply = (await run(ENLIST, node, life, change)) as [string?, number?, number?]
        const [epoch, seq = 0, said = 0] = reply
        if (epoch !== undefined) return { epoch, seq, said }
      }
    },
    async resign() {
      while (((await run(RESIGN, node)) as [number])[0] === 0);
    },
    follow: async (change, topics) => void (await run(FOLLOW, node, change, ...topics)),
    async beat(life, late, confirmed, topics) {
      const reply = await run(BEAT, node, asker, life, late, grace, ...listed(confirmed), ...topics)
      const [epoch, head, fallen, settled] = reply as [string, number, string[], Settled]
      return { epoch, head, fallen: fallen.map(recordIn), settled }
    },
    echo: async (n) => void (await run(ECHO, node, n)),
    async arrive(record, change) {
      const { id, owner, browser = '', instanceId = '', topics } = record
      const facts = [id, JSON.stringify(record), owner, browser, instanceId, grace]
      const reply = await run(ARRIVE, node, ...facts, change, ...topics)
      const [others, ended] = reply as [string[], number]
      return { others: others.map(recordIn), hasEnded: ended === 1 }
    },
    change: async (record) => void (await run(CHANGE, node, record.id, JSON.stringify(record))),
    async leave(record, { absence = '', grace, mayStillSend = false }, change, unfollowed) {
      const { id, topics, browser = '', instanceId = '' } = record
      const facts = [id, JSON.stringify(record), absence, grace, topics.find(isUser) ?? '']
      const rest = [change, mayStillSend ? 1 : 0, browser, instanceId]
      await run(LEAVE, node, ...facts, ...rest, ...unfollowed)
    },
    async explain({ id, topics }, absence) {
      const user = topics.find(isUser)
      if (user !== undefined) await run(EXPLAIN, user, id, absence)
    },
    async takeEnded({ browser = '', instanceId = '' }) {
      const text = firstOf(await run(TAKE_ENDED, node, browser, instanceId, grace))
      return text === undefined ? undefined : recordIn(text)
    },
    isTaken: async ({ browser = '', id }) => ((await run(IS_TAKEN, node, browser, id)) as [number])[0] === 1,
    list: async (topic = '') => ((await run(LIST, node, topic)) as string[]).map(recordIn),
    async find(other, id, mayHaveLeft) {
      const text = firstOf(await run(FIND, other, id, mayHaveLeft ? 1 : 0))
      return text === undefined || text === null ? undefined : recordIn(text)
    },
    async count() {
      const [connections, users] = (await run(COUNT)) as [number, number]
      return { connections, users }
    },
    async absence(user) {
      const text = firstOf(await run(ABSENCE, user))
      return (text?.split(' ')[1] ?? 'gone') as Absence
    },
  }
}

function recordIn(text: string): ConnectionRecord {
  return JSON.parse(text)
}
