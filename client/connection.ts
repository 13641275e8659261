import { backoff } from './backoff'
import type { Env } from './env'
import type { Closing } from './event'
import type { ResolvedOptions } from './options'
import type { Page } from './page'
import { type Ask, createPlace } from './place'
import {
  type ConnectClose,
  type ConnectFinish,
  EVENT_CONNECT_CLOSE,
  EVENT_CONNECT_FINISH,
  EVENT_GAP,
  type Gap,
} from './protocol'
import { END, readStream, type StreamEnd } from './stream'
import { createTimer } from './timer'

export const STATE_CONNECTING = 0
export const STATE_OPEN = 1
export const STATE_CLOSED = 2
export type State = typeof STATE_CONNECTING | typeof STATE_OPEN | typeof STATE_CLOSED

/** How long `connect-finish` may take, ms. */
const CONNECT_TIMEOUT = 10_000
/** A stream that gave no sign of life for so many of the server's intervals is dead. */
const SILENT_INTERVALS = 2.5
/** A stream that lived so long, or brought an event, was a healthy one: the next delay starts from the beginning. ms */
const HEALTHY_AFTER = 5000
/** Base of the delay if neither the option nor the server says one, ms. */
const DEFAULT_RECONNECT_TIME = 2000

/** The state machine: which stream is open, and when the next is dialled. */
export interface Connection {
  readonly state: State
  /** A stream is open, or being opened: the server has been told what we listen to. */
  readonly isUnderWay: boolean
  /** What the server said in `connect-finish`; undefined if no stream is open. */
  finish(): ConnectFinish | undefined
  /** Who the page last heard that it is. */
  owner(): string | undefined
  /** Wants a stream from now on, and at once if the page may have one. */
  connect(): void
  /** Wants no stream until `connect()`. */
  close(reason: string): void
  /** Leaves the stream, changes something between, and dials anew, if a stream is wanted; there it begins. */
  redial(reason: string, change: () => void): void
  /** The server does not know this connection (any more); if it is still ours, its stream is dead. */
  onUnknown(connectionId: string): void
  /** The page has changed: look again at whether a stream is wanted. */
  onSignal(reason: string): void
}

/** What a connection asks for, and whom it tells. */
export interface Hooks {
  /** Made anew for each attempt. */
  request(ask: Ask, signal: AbortSignal): Promise<Response>
  /**
   * @param extra with `connect-close`: by whom and why; with `sse-gap`: why
   * @param replayed sent while this client was away
   */
  onEvent(type: string, data: string, lastEventId: string, extra?: Closing | Gap, replayed?: boolean): void
  onState(oldState: State, newState: State, reason: string, error?: Error): void
  /** The page leaves an open stream by its own doing; the server is to be told. */
  onLeave(connectionId: string, reason: string): void
}

