import type { Env } from './env'
import { report } from './env'
import { ReceivedEvent, type SseEvent } from './event'
import { type Listener, type ListenerRecord, type ResolvedOptions, wrong } from './options'

/** What `addListener`, `removeListener` and the option `eventListeners` take. */
export type ListenerInput = string | readonly string[] | ListenerRecord

export interface Listeners {
  add(entries: readonly ListenerEntry[]): void
  /** Without a function all of that name go. Returns the names nobody listens to any more. */
  remove(entries: readonly ListenerEntry[]): string[]
  /** Nobody hears anything any more. */
  clear(): void
  has(name: string): boolean
  names(): string[]
  /**
   * Calls who listens, then the window. What throws is reported and harms no other.
   * @param extra further fields of the event
   */
  dispatch(name: string, data: unknown, lastEventId?: string, extra?: object, replayed?: boolean): void
}

/** `null` stands for the window. */
export type ListenerEntry = readonly [name: string, listener: Listener | null]

/** @throws TypeError that names what is wrong. */
export function toEntries(input: ListenerInput, listener?: Listener | null): ListenerEntry[] {
  return typeof input === 'object' && input ? manyEntries(input) : [entry(input, listener)]
}

/** @throws TypeError that names what is wrong. */
export function manyEntries(input: Exclude<ListenerInput, string>): ListenerEntry[] {
  if (Array.isArray(input)) return input.map((name) => entry(name, null))
  if (typeof input !== 'object') throw wrong('eventListeners', 'a record or an array')
  return Object.entries(input).map(([name, fn]) => entry(name, fn))
}

function entry(name: unknown, listener: Listener | null | undefined): ListenerEntry {
  // Names travel in a list parted by commas, and in lines.
  if (typeof name !== 'string' || !/^[^,\r\n\0]+$/.test(name))
    throw new TypeError(`Sse event name "${name}" must be one line without comma.`)
  if (listener != null && typeof listener !== 'function')
    throw new TypeError(`Sse listener of "${name}" must be a function.`)
  return [name, listener ?? null]
}

/**
 * @param options `url`, where events come from, is read anew for each: it changes with `switchURL`
 * @param self what listeners get as `this`
 */
export function createListeners(env: Env, options: ResolvedOptions, self: unknown): Listeners {
  // Arrays are replaced, never changed, so that a listener may be removed while its event is dispatched.
  const byName = new Map<string, readonly (Listener | null)[]>()
  let url = ''
  let origin = ''

  function call(fn: (event: SseEvent) => void, event: ReceivedEvent): void {
    try {
      fn.call(self, event as unknown as SseEvent)
    } catch (error) {
      report(env, error)
    }
  }

  const DomEvent = env.MessageEvent as new (type: string, init: { data: unknown }) => Event

  /** A true MessageEvent. What few read is read from what was received: handing it to the DOM costs as much as all the rest. */
  class WindowEvent extends DomEvent {
    readonly #received: ReceivedEvent
    constructor(received: ReceivedEvent) {
      super(received.type, { data: received.data })
      this.#received = received
      Object.assign(this, received.extra)
    }
    get lastEventId(): string {
      return this.#received.lastEventId
    }
    get origin(): string {
      return this.#received.origin
    }
    get url(): string {
      return this.#received.url
    }
  }

  function toWindow(event: ReceivedEvent): void {
    for (const intercept of options.intercepts) call(intercept, event)
    env.dispatchEvent(new WindowEvent(event))
  }

  return {
    add(entries) {
      for (const [name, listener] of entries) {
        const present = byName.get(name) ?? []
        if (!present.includes(listener)) byName.set(name, [...present, listener])
      }
    },
    remove(entries) {
      const gone = []
      for (const [name, listener] of entries) {
        const left = listener && byName.get(name)?.filter((present) => present !== listener)
        if (left?.length) byName.set(name, left)
        else if (byName.delete(name)) gone.push(name)
      }
      return gone
    },
    clear: () => byName.clear(),
    has: (name) => byName.has(name),
    names: () => [...byName.keys()],
    dispatch(name, data, lastEventId = '', extra, replayed = false) {
      const listeners = byName.get(name)
      if (!listeners) return
      if (url !== options.url) {
        url = options.url
        origin = originOf(env, url)
      }
      const event = new ReceivedEvent(name, data, lastEventId, origin, url, replayed, extra)
      for (const listener of listeners) {
        // One that another has just removed hears nothing any more, as with an EventTarget; the first has none before it.
        if (listener && byName.get(name)?.includes(listener)) call(listener, event)
      }
      if (options.useWindowEventBus && byName.has(name)) toWindow(event)
    },
  }
}

function originOf(env: Env, url: string): string {
  try {
    return new URL(url, env.document.baseURI).origin
  } catch {
    // A page without an address of its own, such as about:blank.
    return ''
  }
}
