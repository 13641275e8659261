import createOutbox from './outbox'
import type { LoadOutbox } from './part'

/** The part is in the bundle: what is bundled must not depend on which version the backend has. The served client has load-served.ts in this place. */
export const loadOutbox: LoadOutbox = async () => ({ default: createOutbox })
