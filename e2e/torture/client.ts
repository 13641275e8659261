import Sse, { type SseEvent } from 'tabwire'
import { createStorage, Tab } from '../soak/tab'
import type { Books } from './books'

/** How many of its requests may wait for their answers. */
const MOST_ASKED = 5
const LANES = 3

/** A person's tab with a page that has our client. */
export class TortureClient {
  readonly name: string
  readonly user: string
  readonly #books: Books
  readonly #tab: Tab
  readonly #sse: Sse
  #asked = 0

  constructor(name: string, user: string, url: string, books: Books) {
    this.name = name
    this.user = user
    this.#books = books
    const fail = (what: string): void => books.violate(`${name}: ${what}`)
    this.#tab = new Tab(createStorage(), {
      onRequest: () => {},
      onError: (error) => fail(`an error was reported: ${error}`),
    })
    const shown = ({ type, json }: SseEvent): void =>
      books.shown(name, user, (json as { n: number }).n, type === 'sure')
    this.#sse = new Sse(
      {
        ...{ url, query: { user }, useWindowEventBus: false, leaveCheckInterval: 60_000 },
        eventListeners: {
          ...{ plain: shown, sure: shown },
          'sse-gap': ({ data }: SseEvent<unknown>) => fail(`a gap: ${JSON.stringify(data)}`),
        },
      },
      this.#tab.load(),
    )
  }

  get isOpen(): boolean {
    return this.#sse.isActive()
  }

  /** Lets it come back and send at once, instead of after its delays. */
  wake(): void {
    this.#tab.onWindow('online')
    this.#sse.flush()
  }

  hide(): void {
    this.#tab.hide()
  }

  show(): void {
    this.#tab.show()
  }

  /** Sends a request that has an effect, which must come once. */
  async ask(n: number): Promise<void> {
    if (this.#asked >= MOST_ASKED) return
    this.#asked++
    this.#books.asked(n)
    try {
      const options = { key: `key-${n}`, lane: String(n % LANES) }
      const { status } = await this.#sse.send('effect', { n }, undefined, undefined, options)
      this.#books.answered(n, status)
    } catch (error) {
      this.#books.violate(`request ${n} failed: ${error}`)
    }
    this.#asked--
  }

  close(): void {
    this.#sse.destroy()
  }
}
