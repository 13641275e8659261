import type { Store } from '../store'

/** Options of `memoryStore`. */
export interface MemoryStoreOptions {
  /** How many durations of absent users are kept; beyond that the oldest goes. Default 100 000. */
  maxDurations?: number | undefined
}

/** The embedded store: one process, and gone with it. */
export function memoryStore({ maxDurations = 100_000 }: MemoryStoreOptions = {}): Store {
  const durations = new Map<string, number>()

  return {
    async setDuration(service, topic, seconds) {
      const key = keyOf(service, topic)
      // A Map keeps the order of insertion: deleted first, the newest stands last.
      durations.delete(key)
      durations.set(key, seconds)
      const [oldest] = durations.keys()
      if (durations.size > maxDurations && oldest !== undefined) durations.delete(oldest)
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
  }
}

function keyOf(service: string, topic: string): string {
  return JSON.stringify([service, topic])
}
