import type { Figures } from '../client/protocol'
import type { Settings } from './options'
import type { Presence } from './presence'

/** @returns what is now, and what was counted. Rejects if the store cannot be read. */
export async function figuresOf<User extends object>(
  { store, name, counters }: Settings<User>,
  presence: Presence<User>,
): Promise<Figures> {
  const { total: pending } = await store.pendingPage(name, 0, 1)
  const { connects, returns, sent, delivered, messages, uploads } = counters
  const disconnects = [...counters.disconnects.values()].reduce((sum, count) => sum + count, 0)
  const { connections, users } = await presence.count()
  return {
    time: Date.now(),
    ...{ connections, users },
    ...{ pending, connects: connects + returns, disconnects, sent, delivered, received: messages + uploads },
  }
}
