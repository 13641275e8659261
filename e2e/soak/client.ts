import Sse, { type SseEvent, type StateChange } from 'tabwire'
import { BASE } from './backend'
import type { Role } from './cast'
import { History } from './history'
import { type Came, Ledger } from './ledger'
import type { LogPlaces } from './log-places'
import { NAME_END, NAME_QUIET, NAMES } from './names'
import { Tab } from './tab'
import type { Tally } from './tally'

export type Violate = (client: SoakClient, what: string) => void

/** Of what the server says at the end, what is looked at. */
interface ConnectClose {
  readonly reconnect?: boolean
}

export interface ClientParts {
  readonly role: Role
  /** Where the service is, for this client. */
  readonly url: string
  readonly localStorage: ConstructorParameters<typeof Tab>[0]
  readonly places: LogPlaces
  readonly tally: Tally
  readonly violate: Violate
}

/** A person's tab with a page that has a client, and the books of what it gets. */
export class SoakClient {
  readonly role: Role
  readonly history = new History()
  readonly ledger: Ledger
  readonly tab: Tab
  /** When its last stream was opened; what `performance.now()` said. */
  openedAt = 0
  readonly #parts: ClientParts
  #sse: Sse
  #isFrozen = false

  constructor(parts: ClientParts) {
    const fail = (what: string): void => parts.violate(this, what)
    this.role = parts.role
    this.#parts = parts
    this.ledger = new Ledger(parts.role.catchUp, parts.places, parts.tally, fail)
    this.tab = new Tab(parts.localStorage, {
      onRequest: (url) => this.#requested(new URL(url)),
      onError: (error) => fail(`an error was reported: ${error}`),
    })
    this.#sse = this.#load()
  }

  get isOpen(): boolean {
    return this.#sse.isActive()
  }
  get isClosed(): boolean {
    return this.#sse.state === Sse.STATE_CLOSED
  }
  get instance(): string {
    return this.#sse.instanceId
  }

  hide(): void {
    this.tab.hide()
  }

  /** As phones do with pages that nobody sees. */
  freeze(): void {
    this.tab.hide()
    this.tab.onDocument('freeze')
    this.#isFrozen = true
  }

  show(): void {
    if (this.#isFrozen) this.tab.onDocument('resume')
    this.#isFrozen = false
    this.tab.show()
  }

  /** The person looks at another tab, and back. */
  glance(): void {
    this.history.add('page', 'glance')
    this.hide()
    this.show()
  }

  /** @param how by the application; or as a browser does it, which says so and lets all stand still; or without a word */
  reload(how: 'destroy' | 'pagehide' | 'crash'): void {
    if (how === 'destroy') this.#sse.destroy()
    else if (how === 'pagehide') this.tab.onWindow(how)
    else this.tab.crash()
    this.ledger.reloaded(this.role.resumeOnReload)
    this.#sse = this.#load()
  }

  close(): void {
    this.#sse.destroy()
  }

  #load(): Sse {
    const { role, url } = this.#parts
    const { user, client, channel, catchUp, resumeOnReload } = role
    const sse: Sse = new Sse(
      {
        url,
        query: { user: user.id, client, channel },
        eventListeners: this.#listeners((handle) => (event) => {
          if (sse !== this.#sse)
            this.#parts.violate(this, `an event came to a page that is gone: ${event.type}`)
          else handle(event)
        }),
        catchUp,
        resumeOnReload,
        useWindowEventBus: false,
        // Nobody looks at who is at it.
        leaveCheckInterval: 60_000,
      },
      this.tab.load(),
    )
    return sse
  }

  #listeners(guard: (handle: (event: SseEvent) => void) => (event: SseEvent) => void) {
    const names = [...NAMES, NAME_END, ...(this.role.listensToQuiet ? [NAME_QUIET] : [])]
    return {
      ...Object.fromEntries(names.map((name) => [name, guard((event) => this.#arrived(event))])),
      'connect-finish': guard((event) => this.#greeted(event)),
      'sse-gap': guard((event) => this.#gap(event)),
      'connect-close': guard((event) => this.#closed(event)),
      'sse-state': (event: SseEvent<unknown>) => this.#changed(event.data as StateChange),
    }
  }

  #requested({ pathname, searchParams }: URL): void {
    const mode = searchParams.get('mode') ?? ''
    this.history.add('request', pathname.slice(BASE.length), mode, searchParams.get('lastEventId') ?? '')
  }

  #arrived({ type: name, lastEventId, replayed, json }: SseEvent): void {
    const data = json as Came['data']
    this.history.add(name, data.n ?? `×${data.count}`, lastEventId, replayed ? 'replayed' : '')
    this.ledger.arrived({ name, lastEventId, replayed, data })
  }

  #greeted({ lastEventId, data, json }: SseEvent): void {
    this.openedAt = performance.now()
    this.history.add('connect-finish', lastEventId, data)
    this.ledger.greeted(json as object, lastEventId)
  }

  #gap({ data }: SseEvent): void {
    this.history.add('sse-gap', data)
    this.ledger.gap()
  }

  #closed({ whoTriggerClose, closeReason, data, json }: SseEvent): void {
    this.history.add('connect-close', whoTriggerClose, data)
    const isFinal = whoTriggerClose === 'server' && (json as ConnectClose).reconnect === false
    if (isFinal && this.tab.visibility === 'visible')
      this.#parts.violate(this, `a page that a person looks at is sent away for good: ${closeReason}`)
  }

  #changed({ oldState, newState, reason, error }: StateChange): void {
    this.history.add('sse-state', `${oldState}→${newState}`, reason, error ?? '')
    if (oldState === Sse.STATE_OPEN) this.#parts.tally.count(this.#parts.tally.ends, reason)
    if (error) this.#parts.violate(this, `it has given up: ${error}`)
  }
}
