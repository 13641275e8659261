import type { Receive, Store } from '../store'
import { MemoryAnswers } from './memory-answers'
import { MemoryLog } from './memory-log'

/** Options of `memoryStore`. Bytes of a topic are those of names and data; an event for several topics counts in each. */
export interface MemoryStoreOptions {
  /** Events that are kept for one topic (a user, a tenant, a channel, all …). Default 100 000. */
  maxEvents?: number | undefined
  /** Bytes that are kept for one topic; more than the service's `bufferLimit`, so that who is cut off can resume. Default 16 777 216. */
  maxBytes?: number | undefined
  /** ms that an event is kept. Default 86 400 000: a day. */
  maxAge?: number | undefined
  /** Bytes of memory for all events of a service, about; beyond that the oldest go. Default 134 217 728. */
  maxTotalBytes?: number | undefined
  /** Topics that are remembered; beyond that those written to longest ago go. Default 100 000. */
  maxTopics?: number | undefined
  /** How many durations of absent users are kept; beyond that the oldest goes. Default 100 000. */
  maxDurations?: number | undefined
  /** ms that the answer to a request with a key is remembered. Default 172 800 000: two days. */
  answerAge?: number | undefined
  /** Answers that are remembered, of all services; beyond that the oldest go, and a repeat would run again. Default 100 000. */
  maxAnswers?: number | undefined
  /** Bytes of memory for all these answers, about; beyond that the oldest go. Default 67 108 864. */
  maxAnswerBytes?: number | undefined
  /** Of these, the answers to one user; beyond that the user's oldest go. Default 10 000. */
  maxUserAnswers?: number | undefined
  /** Of these bytes, those of one user; beyond that the user's oldest go, but for the newest. Default 16 777 216. */
  maxUserAnswerBytes?: number | undefined
}

type Limits = Record<keyof MemoryStoreOptions, number>

const DEFAULTS: Limits = {
  maxEvents: 100_000,
  maxBytes: 16 * 1024 * 1024,
  maxAge: 24 * 60 * 60 * 1000,
  maxTotalBytes: 128 * 1024 * 1024,
  maxTopics: 100_000,
  maxDurations: 100_000,
  answerAge: 2 * 24 * 60 * 60 * 1000,
  maxAnswers: 100_000,
  maxAnswerBytes: 64 * 1024 * 1024,
  maxUserAnswers: 10_000,
  maxUserAnswerBytes: 16 * 1024 * 1024,
}

/**
 * The embedded store: one process, and gone with it.
 * @throws TypeError that names the option that is wrong.
 */
export function memoryStore(options: MemoryStoreOptions = {}): Store {
  const limits = settle(options)
  const services = new Map<string, { log: MemoryLog; receivers: Set<{ receive: Receive }> }>()
  const durations = new Map<string, number>()
  const answers = new MemoryAnswers(limits)

  function open(service: string) {
    const found = services.get(service)
    if (found !== undefined) return found
    const opened = { log: new MemoryLog(limits), receivers: new Set<{ receive: Receive }>() }
    services.set(service, opened)
    return opened
  }

  return {
    async append(service, draft) {
      const { log, receivers } = open(service)
      const entry = log.append(draft)
      let count = 0
      for (const { receive } of receivers) count += receive(entry)
      return count
    },

    subscribe(service, receive) {
      const { receivers } = open(service)
      const subscription = { receive }
      receivers.add(subscription)
      return () => void receivers.delete(subscription)
    },

    async read(service, topics, after) {
      return open(service).log.read(topics, after)
    },

    async setDuration(service, topic, seconds) {
      const key = keyOf(service, topic)
      // A Map keeps the order of insertion: deleted first, the newest stands last.
      durations.delete(key)
      durations.set(key, seconds)
      const [oldest] = durations.keys()
      if (durations.size > limits.maxDurations && oldest !== undefined) durations.delete(oldest)
    },

    async takeDuration(service, topics) {
      let taken: number | undefined
      for (const topic of topics) {
        const key = keyOf(service, topic)
        taken = durations.get(key) ?? taken
        durations.delete(key)
      }
      return taken
    },

    claim: async (service, key, claim, lease) => answers.claim(keyOf(service, key), claim, lease),
    remember: async (service, key, claim, answer) => answers.remember(keyOf(service, key), claim, answer),
    release: async (service, key, claim) => answers.release(keyOf(service, key), claim),
  }
}

function settle(options: MemoryStoreOptions): Limits {
  const settled = { ...DEFAULTS }
  for (const name of Object.keys(DEFAULTS) as (keyof Limits)[]) {
    const value = options[name] ?? DEFAULTS[name]
    if (typeof value !== 'number' || !(value >= 1))
      throw new TypeError(`memoryStore: the option ${name} must be a number of at least 1.`)
    settled[name] = value
  }
  return settled
}

function keyOf(service: string, name: string): string {
  return JSON.stringify([service, name])
}
