import { createEntry, type Entry, responseOf } from './entry'
import { createExchange } from './exchange'
import { createExpiry } from './expiry'
import { onFarewell, sendLast } from './farewell'
import { createLanes } from './lanes'
import { createOwner } from './owner'
import type { OutboxCore, OutboxPart, OutboxTask, PendingRequest } from './part'
import { createShelf, noShelf } from './shelf'
import { createWatch } from './unauthorized'

/** The machinery of sending: the part of the client that a page loads when it sends for the first time. */
function createOutbox(core: OutboxCore): OutboxPart {
  const { env, options } = core
  let bytes = 0
  let count = 0
  let isDestroyed = false
  /** The last connection. */
  let connected = core.finish()
  const owner = createOwner(core)
  const gate = createWatch(core, () => lanes.next())
  const shelf = options.persist ? createShelf(core, owner.known) : noShelf
  const exchange = createExchange(core, shelf.update)
  const lanes = createLanes({ core, exchange, gate, isOpen, isOurs, onAnswer, onHopeless })
  const expiry = createExpiry(env, lanes.all, ({ task }) => task.reject(new core.ExpiredError('No answer.')))

  /** Ours, and not too late. */
  function isOurs(entry: Entry): boolean {
    return owner.isOurs(entry) && env.Date.now() < entry.expiryTime
  }

  /** May anything leave, if there is a connection? */
  function isReady(): boolean {
    return !isDestroyed && shelf.isRestored() && gate.isOpen()
  }

  function isOpen(): boolean {
    return isReady() && core.finish() !== undefined
  }

  function add(task: OutboxTask): void {
    let entry: Entry
    try {
      entry = createEntry(core, task)
    } catch (error) {
      return task.reject(error as Error)
    }
    if (bytes + entry.bytes > options.maxQueuedBytes)
      return task.reject(new core.OutboxFullError('Raise "maxQueuedBytes".'))
    enter(entry)
    if (entry.kind === 'listeners' || !options.persist) entry.isReady = true
    else void keep(entry)
    lanes.next()
  }

  async function keep(entry: Entry): Promise<void> {
    await shelf.keep(entry)
    entry.isReady = true
    lanes.next()
  }

  function enter(entry: Entry): void {
    if (entry.kind !== 'listeners') entry.owner ??= owner.now() || undefined
    bytes += entry.bytes
    count++
    entry.task.signal.addEventListener('abort', () => drop(entry))
    lanes.push(entry)
    expiry.add(entry)
  }

  /** Settled, either way. */
  function leave(entry: Entry): void {
    entry.isSettled = true
    bytes -= entry.bytes
    shelf.forget(entry)
    if (--count === 0) expiry.stop()
  }

  function onAnswer(entry: Entry, response: Response): void {
    leave(entry)
    entry.task.resolve(response)
    const { kind, key, path } = entry
    if (kind !== 'listeners') core.emit({ type: 'answered', key, path, status: response.status })
  }

  function onHopeless({ task }: Entry, cause: unknown): void {
    task.reject(new core.ExpiredError('Given up: it can not be sent.', { cause }))
  }

  function drop(entry: Entry): void {
    // What is kept stays kept.
    if (isDestroyed || entry.isSettled) return
    leave(entry)
    lanes.remove(entry)
    const { kind, key, path, task } = entry
    if (kind !== 'listeners') core.emit({ type: 'rejected', key, path, reason: task.signal.reason.name })
  }

  function flush(): void {
    if (isDestroyed) return
    connected = core.finish() ?? connected
    exchange.renew()
    if (owner.learn()) void restore()
    gate.open()
    expiry.look()
    lanes.hurry()
  }

  async function restore(): Promise<void> {
    await shelf.restore(owner.now(), (entry) => {
      if (isDestroyed) return
      enter(entry)
      core.emit({ type: 'restored', key: entry.key, path: entry.path })
      lanes.next()
    })
    lanes.next()
  }

  async function pending(): Promise<PendingRequest[]> {
    await shelf.whenRestored
    if (isDestroyed) return []
    const entries = lanes.all().filter(({ kind }) => kind !== 'listeners')
    return entries.map((entry) => ({ key: entry.key, path: entry.path, response: responseOf(entry) }))
  }

  async function clear(error: Error): Promise<void> {
    await shelf.whenRestored
    // What has been sent since is not meant.
    for (const { isRevived, task } of lanes.all()) if (isRevived) task.reject(error)
  }

  function destroy(error: Error): void {
    isDestroyed = true
    releasePage()
    expiry.stop()
    gate.stop()
    lanes.stop()
    shelf.close()
    for (const { task } of lanes.all()) task.reject(error)
  }

  const releasePage = onFarewell(env, () => {
    if (isReady() && connected) void sendLast(core, connected, lanes.last(connected.batch?.entries ?? 0))
  })
  flush()

  return { add, flush, pending, clear, destroy }
}

export { createOutbox as default }
