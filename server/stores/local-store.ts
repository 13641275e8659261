import type { Position } from '../cursor'
import { LimitError } from '../errors'
import type { Claim, Draft, Entry, History, KnownKey, PendingMessage, PendingPage, Store } from '../store'
import type { Topic } from '../topic'
import { LocalPeers } from './local-peers'

/** Hears that a message waits no more. */
export type Settle = (message: string, count: number) => void

/** The events of one service. */
export interface Log {
  append(draft: Draft): Entry
  read(topics: readonly Topic[], after?: Position): History
}

/** The messages of one service that wait to be acknowledged. */
export interface Pending {
  /** Ends what is over: before anything else is asked. */
  expire(): void
  /** @throws LimitError */
  hold(message: PendingMessage): void
  of(topics: readonly Topic[]): PendingMessage[]
  page(offset: number, limit: number): PendingPage
  acknowledge(message: string, topics: readonly Topic[]): void
  cancel(message: string): boolean
}

/** Which keys run, and what the others were answered. */
export interface Answers {
  claim(key: string, claim: Claim, lease: number): KnownKey | undefined
  remember(key: string, claim: Claim, answer: string): KnownKey | undefined
  release(key: string, claim: Claim): void
}

/** What is remembered for absent users; under the key of each topic. */
export interface Durations {
  set(key: string, seconds: number): void
  /** The last one's wins; all of them are forgotten. */
  take(keys: readonly string[]): number | undefined
}

/** What a store of one process is made of. What each does is done when its function returns. */
export interface Keepers {
  readonly answers: Answers
  readonly durations: Durations
  createService(service: string, settle: Settle): Kept
}

/** What is kept for one service. */
export interface Kept {
  readonly log: Log
  readonly pending: Pending
}

interface Service extends Kept {
  readonly peers: LocalPeers
}

/** A store for the one process that it lives in: what happens here is told here. */
export function localStore({ answers, durations, createService }: Keepers): Store {
  const services = new Map<string, Service>()

  function open(service: string): Service {
    const found = services.get(service)
    if (found !== undefined) return found
    const peers = new LocalPeers()
    const settle: Settle = (...settled) => {
      for (const node of peers.nodes.values()) node.settle?.(...settled)
    }
    const opened = { ...createService(service, settle), peers }
    services.set(service, opened)
    return opened
  }

  function current(service: string): Service {
    const opened = open(service)
    opened.pending.expire()
    return opened
  }

  return {
    isShared: false,

    async append(service, draft) {
      const { log, peers } = open(service)
      const entry = log.append(draft)
      let count = 0
      for (const node of peers.nodes.values()) count += node.receive(entry)
      return count
    },

    join: (service, node) => open(service).peers.join(node),

    read: async (service, topics, after) => current(service).log.read(topics, after),

    hold: async (service, message) => current(service).pending.hold(message),
    pending: async (service, topics) => current(service).pending.of(topics),
    pendingPage: async (service, offset, limit) => current(service).pending.page(offset, limit),
    acknowledge: async (service, message, topics) => current(service).pending.acknowledge(message, topics),
    cancel: async (service, message) => current(service).pending.cancel(message),

    setDuration: async (service, topic, seconds) => durations.set(keyOf(service, topic), seconds),
    takeDuration: async (service, topics) => durations.take(topics.map((topic) => keyOf(service, topic))),

    claim: async (service, key, claim, lease) => answers.claim(keyOf(service, key), claim, lease),
    remember: async (service, key, claim, answer) => answers.remember(keyOf(service, key), claim, answer),
    release: async (service, key, claim) => answers.release(keyOf(service, key), claim),
  }
}

export function tooMuchWaits(): LimitError {
  return new LimitError(
    'Too much waits to be acknowledged; send less, or raise maxPending or maxPendingBytes.',
  )
}

function keyOf(service: string, name: string): string {
  return JSON.stringify([service, name])
}
