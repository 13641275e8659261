import type { Report } from './hooks'
import { settle } from './options'
import { createParts } from './parts'
import { publisherOf } from './publisher-of'
import type { Publisher } from './service'
import type { Store } from './store'

/** What `createPublisher` takes. */
export interface PublisherOptions {
  /** Name of the service, as the web nodes have it. Default `'sse'`. */
  name?: string | undefined
  /** The store of the web nodes: one that processes share, e.g. `redisStore(url)`. */
  store: Store
  /** Hears of each failure of the store that nobody else hears of. Default: `console.error`. */
  onError?: Report
}

/**
 * Takes part in a service without HTTP: for processes that only send, ask and act.
 *
 * @example
 * const hr = createPublisher({ name: 'hr', store: redisStore('redis://localhost') })
 * await hr.qos().sendByUserId(7, 'contract', { id: 12 })
 *
 * @throws TypeError that names the option that is wrong.
 */
export function createPublisher<User extends object = object>(options: PublisherOptions): Publisher<User> {
  if (options?.store === undefined)
    throw new TypeError(
      'createPublisher: the option store must be the one of the web nodes, e.g. redisStore(url).',
    )
  const { name, store, onError } = options
  const settings = settle<User>({ name, store, ...(onError && { onError }), getUser: () => null })
  const parts = createParts(settings, false)
  return { ...publisherOf(parts), close: () => parts.lifecycle.close(0) }
}
