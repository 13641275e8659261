import Sse, { type SseEvent } from 'tabwire'
import { createStorage, Tab } from '../soak/tab'
import type { Books } from './books'

/** A person's tab with a page that has our client. */
export class ChaosClient {
  readonly user: number
  readonly #tab: Tab
  readonly #sse: Sse

  constructor(user: number, url: string, books: Books, violate: (what: string) => void) {
    this.user = user
    this.#tab = new Tab(createStorage(), {
      onRequest: () => {},
      onError: (error) => violate(`user ${user}: an error was reported: ${error}`),
    })
    const shown = ({ type, json }: SseEvent): void =>
      books.shown(user, (json as { id: string }).id, type === 'sure')
    this.#sse = new Sse(
      {
        ...{ url, query: { user: String(user) }, useWindowEventBus: false, leaveCheckInterval: 60_000 },
        eventListeners: {
          ...{ plain: shown, sure: shown },
          'sse-gap': ({ json }: SseEvent) => books.gap(user, (json as { reason: string }).reason),
        },
      },
      this.#tab.load(),
    )
  }

  get isOpen(): boolean {
    return this.#sse.isActive()
  }
  get isVisible(): boolean {
    return this.#tab.visibility === 'visible'
  }

  hide(): void {
    this.#tab.hide()
  }

  show(): void {
    this.#tab.show()
  }

  close(): void {
    this.#sse.destroy()
  }
}
