import type { Store } from 'tabwire/server'
import { memoryStore } from 'tabwire/stores/memory'
import type { Answer, App, Stream, TestUser } from './helpers'
import { PATIENCE, startTimer } from './stream-reader'

type Params = Record<string, string>

/** The query of a client that acknowledges, and listens to `m`. */
export const acking = (params: Params = {}): string =>
  `${new URLSearchParams({ acks: '1', clientId: 'c', clientInstanceId: 'i', listeners: 'm', ...params })}`

export const join = (app: App, user: TestUser, params?: Params): Promise<Stream> =>
  app.connect(user, acking(params))

/** The same page connects again, and says where it is. */
export const rejoin = (app: App, user: TestUser, before: Stream, params: Params = {}): Promise<Stream> =>
  join(app, user, { lastEventId: before.cursor, ...params })

export const report = (
  app: App,
  user: TestUser,
  { id }: Stream,
  lastEventId: string,
  rest: object = {},
): Promise<Answer> =>
  app.call('/connect/report.do', { as: user, json: { connectionId: id, lastEventId, ...rest } })

export const changeListeners = (
  app: App,
  user: TestUser,
  { id }: Stream,
  change: 'add' | 'remove',
  names: string[],
  query = '',
): Promise<Answer> =>
  app.call(`/connect/${change}Listener.do?${query}`, {
    as: user,
    json: { connectionId: id, listener: names },
  })

/** Ids of the messages that an event brings, in the order in which they came. */
export const messagesOf = ({ events }: { events: readonly { id: string }[] }): string[] =>
  events.flatMap(({ id }) => id.split('~')[1] ?? [])

/** All that was sent to this connection has arrived. */
export async function caughtUp(app: App, stream: Stream): Promise<void> {
  const token = Math.random().toString(36)
  await (await app.sse.getConnection(stream.id))?.send('barrier', token)
  await stream.until(() => stream.dataOf('barrier').includes(token), 'all that was sent')
}

/** What the promise of a message comes to; an error if it does not, in a while. */
export function outcomeOf<T>(sent: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = startTimer(() => reject(new Error('The promise did not settle.')), PATIENCE)
    sent.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}

/** Whether it is still open, when all that is under way has been done. */
export async function isOpen(sent: Promise<unknown>): Promise<boolean> {
  const turn = new Promise((resolve) => setImmediate(resolve, 'open'))
  return (await Promise.race([sent.catch(() => {}), turn])) === 'open'
}

export const pendingIn = async (store: Store, service = 'hr'): Promise<string[]> =>
  (await store.pendingPage(service, 0, 1000)).list.map(({ message }) => message)

/** A memory store in which calls fail, or take as long as the test wants. */
export function unreliableStore() {
  const failing = new Set<keyof Store>()
  const slow = new Set<keyof Store>()
  const calls: { name: keyof Store; go(): void }[] = []
  const inner = memoryStore()
  const pass = async (name: keyof Store) => {
    if (slow.has(name)) await new Promise<void>((go) => calls.push({ name, go }))
    if (failing.has(name)) throw new Error(`${name} fails`)
  }
  const store: Store = {
    ...inner,
    append: async (...args) => pass('append').then(() => inner.append(...args)),
    read: async (...args) => pass('read').then(() => inner.read(...args)),
    hold: async (...args) => pass('hold').then(() => inner.hold(...args)),
    pending: async (...args) => pass('pending').then(() => inner.pending(...args)),
    acknowledge: async (...args) => pass('acknowledge').then(() => inner.acknowledge(...args)),
    cancel: async (...args) => pass('cancel').then(() => inner.cancel(...args)),
  }
  return {
    store,
    failing,
    slow,
    calls,
    /** Lets all calls go on that wait, and those that come. */
    heal() {
      failing.clear()
      slow.clear()
      for (const call of calls.splice(0)) call.go()
    },
  }
}
