import type { PendingMessage, PendingPage } from '../store'
import type { Topic } from '../topic'
import { costOfMessage } from './cost'
import { Expiries, type Expiring } from './expiries'
import type { Limits } from './limits'
import { type Pending, type Settle, tooMuchWaits } from './local-store'

interface Waiting extends Expiring {
  readonly message: PendingMessage
  readonly bytes: number
  readonly order: number
  /** Who has yet to acknowledge. */
  readonly missing: Set<Topic>
  count: number
}

/** The messages of one service that wait to be acknowledged. */
export class MemoryPending implements Pending {
  readonly #limits: Limits
  readonly #settle: Settle
  readonly #retract: (message: string) => void
  /** In the order in which they came. */
  readonly #all = new Map<string, Waiting>()
  readonly #byTopic = new Map<Topic, Set<Waiting>>()
  readonly #expiries = new Expiries<Waiting>()
  #bytes = 0
  #held = 0

  /** @param retract Takes what brings a message out of the history. */
  constructor(limits: Limits, settle: Settle, retract: (message: string) => void) {
    this.#limits = limits
    this.#settle = settle
    this.#retract = retract
  }

  hold(message: PendingMessage): void {
    if (this.#all.has(message.message)) return
    const bytes = costOfMessage(message)
    const { maxPending, maxPendingBytes } = this.#limits
    if (this.#all.size >= maxPending || this.#bytes + bytes > maxPendingBytes) throw tooMuchWaits()
    const { expiryTime, recipients } = message
    const waiting = {
      ...{ message, bytes, expiryTime, order: this.#held++ },
      missing: new Set(recipients),
      count: 0,
    }
    this.#all.set(message.message, waiting)
    this.#bytes += bytes
    this.#expiries.push(waiting)
    for (const topic of message.topics) {
      const group = this.#byTopic.get(topic) ?? new Set()
      this.#byTopic.set(topic, group.add(waiting))
    }
  }

  of(topics: readonly Topic[]): PendingMessage[] {
    const found = new Set(topics.flatMap((topic) => [...(this.#byTopic.get(topic) ?? [])]))
    return [...found].sort((a, b) => a.order - b.order).map(asItIs)
  }

  page(offset: number, limit: number): PendingPage {
    const list: PendingMessage[] = []
    let at = 0
    for (const waiting of this.#all.values()) {
      if (at++ < offset) continue
      if (list.length === limit) break
      list.push(asItIs(waiting))
    }
    return { list, total: this.#all.size }
  }

  acknowledge(id: string, topics: readonly Topic[]): void {
    const waiting = this.#all.get(id)
    if (waiting === undefined) return
    const { recipients } = waiting.message
    const found = topics.filter((topic) => waiting.missing.delete(topic))
    if (recipients.length > 0 && found.length === 0) return
    waiting.count += Math.max(1, found.length)
    if (waiting.missing.size === 0) this.#end(waiting)
  }

  cancel(id: string): boolean {
    const waiting = this.#all.get(id)
    if (waiting !== undefined) this.#takeBack(waiting)
    return waiting !== undefined
  }

  expire(): void {
    const now = Date.now()
    const expiries = this.#expiries
    for (let first = expiries.first; first && first.expiryTime <= now; first = expiries.first) {
      expiries.shift()
      const isWaiting = this.#all.get(first.message.message) === first
      if (isWaiting) this.#takeBack(first)
    }
  }

  #takeBack(waiting: Waiting): void {
    this.#retract(waiting.message.message)
    this.#end(waiting)
  }

  #end(waiting: Waiting): void {
    const { message, bytes, count } = waiting
    this.#all.delete(message.message)
    this.#bytes -= bytes
    // What was acknowledged must not stay in memory till it would have expired.
    if (this.#expiries.size > 32 + 2 * this.#all.size) this.#expiries.reset(this.#all.values())
    for (const topic of message.topics) {
      const group = this.#byTopic.get(topic)
      group?.delete(waiting)
      if (group?.size === 0) this.#byTopic.delete(topic)
    }
    this.#settle(message.message, count)
  }
}

function asItIs({ message, missing }: Waiting): PendingMessage {
  return missing.size === message.recipients.length ? message : { ...message, recipients: [...missing] }
}
