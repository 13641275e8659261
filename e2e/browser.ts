import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { type BrowserContext, type CDPSession, chromium, type Page } from 'playwright'
import { findChromium } from '../scripts/chromium.mjs'
import { ownGroup } from './process-group'
import { until } from './until'

const FLAGS = [
  '--headless=new',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
  // The nginx of the tests signs for itself.
  '--ignore-certificate-errors',
  '--remote-debugging-port=0',
]

/**
 * A Chromium whose pages are hidden and shown as a person does it, by switching tabs.
 * Pages that Playwright launches itself are always "visible"; so this one is started by hand and only attached to.
 */
export interface Browser {
  readonly context: BrowserContext
  /** Opens a tab in front of the others, which hides them. */
  newPage(url?: string): Promise<Page>
  /** Switches to another tab; resolves when the page knows that it is hidden. */
  hide(page: Page): Promise<void>
  /** Switches to the tab, which also wakes a frozen page; resolves when the page knows that it is visible. */
  show(page: Page): Promise<void>
  /**
   * Hides the page and freezes it, as Chromium does with a tab long unseen. No timer and no event runs in it, but
   * `evaluate` does. A stream that is open meanwhile is dead ever after: it gets no data and no end.
   */
  freeze(page: Page): Promise<void>
  /** Wakes a frozen page, which stays hidden. */
  resume(page: Page): Promise<void>
  /** `navigator.onLine` is false for this page alone and new requests fail; a stream that is open goes on. */
  offline(page: Page): Promise<void>
  online(page: Page): Promise<void>
  /** Goes on to another page in the same tab. */
  leave(page: Page, url: string): Promise<void>
  /** Back to where `leave` came from. Answers whether that was out of the back/forward cache. */
  back(page: Page): Promise<boolean>
  /** Kills it, as a crash or the system does, and starts it again with what it has kept. */
  restart(): Promise<Browser>
  close(): Promise<void>
}

/** How a browser ends. */
type Ends = Pick<Browser, 'restart' | 'close'>

declare global {
  interface Window {
    /** Set by `leave`: what `pageshow` said of the page when it came back. */
    __persisted?: boolean
  }
}

async function launch(
  folder: string,
  args: string[],
): Promise<{ chromiumProcess: ChildProcess; address: string }> {
  const executable = findChromium()
  if (!executable)
    throw new Error('No Chromium found: node scripts/setup.mjs installs it or says what to do.')
  // A group of its own, so that `close` ends the helpers of the browser too.
  const chromiumProcess = spawn(executable, [...FLAGS, `--user-data-dir=${folder}`, ...args, 'about:blank'], {
    stdio: ['ignore', 'ignore', 'pipe'],
    detached: true,
  })
  const lines = createInterface({ input: chromiumProcess.stderr })
  const address = await new Promise<string>((resolve, reject) => {
    lines.on('line', (line) => {
      const found = /DevTools listening on (ws:\S+)/.exec(line)?.[1]
      if (found) resolve(found)
    })
    chromiumProcess.once('error', reject)
    chromiumProcess.once('exit', (code) =>
      reject(new Error(`Chromium ended with code ${code} before it listened.`)),
    )
  })
  return { chromiumProcess, address }
}

class OwnBrowser implements Browser {
  readonly context: BrowserContext
  readonly #ends: Ends
  /** The tab that is in front when a page is to be hidden. */
  readonly #curtain: Page
  readonly #sessions = new WeakMap<Page, Promise<CDPSession>>()
  readonly #cameFrom = new WeakMap<Page, string>()

  constructor(context: BrowserContext, curtain: Page, ends: Ends) {
    this.context = context
    this.#curtain = curtain
    this.#ends = ends
  }

  async newPage(url?: string): Promise<Page> {
    const page = await this.context.newPage()
    await this.show(page)
    if (url) await page.goto(url)
    return page
  }

  async hide(page: Page): Promise<void> {
    await this.#curtain.bringToFront()
    await until(() => page.evaluate(() => document.visibilityState === 'hidden'), 'the page to be hidden')
  }

  async show(page: Page): Promise<void> {
    await page.bringToFront()
    await until(() => page.evaluate(() => document.visibilityState === 'visible'), 'the page to be visible')
  }

  async freeze(page: Page): Promise<void> {
    // A page that is frozen while visible says "hidden" until the tab was switched twice.
    await this.hide(page)
    await (await this.#session(page)).send('Page.setWebLifecycleState', { state: 'frozen' })
  }

  async resume(page: Page): Promise<void> {
    await (await this.#session(page)).send('Page.setWebLifecycleState', { state: 'active' })
  }

  offline(page: Page): Promise<void> {
    return this.#network(page, true)
  }

  online(page: Page): Promise<void> {
    return this.#network(page, false)
  }

  async leave(page: Page, url: string): Promise<void> {
    this.#cameFrom.set(page, page.url())
    await page.evaluate(() => {
      addEventListener('pageshow', (event) => {
        window.__persisted = event.persisted
      })
    })
    await page.goto(url)
  }

  async back(page: Page): Promise<boolean> {
    const from = this.#cameFrom.get(page)
    // `page.goBack()` hangs: it waits for a load that a page out of the cache does not have.
    // Not at once: what asks for it is part of the page that goes.
    await page.evaluate(() => void setTimeout(() => history.back()))
    const arrived = () =>
      page
        .evaluate((url) => location.href === url && document.readyState === 'complete', from)
        .catch(() => false)
    await until(arrived, `the page to be back at ${from}`)
    return page.evaluate(() => window.__persisted === true)
  }

  restart(): Promise<Browser> {
    return this.#ends.restart()
  }

  close(): Promise<void> {
    return this.#ends.close()
  }

  #session(page: Page): Promise<CDPSession> {
    const session = this.#sessions.get(page) ?? this.context.newCDPSession(page)
    this.#sessions.set(page, session)
    return session
  }

  async #network(page: Page, offline: boolean): Promise<void> {
    const unlimited = { latency: 0, downloadThroughput: -1, uploadThroughput: -1 }
    await (await this.#session(page)).send('Network.emulateNetworkConditions', { offline, ...unlimited })
  }
}

/** @param args further command-line flags of Chromium */
export async function startBrowser(args: string[] = []): Promise<Browser> {
  return start(await mkdtemp(join(tmpdir(), 'tabwire-chromium-')), args)
}

async function start(folder: string, args: string[]): Promise<Browser> {
  const { chromiumProcess, address } = await launch(folder, args)
  const endBrowser = ownGroup(chromiumProcess)
  const attached = await chromium.connectOverCDP(address, { noDefaults: true })
  const [context] = attached.contexts()
  if (!context) throw new Error('Chromium has no default context.')
  // tsx marks named functions with a helper of this name, which the functions that run in a page would miss there.
  await context.addInitScript('globalThis.__name ??= (marked) => marked')
  const curtain = context.pages()[0] ?? (await context.newPage())
  return new OwnBrowser(context, curtain, {
    restart: async () => {
      await endBrowser()
      await attached.close()
      return start(folder, args)
    },
    close: async () => {
      await attached.close()
      await endBrowser()
      await rm(folder, { recursive: true, force: true, maxRetries: 5 })
    },
  })
}
