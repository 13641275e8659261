import type { Store } from '../store'
import { type StoreOptions, settleLimits } from './limits'
import { localStore } from './local-store'
import { MemoryAnswers } from './memory-answers'
import { MemoryDurations } from './memory-durations'
import { MemoryLog } from './memory-log'
import { MemoryPending } from './memory-pending'

/** Options of `memoryStore`. */
export type MemoryStoreOptions = StoreOptions

/**
 * The embedded store: one process, and gone with it.
 * @throws TypeError that names the option that is wrong.
 */
export function memoryStore(options: MemoryStoreOptions = {}): Store {
  const limits = settleLimits('memoryStore', options)
  return localStore({
    answers: new MemoryAnswers(limits),
    durations: new MemoryDurations(limits.maxDurations),
    createService(_name, settle) {
      const log = new MemoryLog(limits)
      return { log, pending: new MemoryPending(limits, settle, (message) => log.retract(message)) }
    },
  })
}
