/** What a store keeps, in options that all stores share. Bytes of a topic are those of names and data; an event for several topics counts in each. */
export interface StoreOptions {
  /** Events that are kept for one topic (a user, a tenant, a channel, all …). Default 100 000. */
  maxEvents?: number | undefined
  /** Bytes that are kept for one topic; more than the service's `bufferLimit`, so that who is cut off can resume. Default 16 777 216. */
  maxBytes?: number | undefined
  /** ms that an event is kept. Default 86 400 000: a day. */
  maxAge?: number | undefined
  /** Bytes for all events of a service and their keeping, about; beyond that the oldest go. Default 134 217 728. */
  maxTotalBytes?: number | undefined
  /** Topics that are remembered; beyond that those written to longest ago go. Default 100 000. */
  maxTopics?: number | undefined
  /** Messages of one service that may wait for their acknowledgement; one more is refused. Default 100 000. */
  maxPending?: number | undefined
  /** Bytes for them and their keeping, about; beyond that one more is refused. Default 67 108 864. */
  maxPendingBytes?: number | undefined
  /** How many durations of absent users are kept; beyond that the oldest goes. Default 100 000. */
  maxDurations?: number | undefined
  /** ms that the answer to a request with a key is remembered. Default 172 800 000: two days. */
  answerAge?: number | undefined
  /** Answers that are remembered, of all services; beyond that the oldest go, and a repeat would run again. Default 100 000. */
  maxAnswers?: number | undefined
  /** Bytes for all these answers and their keeping, about; beyond that the oldest go. Default 67 108 864. */
  maxAnswerBytes?: number | undefined
  /** Of these, the answers to one user; beyond that the user's oldest go. Default 10 000. */
  maxUserAnswers?: number | undefined
  /** Of these bytes, those of one user; beyond that the user's oldest go, but for the newest. Default 16 777 216. */
  maxUserAnswerBytes?: number | undefined
}

export type Limits = Readonly<Record<keyof StoreOptions, number>>

const DEFAULTS: Limits = {
  maxEvents: 100_000,
  maxBytes: 16 * 1024 * 1024,
  maxAge: 24 * 60 * 60 * 1000,
  maxTotalBytes: 128 * 1024 * 1024,
  maxTopics: 100_000,
  maxPending: 100_000,
  maxPendingBytes: 64 * 1024 * 1024,
  maxDurations: 100_000,
  answerAge: 2 * 24 * 60 * 60 * 1000,
  maxAnswers: 100_000,
  maxAnswerBytes: 64 * 1024 * 1024,
  maxUserAnswers: 10_000,
  maxUserAnswerBytes: 16 * 1024 * 1024,
}

/**
 * @param store What it is called where it is made.
 * @throws TypeError that names the option that is wrong.
 */
export function settleLimits(store: string, options: StoreOptions): Limits {
  const settled = { ...DEFAULTS }
  for (const name of Object.keys(DEFAULTS) as (keyof Limits)[]) {
    const value = options[name] ?? DEFAULTS[name]
    if (typeof value !== 'number' || !(value >= 1))
      throw new TypeError(`${store}: the option ${name} must be a number of at least 1.`)
    settled[name] = value
  }
  return settled
}
