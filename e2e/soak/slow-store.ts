import { setTimeout as sleep } from 'node:timers/promises'
import type { Store } from 'tabwire/server'

/** The longest way to the store, and back, ms. */
const WAY = 30

/**
 * As if the store were on another machine: what was read is a while old when it is there, and more was appended since.
 * Appending takes no time, so that the soak knows the numbers of what it sends.
 */
export function slowStore(store: Store): Store {
  const travel = (): Promise<void> => sleep(Math.random() * WAY)
  return {
    ...store,
    async read(...args) {
      await travel()
      const history = await store.read(...args)
      await travel()
      return history
    },
  }
}
