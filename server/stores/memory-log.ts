import { randomBytes } from 'node:crypto'
import type { Position } from '../cursor'
import type { Draft, Entry, History } from '../store'
import type { Topic } from '../topic'
import { bytesOf, costOfEvent } from './cost'
import type { Limits } from './limits'
import type { Log } from './local-store'
import { type Item, TopicHistory } from './topic-history'

/** The events of one service in one total order, bounded per topic and in all. */
export class MemoryLog implements Log {
  /** Another one for each log, so that nobody goes on in this one where another ended. */
  readonly epoch = randomBytes(5).toString('hex')
  readonly #limits: Limits
  /** The one that was written to longest ago stands first. */
  readonly #topics = new Map<Topic, TopicHistory>()
  /** What brings a message, and may be taken back. */
  readonly #messages = new Map<string, Set<Item>>()
  #head = 0
  #bytes = 0
  #oldest: Item | undefined
  #newest: Item | undefined
  /** The floor of all topics that are not there any more, and so of all that never were. */
  #forgotten = 0

  constructor(limits: Limits) {
    this.#limits = limits
  }

  append(draft: Draft): Entry {
    const entry: Entry = { ...draft, epoch: this.epoch, seq: ++this.#head }
    const item = this.#chain(entry)
    for (const topic of draft.topics) this.#file(topic, item)
    this.#trim(item.at)
    return entry
  }

  /** Nobody gets what brings this message any more. */
  retract(message: string): void {
    for (const item of this.#messages.get(message) ?? []) item.isRetracted = true
  }

  read(topics: readonly Topic[], after?: Position): History {
    const { epoch } = this
    const head = this.#head
    this.#trim(Date.now())
    if (after === undefined) return { epoch, head, entries: [] }
    if (after.epoch !== epoch || after.seq > head) return { epoch, head, entries: [], gap: 'epoch' }
    if (topics.some((topic) => this.#floorOf(topic) > after.seq))
      return { epoch, head, entries: [], gap: 'floor' }
    return { epoch, head, entries: this.#between(topics, after.seq) }
  }

  #floorOf(topic: Topic): number {
    return this.#topics.get(topic)?.floor ?? this.#forgotten
  }

  #between(topics: readonly Topic[], seq: number): Entry[] {
    const found = topics.flatMap((topic) => [...(this.#topics.get(topic)?.newestDownTo(seq) ?? [])])
    // One that is for several of the topics was found in each.
    return [...new Set(found)].sort((a, b) => a.seq - b.seq)
  }

  #chain(entry: Entry): Item {
    const item: Item = {
      entry,
      bytes: bytesOf(entry),
      at: Date.now(),
      holders: entry.topics.length,
      older: this.#newest,
      newer: undefined,
      isRetracted: false,
    }
    const { message } = entry
    if (message !== undefined)
      this.#messages.set(message, (this.#messages.get(message) ?? new Set()).add(item))
    if (this.#newest === undefined) this.#oldest = item
    else this.#newest.newer = item
    this.#newest = item
    this.#bytes += costOfEvent(entry)
    return item
  }

  #file(topic: Topic, item: Item): void {
    const history = this.#topics.get(topic) ?? this.#createTopic()
    // Deleted first, it stands last again.
    this.#topics.delete(topic)
    this.#topics.set(topic, history)
    history.push(item)
    while (history.count > this.#limits.maxEvents || history.bytes > this.#limits.maxBytes)
      this.#letGo(history)
  }

  #createTopic(): TopicHistory {
    if (this.#topics.size >= this.#limits.maxTopics) this.#forgetTopics()
    const history = new TopicHistory()
    history.floor = this.#forgotten
    return history
  }

  /** A tenth at once: the start of a Map from which much was deleted is slow to find. */
  #forgetTopics(): void {
    const left = Math.floor(this.#limits.maxTopics * 0.9)
    for (const [topic, history] of this.#topics) {
      if (this.#topics.size <= left) return
      while (history.count > 0) this.#letGo(history)
      this.#forgotten = Math.max(this.#forgotten, history.floor)
      this.#topics.delete(topic)
    }
  }

  /** What is too old, or too much in all. */
  #trim(now: number): void {
    const { maxAge, maxTotalBytes } = this.#limits
    for (let oldest = this.#oldest; oldest !== undefined; oldest = this.#oldest) {
      if (oldest.at >= now - maxAge && this.#bytes <= maxTotalBytes) return
      // The oldest of all is the oldest of each topic that still holds it.
      for (const topic of oldest.entry.topics) this.#letGoOf(topic, oldest)
    }
  }

  #letGoOf(topic: Topic, item: Item): void {
    const history = this.#topics.get(topic)
    if (history !== undefined && history.oldest === item) this.#letGo(history)
  }

  #letGo(history: TopicHistory): void {
    const item = history.shift()
    if (item !== undefined && --item.holders === 0) this.#unchain(item)
  }

  #forgetMessage(item: Item): void {
    const { message } = item.entry
    if (message === undefined) return
    const items = this.#messages.get(message)
    items?.delete(item)
    if (items?.size === 0) this.#messages.delete(message)
  }

  #unchain(item: Item): void {
    if (item.older) item.older.newer = item.newer
    else this.#oldest = item.newer
    if (item.newer) item.newer.older = item.older
    else this.#newest = item.older
    this.#bytes -= costOfEvent(item.entry)
    this.#forgetMessage(item)
  }
}
