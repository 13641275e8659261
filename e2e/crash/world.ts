import { setTimeout as sleep } from 'node:timers/promises'
import type { Page } from 'playwright'
import type { Browser } from '../browser'
import type { FaultProxy } from '../proxy'
import type { Random } from '../soak/random'
import { until } from '../until'
import type { Backend } from './backend'
import type { Files } from './files'
import type { Draft } from './plan'
import { isIdle, kept, type Outcome, outcomesOf, prepare, type Send, send, troublesOf } from './tab'

/** What all rows share. */
export interface Stage {
  /** Another one after a row that kills it. */
  browser: Browser
  readonly backend: Backend
  readonly proxy: FaultProxy
  readonly files: Files
}

/** A person at a browser with some tabs. */
interface Tab {
  page: Page
  /** Who sends from here; the same for a tab that takes the place of another. */
  readonly from: number
}

const OPTIONS = { persist: true }
/** The longest delay before another attempt is 30 s. ms */
const PATIENCE = 120_000

/** Who gets an error page because the server is just dead loads it again. */
async function load(page: Page, go: () => Promise<unknown>): Promise<void> {
  const isLoaded = async (): Promise<boolean> => {
    await go()
    await prepare(page)
    return true
  }
  await until(isLoaded, 'the page to load', PATIENCE)
}

export class World {
  readonly stage: Stage
  readonly random: Random
  readonly user: string
  readonly sent: Send[] = []
  /** What became of the promises; `undefined`: their page is gone. */
  readonly outcomes = new Map<string, Outcome | null>()
  readonly troubles: string[] = []
  /** How often a fault has struck a page. */
  hits = 0
  /** The one in front is the last. */
  readonly #tabs: Tab[] = []
  readonly #places = new Map<string, number>()
  #tabCount = 0

  constructor(stage: Stage, random: Random, user: string) {
    this.stage = stage
    this.random = random
    this.user = user
  }

  get pages(): Page[] {
    return this.#tabs.map(({ page }) => page)
  }

  /** Opens another tab in front of the others. */
  async open(from = this.#tabCount++): Promise<void> {
    const { browser, proxy } = this.stage
    const page = await browser.newPage()
    await load(page, () => page.goto(proxy.page(this.user, OPTIONS)))
    this.#tabs.push({ page, from })
  }

  get front(): Page {
    return this.#frontTab.page
  }

  get #frontTab(): Tab {
    const tab = this.#tabs.at(-1)
    if (!tab) throw new Error('No tab is open.')
    return tab
  }

  /** The tab that was in front before comes to the front. */
  async switch(): Promise<void> {
    const [tab] = this.#tabs.splice(-2, 1)
    if (!tab) return
    this.#tabs.push(tab)
    await this.stage.browser.show(tab.page)
  }

  async reload(): Promise<void> {
    await this.#keepTroubles()
    const { front } = this
    await load(front, () => front.reload())
  }

  /** Closes the tab in front. */
  async close(): Promise<Tab | undefined> {
    await this.#keepTroubles()
    const tab = this.#tabs.pop()
    await tab?.page.close()
    const before = this.#tabs.at(-1)
    if (before) await this.stage.browser.show(before.page)
    return tab
  }

  async reopen(): Promise<void> {
    const closed = await this.close()
    await this.open(closed?.from)
  }

  async restartBrowser(): Promise<void> {
    await this.#keepTroubles()
    const { from } = this.#frontTab
    this.#tabs.length = 0
    this.stage.browser = await this.stage.browser.restart()
    await this.open(from)
  }

  /** Sends from the tab in front. */
  async send(share: readonly Draft[]): Promise<void> {
    const { page, from } = this.#frontTab
    const sends = share.map((draft) => this.#place(draft, from))
    this.sent.push(...sends)
    await send(page, sends, this.stage.files)
  }

  /** Resolves when what was sent from the tab in front would survive it. */
  async kept(): Promise<void> {
    const { page, from } = this.#frontTab
    const sends = this.sent.filter((one) => one.from === from)
    await until(() => this.#areKept(page, sends), 'all to be kept', PATIENCE)
  }

  #place(draft: Draft, from: number): Send {
    const place = `${from} ${draft.lane}`
    const n = (this.#places.get(place) ?? 0) + 1
    this.#places.set(place, n)
    return { ...draft, from, n, key: `${this.user}-${from}-${draft.lane}-${n}` }
  }

  /** Nothing leaves before it is kept, so what has had an effect was. */
  async #areKept(page: Page, sends: readonly Send[]): Promise<boolean> {
    const safe = new Set(await kept(page))
    const missing = sends.filter(({ key }) => !safe.has(key))
    if (!missing.length) return true
    const done = new Set(
      this.stage.backend.journal.read().flatMap((line) => ('key' in line ? [line.key] : [])),
    )
    return missing.every(({ key }) => done.has(key))
  }

  /** A random moment. @param most ms */
  async pause(most: number): Promise<void> {
    await sleep(this.random.next() * most)
  }

  /** Resolves when what was prepared has struck, or nothing is under way that it could strike. */
  async struck(count: () => number, before: number): Promise<void> {
    const isOver = async (): Promise<boolean> => count() > before || (await isIdle(this.front))
    await until(isOver, 'the fault to strike', PATIENCE)
  }

  /** All that can be done by a person: each tab is looked at until nothing is under way there. */
  async settle(): Promise<void> {
    for (const _ of this.#tabs) {
      await this.switch()
      const { front } = this
      await until(() => isIdle(front), 'all to be settled', PATIENCE)
    }
    await until(async () => (await kept(this.front)).length === 0, 'nothing to be kept', PATIENCE)
  }

  /** Reads the books of the pages. */
  async audit(): Promise<string[]> {
    await this.#keepTroubles()
    for (const page of this.pages)
      for (const [key, outcome] of Object.entries(await outcomesOf(page))) this.outcomes.set(key, outcome)
    return kept(this.front)
  }

  async end(): Promise<void> {
    for (const page of this.pages) await page.close()
  }

  async #keepTroubles(): Promise<void> {
    for (const page of this.pages) this.troubles.push(...(await troublesOf(page)))
  }
}
