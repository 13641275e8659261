import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Page } from 'playwright'
import {
  BASE,
  type Browser,
  never,
  startBrowser,
  startServer,
  startServerProcess,
  type TestServer,
  until,
} from './harness'

const state = (page: Page): Promise<number | undefined> => page.evaluate(() => window.sse?.state)

describe('a line to a server', () => {
  let browser: Browser
  let server: TestServer
  let reconnectTime = 200
  before(async () => {
    browser = await startBrowser()
    server = await startServer(() => ({
      reconnectTime,
      origins: [server?.origin ?? ''].filter(Boolean),
    }))
  })
  after(async () => {
    await browser.close()
    await server.close()
  })

  it('is back soon after the process of the server was killed and started anew', async () => {
    const victim = await startServerProcess()
    const page = await browser.newPage(victim.page(1, { reconnectTime: 500 }))
    await until(async () => (await state(page)) === 1, 'the page to be connected')
    await victim.kill()
    await until(async () => (await state(page)) === 0, 'the page to notice')
    await victim.restart()
    await until(async () => (await state(page)) === 1, 'the page to be back')
    assert.equal(await victim.call('sendByUserId', 1, 'test', 'again'), 1)
    await until(
      () => page.evaluate(() => window.came.some(({ data }) => data === 'again')),
      'an event after it',
    )
    await page.close()
    await victim.close()
  })

  it('is dialled by 50 clients at 50 different moments, not by all at once', async (t) => {
    reconnectTime = 1000
    t.after(() => {
      reconnectTime = 200
      return server.restart()
    })
    // 50 hosts, because a browser opens six connections to one. The first start did not know its own port.
    await server.restart()
    const page = await browser.newPage(`${server.origin}/other`)
    await page.evaluate(
      async ({ base, port }) => {
        const { default: Sse } = await import(base)
        const all = Array.from({ length: 50 }, (_, i) => {
          const url = `http://h${i}.localhost:${port}${base}`
          return new Sse({ url, query: { user: 'herd', i }, clientId: `client ${i}` })
        })
        Object.assign(window, { all })
      },
      { base: BASE, port: server.port },
    )
    const count = async (): Promise<number> => (await server.sse.getConnections({ userId: 'herd' })).length
    await until(async () => (await count()) === 50, '50 clients to be connected')
    const before = server.requests.length
    await server.restart()
    await until(async () => (await count()) === 50, '50 clients to be back', 20_000)
    const arrivals = server.requests
      .slice(before)
      .filter(({ path, method }) => path === `${BASE}/connect` && method === 'GET')
    const first = Math.min(...arrivals.map(({ at }) => at))
    const histogram = Array<number>(20).fill(0)
    for (const { at } of arrivals) {
      const bucket = Math.min(19, Math.floor((at - first) / 100))
      histogram[bucket] = (histogram[bucket] ?? 0) + 1
    }
    t.diagnostic(`arrivals in steps of 100 ms: ${histogram.join(' ')}`)
    assert.ok(Math.max(...histogram) <= 20, `no herd: ${histogram.join(' ')}`)
    assert.ok(histogram.filter(Boolean).length >= 6, `spread over the second: ${histogram.join(' ')}`)
    await page.close()
  })

  for (const status of [204, 401, 403, 404]) {
    it(`is given up after ${status}, with a typed error, until connect()`, async () => {
      const page = await browser.newPage(`${server.origin}/page?user=fatal`)
      await until(async () => (await state(page)) === 1, 'the page to be connected')
      const before = server.count('/connect')
      server.before.push((req, res, next) =>
        req.path === `${BASE}/connect` ? void res.status(status).end() : next(),
      )
      await server.sse.disconnectByUserId('fatal')
      await until(async () => (await state(page)) === 2, 'the page to give up')
      await never(() => server.count('/connect') > before + 1, 'another attempt', 600)
      const error = await page.evaluate(() => {
        const { data } = window.came.findLast(({ type }) => type === 'sse-state') as {
          data: { error: { name: string; status: number } }
        }
        return { name: data.error.name, status: data.error.status }
      })
      assert.deepEqual(error, { name: 'ConnectError', status })
      server.before.length = 0
      await page.evaluate(() => window.sse.connect())
      await until(async () => (await state(page)) === 1, 'the page to be connected again')
      await page.close()
    })
  }

  it('is ended by the server: the page knows it, and comes back if it is visible and allowed', async () => {
    const page = await browser.newPage(server.page('kicked'))
    await until(async () => (await state(page)) === 1, 'the page to be connected')
    const id = await page.evaluate(() => window.sse.connectionId)
    const [connection] = await server.sse.getConnections({ userId: 'kicked' })
    assert.equal(await server.sse.disconnectByConnectionId(String(connection?.id)), 1)
    await until(
      async () => (await state(page)) === 1 && (await page.evaluate(() => window.sse.connectionId)) !== id,
      'the page to be back',
    )
    assert.equal(
      await page.evaluate(() => window.came.filter(({ type }) => type === 'connect-close').length),
      1,
    )
    await page.close()
  })

  it('is taken from the oldest of too many windows, which stays away until it is shown again', async () => {
    const pages: Page[] = []
    for (let n = 0; n < 4; n++) {
      const page = await browser.newPage(server.page('many', { connectWhenHidden: true }))
      await until(async () => (await state(page)) === 1, 'the page to be connected')
      pages.push(page)
    }
    const [oldest] = pages as [Page]
    await until(async () => (await state(oldest)) === 2, 'the oldest to be sent away')
    await never(async () => (await state(oldest)) !== 2, 'the oldest fights for its place', 600)
    await browser.show(oldest)
    await until(async () => (await state(oldest)) === 1, 'the oldest to be back')
    await until(
      async () => (await server.sse.getConnections({ userId: 'many' })).length === 3,
      'three to be left',
    )
    for (const page of pages) await page.close()
  })

  it('is refused to a page of a foreign origin', async () => {
    const answers: string[] = []
    server.before.push((req, res, next) => {
      const { method, path, query } = req
      if (query['user'] === 'victim')
        res.once('finish', () => answers.push(`${method} ${path} ${res.statusCode}`))
      next()
    })
    const page = await browser.newPage(`http://foreign.localhost:${server.port}/other`)
    await page.evaluate(async (url) => {
      new EventSource(`${url}/connect?user=victim`)
      await fetch(`${url}/connect/disconnect.do?user=victim`, {
        method: 'POST',
        mode: 'no-cors',
        body: 'connectionId=x',
      })
    }, server.origin + BASE)
    await until(() => answers.length === 2, 'both attempts to be answered')
    assert.deepEqual(answers.sort(), [`GET ${BASE}/connect 403`, `POST ${BASE}/connect/disconnect.do 403`])
    server.before.length = 0
    await page.close()
  })
})
