import type { Page } from 'playwright'
import {
  type Browser,
  type FaultProxy,
  startBrowser,
  startProxy,
  startServer,
  type TestServer,
  until,
} from '../harness'

export interface Amounts {
  reloads: number
  reconnects: number
  goodbyes: number
  hides: number
  cuts: number
  /** `disconnectGrace` and `reconnectTime` of the service, ms. Default: the service's own. */
  grace?: number | undefined
  reconnectTime?: number | undefined
  /** ms that the line takes each way. Default 0. */
  delay?: number | undefined
}

/** What was done to pages, what was true of them, and what the application heard and read. */
export interface Row {
  readonly what: string
  readonly times: number
  /** How many left for good, and why. */
  readonly truth: Record<string, number>
  /** The offline notices by reason, without that of a tab that is closed when the row is over. */
  readonly offline: Record<string, number>
  /** The online notices: who came, and who came back. */
  readonly online: { readonly came: number; readonly returned: number }
  /** What `getPresence` answered after each. */
  readonly states: Record<string, number>
  /** What it should have. */
  readonly state: string
}

const ROWS = ['reloads', 'reconnects', 'goodbyes', 'hides', 'cuts'] as const

interface Notice {
  readonly user: string
  readonly id: string
  readonly reason: string
}

function tally(words: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const word of words) counts[word] = (counts[word] ?? 0) + 1
  return counts
}

/** One browser, one service, and a line between them that can be cut. */
class Stage {
  readonly #browser: Browser
  readonly #server: TestServer
  readonly #proxy: FaultProxy
  readonly #offline: Notice[] = []
  readonly #online: { user: string; isReturn: boolean }[] = []

  constructor(browser: Browser, server: TestServer, proxy: FaultProxy) {
    this.#browser = browser
    this.#server = server
    this.#proxy = proxy
    server.sse.onConnect(({ userId }, { isReturn }) => this.#online.push({ user: String(userId), isReturn }))
    server.sse.onDisconnect(({ id, userId }, reason) =>
      this.#offline.push({ user: String(userId), id, reason }),
    )
  }

  async close(): Promise<void> {
    await this.#browser.close()
    await this.#proxy.close()
    await this.#server.close()
  }

  reloads(times: number): Promise<Row> {
    return this.#comingBack('reloads', times, async (page) => void (await page.reload()))
  }

  reconnects(times: number): Promise<Row> {
    return this.#comingBack('quick reconnects', times, () => this.#proxy.cut())
  }

  goodbyes(times: number): Promise<Row> {
    return this.#leaving('closed tabs', times, 'pagehide', 'gone', closeTab)
  }

  hides(times: number): Promise<Row> {
    return this.#leaving('hidden tabs', times, 'visibilitychange', 'hidden', (page) =>
      this.#browser.hide(page),
    )
  }

  cuts(times: number): Promise<Row> {
    return this.#leaving('lines that stay cut', times, 'lost', 'lost', async () => {
      await this.#proxy.refuse(true)
      this.#proxy.cut()
    })
  }

  /** One page, to which it is done again and again. */
  async #comingBack(what: string, times: number, act: (page: Page) => unknown): Promise<Row> {
    const page = await this.#open(what)
    const states: string[] = []
    for (let n = 0; n < times; n++) {
      const id = await this.#idOf(page)
      await act(page)
      await until(async () => ![undefined, id].includes(await this.#idOf(page)), 'the page to be back')
      states.push(await this.#server.sse.getPresence(what))
      await this.#useLine(page, what, String(n))
    }
    const last = await this.#idOf(page)
    await closeTab(page)
    const mine = () => this.#offline.filter(({ user }) => user === what)
    // When this is told, all that ended before has been told as well.
    await until(() => mine().some(({ id }) => id === last), 'the end to be told')
    const offline = tally(mine().flatMap(({ id, reason }) => (id === last ? [] : [reason])))
    return {
      what,
      times,
      truth: {},
      offline,
      online: this.#onlineOf([what]),
      states: tally(states),
      state: 'visible',
    }
  }

  /** Pages of different users, which leave and do not come back. */
  async #leaving(
    what: string,
    times: number,
    reason: string,
    state: string,
    act: (page: Page) => Promise<void>,
  ): Promise<Row> {
    const users = Array.from({ length: times }, (_, n) => `${what} ${n}`)
    const states: string[] = []
    for (const user of users) {
      const page = await this.#open(user)
      await act(page)
      await until(() => this.#offline.some((notice) => notice.user === user), 'the end to be told')
      states.push(await this.#server.sse.getPresence(user))
      await page.close()
      await this.#proxy.refuse(false)
    }
    const offline = tally(
      this.#offline.flatMap((notice) => (users.includes(notice.user) ? [notice.reason] : [])),
    )
    return {
      what,
      times,
      truth: { [reason]: times },
      offline,
      online: this.#onlineOf(users),
      states: tally(states),
      state,
    }
  }

  async #open(user: string): Promise<Page> {
    const page = await this.#browser.newPage(this.#proxy.page(user))
    await until(() => this.#idOf(page), 'the page to be connected')
    return page
  }

  /** A client that is cut off again and again before anything came takes its time. */
  async #useLine(page: Page, user: string, data: string): Promise<void> {
    await this.#server.sse.sendByUserId(user, 'test', data)
    const came = () => page.evaluate((sent) => window.came.some((event) => event.data === sent), data)
    await until(came, 'an event')
  }

  #idOf(page: Page): Promise<string | undefined> {
    return page.evaluate(() => window.sse?.connectionId)
  }

  #onlineOf(users: readonly string[]): Row['online'] {
    const mine = this.#online.filter(({ user }) => users.includes(user))
    const returned = mine.filter(({ isReturn }) => isReturn).length
    return { came: mine.length - returned, returned }
  }
}

/** As a person does it: the page hears that it goes. */
async function closeTab(page: Page): Promise<void> {
  const closed = page.waitForEvent('close')
  await page.close({ runBeforeUnload: true })
  await closed
}

/** A row when it is done. */
export async function* presence(amounts: Amounts): AsyncGenerator<Row> {
  const { grace: disconnectGrace, reconnectTime } = amounts
  const server = await startServer(() => ({ disconnectGrace, reconnectTime }))
  const proxy = await startProxy(server.port)
  proxy.delay(amounts.delay ?? 0)
  const stage = new Stage(await startBrowser(), server, proxy)
  try {
    for (const row of ROWS) if (amounts[row] > 0) yield await stage[row](amounts[row])
  } finally {
    await stage.close()
  }
}

/** What in a row is not as it should be; nothing, if all is well. */
export function wrongIn({ times, truth, offline, online, states, state }: Row): string {
  const isComingBack = Object.keys(truth).length === 0
  const expected = {
    offline: truth,
    online: isComingBack ? { came: 1, returned: times } : { came: times, returned: 0 },
    states: { [state]: times },
  }
  const found = { offline, online, states }
  const [wanted, got] = [JSON.stringify(expected), JSON.stringify(found)]
  return wanted === got ? '' : `expected ${wanted}, not ${got}`
}
