import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'
import type { Page } from 'playwright'
import { type Browser, never, startBrowser, startServer, type TestServer, until } from './harness'

describe('a page in a real browser', () => {
  let browser: Browser
  let server: TestServer
  let user = 0
  before(async () => {
    browser = await startBrowser()
    server = await startServer(() => ({ reconnectTime: 200 }))
  })
  after(async () => {
    await browser.close()
    await server.close()
  })
  beforeEach(() => {
    user++
    server.before.length = 0
  })

  const state = (page: Page): Promise<number | undefined> => page.evaluate(() => window.sse?.state)
  const isOnline = (): Promise<boolean> => server.sse.isOnline(user)
  const streams = async (): Promise<number> => (await server.sse.getConnections({ userId: user })).length
  const connects = (): number =>
    server.requests.filter(({ path, query }) => path.endsWith('/connect') && query['user'] === String(user))
      .length

  async function open(options: Record<string, unknown> = {}): Promise<Page> {
    const page = await browser.newPage(server.page(user, options))
    await until(async () => (await state(page)) === 1, 'the page to be connected')
    return page
  }

  it('is offline within a second of being hidden, and online again when shown', async () => {
    const page = await open()
    assert.equal(await isOnline(), true)
    await browser.hide(page)
    await until(async () => !(await isOnline()), 'the server to see the user offline', 1000)
    await browser.show(page)
    await until(isOnline, 'the server to see the user online')
    await page.close()
  })

  it('tells the server why it left, and for how long the person was at it', async () => {
    const heard: [reason: string, seconds: number][] = []
    const off = server.sse.onDisconnect((connection, reason) => {
      if (connection.userId === String(user)) heard.push([reason, connection.sessionDuration])
    })
    const page = await open()
    await server.sse.setDurationByUserId(user, 120)
    await until(
      () => page.evaluate(() => sessionStorage.getItem('sseDuration/sse/test') === '120'),
      'the duration',
    )
    await browser.hide(page)
    await until(() => heard.length, 'the goodbye')
    const [[reason, seconds] = ['', 0]] = heard
    assert.equal(reason, 'visibilitychange')
    assert.ok(seconds >= 120, String(seconds))
    off()
    await page.close()
  })

  it('ends connected with exactly one stream after 50 quick hides and shows', async () => {
    const page = await open()
    for (let flip = 0; flip < 50; flip++) await (flip % 2 ? browser.show(page) : browser.hide(page))
    await until(async () => (await state(page)) === 1 && (await streams()) === 1, 'one stream')
    await never(async () => (await streams()) !== 1, 'another stream, or none', 1000)
    await page.close()
  })

  it('opens nothing when it is hidden during the wait for a retry, and connects when shown', async () => {
    const page = await open({ reconnectTime: 400 })
    server.before.push((req, res, next) =>
      req.path.endsWith('/connect') ? void res.status(503).end() : next(),
    )
    await server.sse.disconnectByUserId(user)
    await until(() => connects() === 2, 'the attempt that is refused')
    await browser.hide(page)
    server.before.length = 0
    await never(isOnline, 'a hidden page connects', 1200)
    assert.equal(connects(), 2)
    await browser.show(page)
    await until(isOnline, 'the page to be back')
    await page.close()
  })

  it('stays closed when it was closed, however often it is hidden and shown, until connect()', async () => {
    const page = await open()
    await page.evaluate(() => window.sse.close())
    for (let flip = 0; flip < 4; flip++) await (flip % 2 ? browser.show(page) : browser.hide(page))
    await never(isOnline, 'a closed page connects', 1000)
    await page.evaluate(() => window.sse.connect())
    await until(isOnline, 'the page to be connected')
    await page.close()
  })

  it('lets go when it is frozen and returns when it is resumed, even if it connects while hidden', async () => {
    const page = await open({ connectWhenHidden: true })
    await browser.hide(page)
    assert.equal(await isOnline(), true)
    await browser.freeze(page)
    await until(async () => !(await isOnline()), 'the frozen page to be offline')
    await browser.resume(page)
    await until(isOnline, 'the resumed page to be online')
    await page.close()
  })

  it('comes out of the back/forward cache connected', async () => {
    const page = await open()
    await browser.leave(page, `${server.origin}/other`)
    await until(async () => !(await isOnline()), 'the page that was left to be offline')
    const wasCached = await browser.back(page)
    assert.equal(wasCached, true, 'the page was eligible for the back/forward cache')
    await until(
      async () => (await state(page)) === 1 && (await streams()) === 1,
      'the page to be connected again',
    )
    await page.close()
  })

  it('disconnects when the network is gone and connects when it is back', async () => {
    const page = await open()
    await browser.offline(page)
    await until(async () => (await state(page)) === 2, 'the page to be closed')
    await browser.online(page)
    await until(async () => (await state(page)) === 1, 'the page to be open')
    await page.close()
  })

  it('stays connected when a download, a 204 or a mailto link is clicked', async () => {
    const page = await open()
    const id = await page.evaluate(() => window.sse.connectionId)
    for (const href of ['/download', '/nothing', 'mailto:a@example.org']) {
      await page.evaluate((target) => {
        const link = document.createElement('a')
        link.href = target
        document.body.append(link)
        link.click()
      }, href)
    }
    const fetched = (path: string): boolean => server.requests.some((request) => request.path === path)
    await until(() => fetched('/download') && fetched('/nothing'), 'both links to be followed')
    await never(async () => (await streams()) !== 1, 'the connection is lost', 500)
    assert.equal(await page.evaluate(() => window.sse.connectionId), id)
    await page.close()
  })

  it('says goodbye when its tab is closed', async () => {
    const page = await open()
    await page.close({ runBeforeUnload: true })
    await until(async () => !(await isOnline()), 'the user of the closed tab to be offline', 1000)
  })

  it('has several connections for several visible windows of one user, and each its own', async () => {
    const first = await open({ connectWhenHidden: true })
    const second = await open({ connectWhenHidden: true })
    assert.equal(await streams(), 2)
    await first.close()
    await until(async () => (await streams()) === 1, 'one of two to be left')
    assert.equal(await isOnline(), true)
    await second.close()
  })
})
