import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { RequestHandler } from 'express'
import type { Page } from 'playwright'
import { type Browser, startBrowser, startServer, type TestServer, until } from './harness'

describe('what a page sends', () => {
  let browser: Browser
  let server: TestServer
  const arrived: string[] = []
  /** End what holds up the first message of the path `held`. */
  const holding: (() => void)[] = []
  before(async () => {
    browser = await startBrowser()
    server = await startServer(() => ({
      reconnectTime: 200,
      uploadLimit: 1_000_000,
      onMessage: async (path, _connection, message) => {
        const { n } = message as { n: number }
        if (path === 'held' && n === 0) await new Promise<void>((resolve) => holding.push(resolve))
        arrived.push(`${path} ${n}`)
        return 'ok'
      },
      onUpload: (path, _connection, message, files) => {
        arrived.push(
          `${path} ${(message as { n: string }).n} ${files.map(({ name, size }) => `${name} ${size}`)}`,
        )
        return 'ok'
      },
    }))
  })
  after(async () => {
    await browser.close()
    await server.close()
  })

  /** Sends or uploads `count` in the page, at once after making a client if it is to be a `fresh` one. Answers its state. */
  const post = (page: Page, kind: 'send' | 'upload', from: number, count: number, fresh = false) =>
    page.evaluate(
      async ({ kind, from, count, fresh }) => {
        if (fresh) window.sse.destroy()
        if (fresh) window.sse = await window.start({})
        const keeper = window as unknown as { outcomes?: string[] }
        keeper.outcomes ??= []
        const { outcomes } = keeper
        for (let n = from; n < from + count; n++) {
          const form = new FormData()
          form.set('n', String(n))
          form.set('file', new File([new Uint8Array(1000 + n)], `fil\u00e9 ${n}.bin`))
          const sent = kind === 'send' ? window.sse.send('x', { n }) : window.sse.upload('x', form)
          sent.then(
            ({ status }) => outcomes.push(`${n} ${status}`),
            ({ name }) => outcomes.push(`${n} ${name}`),
          )
        }
        return window.sse.state
      },
      { kind, from, count, fresh },
    )

  for (const [kind, count] of [
    ['send', 100],
    ['upload', 20],
  ] as const) {
    it(`arrives in order, every promise settled: ${count} ${kind}s before connect, ${count} while hidden, ${count} while the server is down`, async () => {
      arrived.length = 0
      const page = await browser.newPage(`${server.origin}/page?user=${kind}`)
      await page.evaluate(() => window.ready)
      assert.equal(await post(page, kind, 0, count, true), 0, 'not connected yet')
      await until(() => arrived.length === count, 'those sent before connect')

      await browser.hide(page)
      await until(async () => !(await server.sse.isOnline(kind)), 'the page to be offline')
      await post(page, kind, count, count)
      await browser.show(page)
      await until(() => arrived.length === 2 * count, 'those sent while hidden')

      // Until each is answered: what is cut off between effect and answer is sent again, and would arrive twice.
      const outcomes = () => page.evaluate(() => (window as unknown as { outcomes: string[] }).outcomes)
      await until(async () => (await outcomes()).length === 2 * count, 'the answers')
      await server.kill()
      await post(page, kind, 2 * count, count)
      await until(async () => (await page.evaluate(() => window.sse.state)) === 0, 'the page to notice')
      await server.restart()
      await until(() => arrived.length === 3 * count, 'those sent while the server was down', 30_000)

      const numbers = Array.from({ length: 3 * count }, (_, n) => n)
      const text = (n: number): string => (kind === 'send' ? `x ${n}` : `x ${n} filé ${n}.bin ${1000 + n}`)
      assert.deepEqual(arrived, numbers.map(text))
      await until(async () => (await outcomes()).length === 3 * count, 'every promise to settle')
      assert.deepEqual(
        await outcomes(),
        numbers.map((n) => `${n} 200`),
      )
      await page.close()
    })
  }

  it('arrives once although the page goes on to another one while it still waits', async () => {
    arrived.length = 0
    const page = await browser.newPage(server.page('gone'))
    await page.evaluate(() => window.ready)
    await page.evaluate(() => void window.sse.send('held', { n: 0 }))
    await until(() => holding.length > 0, 'the first to be under way')
    await page.evaluate(async () => {
      for (let n = 1; n < 5; n++) void window.sse.send('held', { n })
      await new Promise((resolve) => setTimeout(resolve))
      window.location.href = '/page?user=next'
    })
    await until(() => server.sse.isOnline('next'), 'the next page')
    for (const release of holding.splice(0)) release()
    await until(() => arrived.length >= 5, 'what was sent last')
    assert.deepEqual(
      arrived,
      [0, 1, 2, 3, 4].map((n) => `held ${n}`),
    )
    await page.close()
  })

  it('needs a part that is loaded once, with the first send, and never by a page that only listens', async () => {
    const before = server.count('/outbox.js')
    const page = await browser.newPage(server.page('part'))
    await page.evaluate(() => window.ready)
    await until(() => page.evaluate(() => window.sse.isActive()), 'the page to be connected')
    await server.sse.sendByUserId('part', 'test', 1)
    await until(() => page.evaluate(() => window.came.some(({ type }) => type === 'test')), 'the event')
    assert.equal(server.count('/outbox.js') - before, 0)
    await page.evaluate(async () => {
      for (let n = 0; n < 3; n++) await window.sse.send('x', { n })
      const second = await window.start({})
      await second.send('x', { n: 3 })
      second.destroy()
    })
    assert.equal(server.count('/outbox.js') - before, 1)
    await page.close()
  })

  it('goes out in order also if its part could not be loaded at first', async () => {
    arrived.length = 0
    let failures = 2
    const fail: RequestHandler = ({ path }, res, next) => {
      if (path.endsWith('/outbox.js') && failures-- > 0) res.status(503).end()
      else next()
    }
    server.before.push(fail)
    const page = await browser.newPage(server.page('late'))
    await page.evaluate(() => window.ready)
    const statuses = await page.evaluate(() =>
      Promise.all([0, 1, 2].map((n) => window.sse.send('late', { n }).then(({ status }) => status))),
    )
    server.before.splice(server.before.indexOf(fail), 1)
    assert.deepEqual(statuses, [200, 200, 200])
    assert.deepEqual(arrived, ['late 0', 'late 1', 'late 2'])
    await page.close()
  })

  it('is kept also if what keeps it could not be loaded at first', async () => {
    let failures = 3
    const fail: RequestHandler = ({ path }, res, next) => {
      if (path.endsWith('/outbox-store.js') && failures-- > 0) res.status(503).end()
      else next()
    }
    server.before.push(fail)
    const page = await browser.newPage(server.page('kept-late', { persist: true }))
    const told = await page.evaluate(async () => {
      await window.ready
      const types: string[] = []
      window.sse.on('sse-outbox', ({ data }) => types.push(data.type))
      await window.sse.send('x', {})
      return types
    })
    server.before.splice(server.before.indexOf(fail), 1)
    assert.deepEqual(told, ['answered'])
    await page.close()
  })

  it('is answered with what onMessage returns, and with its errors', async () => {
    const page = await browser.newPage(server.page('answers'))
    await page.evaluate(() => window.ready)
    const answer = await page.evaluate(async () => (await window.sse.send('x', { n: 1 })).json())
    assert.equal(answer.success, true)
    assert.equal(answer.data, 'ok')
    const large = await page.evaluate(async () => {
      const form = new FormData()
      form.set('file', new Blob([new Uint8Array(2_000_000)]), 'large')
      return (await window.sse.upload('x', form)).status
    })
    assert.equal(large, 413)
    await page.close()
  })
})