export function createConnection(env: Env, options: ResolvedOptions, page: Page, hooks: Hooks): Connection {
  const place = createPlace(env, options.resumeOnReload ? `sseCursor${options.url}` : '')
  // `when-shown`: the server sent us away; the person's next look at the page brings us back. `failed`: for good, here.
  let asked: 'yes' | 'no' | 'when-shown' | 'failed' = 'yes'
  let state: State = STATE_CONNECTING
  // Both while a stream is open, the first alone while it is being opened, none while waiting for the end of a delay.
  let attempt: AbortController | undefined
  let finish: ConnectFinish | undefined
  let isDelayed = false
  let owner: string | undefined
  let failures = 0
  let openedAt = 0
  let serverBase: number | undefined
  let aliveAt = 0 // When bytes came last, ms since 1970.
  /** The page is hidden, and stays connected for a while. */
  let inGrace = false
  /** One timer: the delay while waiting, the deadline while connecting, the watch or the hidden page's grace while open. */
  const setTimer = createTimer(env)

  /** May this page have a stream, if somebody sees it? */
  const isAllowed = (): boolean => asked === 'yes' && page.isOnline()
  /** The one gate; asked anew at every decision. */
  const isWanted = (): boolean => isAllowed() && (page.isVisible() || options.connectWhenHidden)

  function setState(newState: State, reason: string, error?: Error): void {
    const oldState = state
    state = newState
    if (newState !== oldState || error) hooks.onState(oldState, newState, reason, error)
  }

  /** Moves the machine to where the gate wants it. Every signal ends here and decides nothing itself. */
  function reconcile(reason: string): void {
    if (isWanted()) {
      inGrace = false
      if (finish) watch()
      else if (!attempt && !isDelayed) dial(reason)
    } else if (finish && isAllowed() && options.hiddenGrace) {
      if (!inGrace) setTimer(() => isWanted() || leave(reason), options.hiddenGrace)
      inGrace = true
    } else {
      leave(reason)
    }
  }

  function dial(reason: string): void {
    const mine = new AbortController()
    attempt = mine
    const isMine = (): boolean => attempt === mine
    setTimer(() => {
      place.switchMode()
      onEnd({ reason: 'timeout' })
    }, CONNECT_TIMEOUT)
    setState(STATE_CONNECTING, reason)
    let greetings = 0
    const parserHandlers = {
      onLife: () => {
        aliveAt = env.Date.now()
      },
      onEvent: (type: string, data: string, id: string) => {
        if (!isMine()) return
        if (type === EVENT_CONNECT_FINISH) greetings++
        receive(type, data, id)
      },
      onRetry: (ms: number) => {
        if (isMine()) serverBase = ms
      },
    }
    const read = async (): Promise<void> => {
      if (!isMine()) return
      const end = await readStream(env, hooks.request(place.ask(finish), mine.signal), parserHandlers)
      if (!isMine()) return
      // The end of an answer to a poll is none; but a server that greets each time does not know us from before.
      if (end.reason === END && greetings === 1 && place.isPolling()) void read()
      else onEnd(end)
    }
    void read()
  }

  /** By the clock, looked at often: timers stand still while a machine sleeps. */
  function watch(): void {
    const interval = finish?.heartbeatInterval as number
    if (inGrace) return
    if (!(interval > 0)) return setTimer()
    setTimer(watch, interval / 2)
    if (Math.abs(env.Date.now() - aliveAt) <= interval * SILENT_INTERVALS) return
    leave('silent')
    reconcile('silent')
  }

  function receive(type: string, data: string, id: string): void {
    if (type === EVENT_CONNECT_FINISH) return greeted(data, id)
    // First: who hears of the end may go on at another address, where this place means nothing.
    const replayed = place.passed(id)
    const closing = type === EVENT_CONNECT_CLOSE ? sentAway(parseClose(data)) : undefined
    if (!closing) failures = 0
    hooks.onEvent(type, data, id, closing, replayed)
  }

  function greeted(data: string, id: string): void {
    opened(JSON.parse(data))
    // Closed again by who heard of the state: the rest came too late.
    if (!finish) return
    const gap = place.greeted(finish, id)
    hooks.onEvent(EVENT_CONNECT_FINISH, data, id)
    if (gap) hooks.onEvent(EVENT_GAP, JSON.stringify(gap), id, gap)
  }

  function opened(received: ConnectFinish): void {
    finish = received
    owner = received.owner
    watch()
    serverBase = Number(received.reconnectTime) || serverBase
    openedAt = env.Date.now()
    setState(STATE_OPEN, EVENT_CONNECT_FINISH)
  }

  function sentAway({ reason = 'server-close', reconnect, reconnectDelay }: Partial<ConnectClose>): Closing {
    if (reconnect === false) asked = 'when-shown'
    onEnd({ reason, delay: reconnectDelay })
    return { whoTriggerClose: 'server', closeReason: reason }
  }

  /** Every end that is not the page's own doing: for good, or again after a delay. */
  function onEnd({ reason, error, retryAfter = 0, delay }: StreamEnd): void {
    if (finish && env.Date.now() - openedAt >= HEALTHY_AFTER) failures = 0
    drop()
    if (error) asked = 'failed'
    if (!isWanted()) return setState(STATE_CLOSED, reason, error)
    isDelayed = true
    const base = options.reconnectTime || serverBase || DEFAULT_RECONNECT_TIME
    setTimer(
      () => {
        isDelayed = false
        reconcile('retry')
      },
      delay ?? retryAfter + backoff(failures++, base, env.Math.random()),
    )
    setState(STATE_CONNECTING, reason)
  }

  /** An end that is the page's own doing. */
  function leave(reason: string): void {
    const left = finish
    failures = 0
    drop()
    // First the state: who hears of the end must not find it open.
    setState(STATE_CLOSED, reason)
    if (left) hooks.onLeave(left.connectionId, reason)
  }

  function drop(): void {
    setTimer()
    attempt?.abort()
    attempt = undefined
    finish = undefined
    inGrace = isDelayed = false
  }

  return {
    get state() {
      return state
    },
    finish: () => finish,
    owner: () => owner,
    get isUnderWay() {
      return Boolean(attempt)
    },
    connect() {
      asked = 'yes'
      failures = 0
      if (isDelayed) drop()
      reconcile('connect')
    },
    close(reason) {
      asked = 'no'
      leave(reason)
    },
    redial(reason, change) {
      leave(reason)
      place.forget()
      change()
      // Who heard of the end may have dialled the old place.
      drop()
      if (asked === 'failed') asked = 'yes'
      reconcile(reason)
    },
    onUnknown(connectionId) {
      if (finish?.connectionId === connectionId) onEnd({ reason: 'unknown-connection' })
    },
    onSignal(reason) {
      // The network's coming and going is nobody's look at the page.
      const isLook = reason !== 'offline' && reason !== 'online' && page.isVisible()
      if (asked === 'when-shown' && isLook) asked = 'yes'
      reconcile(reason)
    },
  }
}

/** A close that cannot be read is a close all the same. */
function parseClose(data: string): Partial<ConnectClose> {
  try {
    return JSON.parse(data)
  } catch {
    return {}
  }
}
