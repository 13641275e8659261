import { setTimeout as sleep } from 'node:timers/promises'
import type { Page } from 'playwright'
import type { Browser } from '../browser'
import type { FaultProxy } from '../proxy'
import type { ServerProcess } from '../server-process'
import type { Random } from '../soak/random'
import { until } from '../until'
import type { Api, Moment } from './child'
import { BELL, END, type Habits } from './page'

/** What all rows share. */
export interface Stage {
  readonly browser: Browser
  readonly proxy: FaultProxy
  readonly server: ServerProcess<Api>
  /** What the pages were shown, in their order. */
  readonly books: Map<Page, string[]>
}

/** What became of a promise: the number of acknowledgements, or the end of its process. */
export type Outcome = number | 'died'

/** ms */
const PATIENCE = 20_000

/** One message, and the user whom it is for. */
export class World {
  readonly stage: Stage
  readonly random: Random
  readonly user: string
  /** How many messages the store held when somebody looked, if not as many as before. */
  readonly held: number[] = []
  /** One for each time that the application sent. */
  readonly outcomes: Outcome[] = []
  /** Those that were killed, too. */
  readonly pages: Page[] = []
  readonly #gone = new Set<Page>()
  #sends = 0

  constructor(stage: Stage, random: Random, user: string) {
    this.stage = stage
    this.random = random
    this.user = user
  }

  /** Opens a tab in front of the others; resolves when it is connected. */
  async open(habits: Habits = {}): Promise<Page> {
    const { browser, proxy } = this.stage
    const yes = Object.keys(habits).map((habit) => [habit, 'yes'])
    const query = new URLSearchParams([['user', this.user], ...yes])
    const page = await browser.newPage(`${proxy.origin}/qos?${query}`)
    this.pages.push(page)
    await this.connected(page)
    return page
  }

  /** As if in a window of its own: both are seen. Whether such a one is covered is up to the system. */
  async openBeside(first: Page): Promise<Page> {
    const session = await first.context().newCDPSession(first)
    await session.send('Emulation.setFocusEmulationEnabled', { enabled: true })
    const second = await this.open()
    await this.connected(first)
    return second
  }

  async connected(page: Page): Promise<void> {
    await until(() => page.evaluate(() => window.sse?.isActive()), 'the page to be connected', PATIENCE)
  }

  /** The application sends the message. */
  send(): void {
    const at = this.#sends++
    const settle = (outcome: Outcome): void => {
      this.outcomes[at] = outcome
    }
    // The data tells whose it is.
    this.stage.server.call('qos', this.user, BELL, this.user).then(
      (count) => settle(count as number),
      () => settle('died'),
    )
  }

  /** Resolves when the promise of the last send is settled. */
  async settled(): Promise<void> {
    await until(() => this.outcomes[this.#sends - 1] !== undefined, 'the promise to be settled', PATIENCE)
  }

  /** Resolves when the store holds so many. */
  async holds(count: number): Promise<void> {
    const { server } = this.stage
    const isSo = async (): Promise<boolean> => (await server.call('pending', this.user)) === count
    await until(isSo, `the store to hold ${count}`, PATIENCE)
    if (this.held.at(-1) !== count) this.held.push(count)
  }

  /** Resolves when the application was shown it so often, by all pages in all. */
  async shown(count = 1): Promise<void> {
    const isSo = (): boolean => this.counts.reduce((sum, n) => sum + n, 0) >= count
    await until(isSo, `the message to be shown ${count} times`, PATIENCE)
  }

  /** How often each page has shown it. */
  get counts(): number[] {
    const { books } = this.stage
    return this.pages.map((page) => (books.get(page) ?? []).filter((what) => what === this.user).length)
  }

  sent(): Promise<number> {
    return this.stage.server.call('sent', this.user) as Promise<number>
  }

  /** Resolves when it was sent so often. */
  async isSent(times: number): Promise<void> {
    await until(async () => (await this.sent()) >= times, `the message to be sent ${times} times`, PATIENCE)
  }

  dieAt(moment: Moment): Promise<unknown> {
    return this.stage.server.call('dieAt', moment)
  }

  /** What was on the line is lost, and the line is whole again. */
  repair(): void {
    const { proxy } = this.stage
    proxy.cut()
    proxy.resume()
  }

  /** Crashes the page: nothing of it runs any more. */
  async crash(page: Page): Promise<void> {
    const crashed = page.waitForEvent('crash')
    const session = await page.context().newCDPSession(page)
    // There is nobody left to answer.
    session.send('Page.crash').catch(() => {})
    await crashed
    this.#gone.add(page)
  }

  async close(page: Page): Promise<void> {
    this.#gone.add(page)
    await page.close()
  }

  /** A random moment. @param most ms */
  async pause(most: number): Promise<void> {
    await sleep(this.random.next() * most)
  }

  /** Each living page is looked at till it has what is sent now, and so all that came before. */
  async settle(): Promise<void> {
    const { browser, server, books } = this.stage
    await this.holds(0)
    await this.settled()
    await server.call('send', this.user, END, '')
    for (const page of this.pages.filter((page) => !this.#gone.has(page))) {
      await browser.show(page)
      await until(() => books.get(page)?.includes(END), 'the page to be up to date', PATIENCE)
    }
  }

  async end(): Promise<void> {
    for (const page of this.pages) await page.close()
  }
}
