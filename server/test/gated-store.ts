import type { Store } from 'tabwire/server'
import { memoryStore } from 'tabwire/stores/memory'

type Options = Parameters<typeof memoryStore>[0]

/** A memory store whose reads take as long as the test wants, as if it were far away. */
export interface GatedStore {
  readonly store: Store
  /** One for each read under way or done; called, it lets the read go on, or fail. */
  readonly reads: ((error?: Error) => void)[]
}

/**
 * @param when `before`: the gate stands in front of the read, so that it sees what comes meanwhile. `after`: the read is
 *   done and its answer is on the way.
 */
export function gatedStore(options?: Options, when: 'before' | 'after' = 'before'): GatedStore {
  const inner = memoryStore(options)
  const reads: GatedStore['reads'] = []
  const gate = () =>
    new Promise<void>((resolve, reject) => {
      reads.push((error) => (error === undefined ? resolve() : reject(error)))
    })
  const store: Store = {
    ...inner,
    async read(...args) {
      if (when === 'before') await gate()
      const history = await inner.read(...args)
      if (when === 'after') await gate()
      return history
    },
  }
  return { store, reads }
}
