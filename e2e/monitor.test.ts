import assert from 'node:assert/strict'
import http from 'node:http'
import { after, before, describe, it } from 'node:test'
import type { Page } from 'playwright'
import { BASE, type Browser, startBrowser, startServer, type TestServer, until } from './harness'

const HOSTILE = '<img src=x onerror="window.hacked=true">'
const NAMES: Record<string, string> = { op: 'Olive', 1: 'Ann', 2: 'Bob', 3: HOSTILE, 4: 'Zoe' }

/** Somebody whose page is elsewhere. */
function visit(server: TestServer, user: number): { text: string; leave(): void } {
  const visitor = { text: '', leave: () => void request.destroy() }
  const url = `${server.origin}${BASE}/connect?user=${user}`
  const request = http.get(url, { agent: false }, (response) => {
    response.setEncoding('utf8').on('data', (chunk) => {
      visitor.text += chunk
    })
    response.on('error', () => {})
  })
  request.on('error', () => {})
  return visitor
}

describe('the monitor', () => {
  let browser: Browser
  let server: TestServer
  let page: Page
  const faults: string[] = []
  before(async () => {
    browser = await startBrowser()
    server = await startServer(() => ({
      getUser: ({ query: { user } }) => {
        const name = NAMES[String(user)]
        return name === undefined ? null : { id: String(user), name }
      },
      admin: ({ id }) => id === 'op',
    }))
  })
  after(async () => {
    await browser.close()
    await server.close()
  })

  const address = (user: string, base = BASE): string => `${server.origin}${base}/monitor?user=${user}`
  const open = async (url: string): Promise<void> => {
    page = await browser.newPage()
    page.on('pageerror', (error) => void faults.push(String(error)))
    page.on('console', (line) => void faults.push(line.text()))
    await page.goto(url)
  }
  const names = (): Promise<string[]> => page.locator('#people .name').allInnerTexts()
  const showsNames = (expected: string[]): Promise<unknown> =>
    until(
      async () => (await names()).sort().join() === expected.sort().join(),
      `the page to show ${expected}`,
    )
  const figure = async (label: string): Promise<string> =>
    page.locator('#figures div', { hasText: label }).locator('dd').innerText()
  const isLive = (): Promise<unknown> =>
    until(async () => (await page.locator('#state').innerText()) === 'Live', 'the page to be live')

  it('shows who comes and goes, what is sent, and disconnects a user when asked twice', async () => {
    const [ann, bob] = [1, 2, 3].map((user) => visit(server, user))
    await open(address('op'))
    await isLive()
    await showsNames(['Olive', 'Ann', 'Bob', HOSTILE])
    assert.equal(await page.evaluate(() => 'hacked' in window), false)
    assert.equal(await page.locator('table img').count(), 0)

    bob?.leave()
    visit(server, 4)
    await showsNames(['Olive', 'Ann', 'Zoe', HOSTILE])
    assert.equal(await figure('Users'), '4')

    const canvas = () => page.locator('#plot canvas').evaluate((it) => (it as HTMLCanvasElement).toDataURL())
    const drawn = await canvas()
    await until(async () => {
      await server.sse.sendAll('test', 'x')
      return /[1-9]/.test(await figure('Delivered'))
    }, 'the events per second')
    await until(async () => (await canvas()) !== drawn, 'the plot to go on')

    const button = page.getByRole('button', { name: 'Disconnect Ann' })
    await button.click()
    await page.getByRole('button', { name: 'Cancel' }).click()
    await until(() => button.evaluate((it) => it === document.activeElement), 'the focus to be back')
    assert.doesNotMatch(ann?.text ?? '', /connect-close/)
    await button.click()
    await page.getByRole('dialog').getByRole('button', { name: 'Disconnect' }).click()
    await until(() => ann?.text.includes('"reason":"server-close"'), 'Ann to be told')
    await showsNames(['Olive', 'Zoe', HOSTILE])

    await page.getByRole('searchbox').fill('zo')
    await showsNames(['Zoe'])
    await page.getByRole('searchbox').fill('nobody')
    await until(
      async () => (await page.locator('#people-pager').innerText()) === 'Nobody of that name is online.',
      'the page to say so',
    )
  })

  it('is away while nobody looks, like any page, and goes on then', async () => {
    await until(async () => (await figure('Connections')) === '3', 'the figures to be as they are')
    await browser.hide(page)
    await until(async () => !(await server.sse.isOnline('op')), 'the operator to be away')
    visit(server, 2)
    await until(() => server.sse.isOnline('2'), 'Bob to be there')
    assert.equal(await figure('Connections'), '3')
    await browser.show(page)
    await isLive()
    await until(async () => (await figure('Connections')) === '4', 'new figures')
  })

  it('fits a phone, and a place behind another path', async () => {
    await page.close()
    server.app.use('/behind/a/path', server.sse.router)
    await open(address('op', '/behind/a/path'))
    await page.setViewportSize({ width: 360, height: 740 })
    await isLive()
    await showsNames(['Olive', 'Bob', 'Zoe', HOSTILE])
    const widths = await page.evaluate(() => [
      document.documentElement.scrollWidth,
      document.documentElement.clientWidth,
    ])
    assert.ok((widths[0] ?? 0) <= (widths[1] ?? 0), String(widths))
    assert.deepEqual(faults, [])
  })

  it('is closed to who is no operator, and to nobody', async () => {
    assert.equal((await page.goto(address('4')))?.status(), 403)
    assert.equal((await page.goto(address('')))?.status(), 401)
    await page.close()
  })
})
