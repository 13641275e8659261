import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Page } from 'playwright'
import { BASE, type Browser, startBrowser, startServer, type TestServer, until } from './harness'

/** Runs in the page, before anything else: counts what is made and not let go. */
const COUNT = `(() => {
  const alive = window.alive = { timers: new Set(), listeners: 0, requests: 0 }
  for (const kind of ['Timeout', 'Interval']) {
    const set = window['set' + kind].bind(window), clear = window['clear' + kind].bind(window)
    window['set' + kind] = (run, ms) => {
      const id = set(() => { if (kind === 'Timeout') alive.timers.delete(id); run() }, ms)
      alive.timers.add(id)
      return id
    }
    window['clear' + kind] = (id) => { alive.timers.delete(id); clear(id) }
  }
  for (const target of [window, document]) {
    const add = target.addEventListener.bind(target), remove = target.removeEventListener.bind(target)
    target.addEventListener = (...args) => { alive.listeners++; add(...args) }
    target.removeEventListener = (...args) => { alive.listeners--; remove(...args) }
  }
  const send = window.fetch.bind(window)
  window.fetch = async (...args) => {
    alive.requests++
    const response = await send(...args).catch((error) => { alive.requests--; throw error })
    // An answer is there, whether anybody reads it or not; a stream is there until it has ended.
    const isStream = /event-stream/.test(response.headers.get('Content-Type'))
    if (!isStream) { alive.requests--; return response }
    // A copy of the body, to see its end, whatever it is.
    const reader = response.body.getReader()
    const copy = new ReadableStream({
      async pull(controller) {
        try {
          const { done, value } = await reader.read()
          if (!done) return controller.enqueue(value)
          alive.requests--
          controller.close()
        } catch (error) { alive.requests--; controller.error(error) }
      },
      cancel(reason) { alive.requests--; return reader.cancel(reason) },
    })
    return new Response(copy, { status: response.status, headers: response.headers })
  }
  alive.globals = () => Object.keys(window).length
})()`

type SseOfPage = Pick<Window['sse'], 'state' | 'send'>

interface Alive {
  timers: number
  listeners: number
  requests: number
  globals: number
}

describe('a page', () => {
  let browser: Browser
  let server: TestServer
  before(async () => {
    browser = await startBrowser()
    server = await startServer(() => ({
      reconnectTime: 200,
      origins: [`http://app.localhost:${server?.port ?? 0}`],
    }))
    await server.restart()
  })
  after(async () => {
    await browser.close()
    await server.close()
  })

  const alive = (page: Page): Promise<Alive> =>
    page.evaluate(
      `({ timers: alive.timers.size, listeners: alive.listeners, requests: alive.requests, globals: alive.globals() })`,
    )

  it('has nothing left of a client that was destroyed: no timer, listener, request or global', async (t) => {
    const page = await browser.newPage(`${server.origin}/other`)
    await page.evaluate(COUNT)
    const before = await alive(page)
    await page.evaluate(`import('${BASE}').then(({ default: Sse }) => {
      const make = (options) => new Sse({ url: '${BASE}', query: { user: 'd' }, connectWhenHidden: true, ...options })
      return new Promise((resolve) => {
        document.sse = [make({ eventListeners: { 'connect-finish': resolve } }), make({ url: '/nowhere' }), make({ hiddenGrace: 5000 })]
      })
    })`)
    await page.evaluate(
      `document.sse.forEach((sse) => { sse.send('x').catch(() => {}); sse.on('bell', () => {}) })`,
    )
    const during = await alive(page)
    assert.ok(during.timers > 0 && during.listeners > 0 && during.requests > 0, JSON.stringify(during))
    await page.evaluate('document.sse.forEach((sse) => sse.destroy())')
    await until(async () => (await alive(page)).requests === 0, 'the requests to end')
    t.diagnostic(
      `before ${JSON.stringify(before)} during ${JSON.stringify(during)} after ${JSON.stringify(await alive(page))}`,
    )
    assert.deepEqual(await alive(page), before)
    await until(async () => !(await server.sse.isOnline('d')), 'the server to see it gone')
    await page.close()
  })

  it('hears what it listens to on the window too, as a true MessageEvent with the url', async () => {
    const page = await browser.newPage(server.page('bus'))
    await until(() => page.evaluate(() => window.sse?.isActive()), 'the page to be connected')
    await page.evaluate(() => {
      window.addEventListener('test', (event) => {
        const { type, data, origin, url } = event as MessageEvent & { url: string }
        Object.assign(document, { heard: [event instanceof MessageEvent, type, data, origin, url] })
      })
    })
    await server.sse.sendByUserId('bus', 'test', { n: 1 })
    const heard = (): Promise<unknown> =>
      page.evaluate(() => (document as unknown as { heard?: unknown }).heard)
    await until(heard, 'the window to hear it')
    assert.deepEqual(await heard(), [true, 'test', '{"n":1}', server.origin, BASE])
    await page.close()
  })

  it('of an allowed origin imports the client from here, connects, sends and uploads', async () => {
    const page = await browser.newPage(`http://app.localhost:${server.port}/other`)
    const answers = await page.evaluate(
      async ({ url }) => {
        const { default: Sse } = await import(url)
        const sse = new Sse({ url, query: { user: 'cross' }, headers: { 'X-Own': '1' } })
        const form = new FormData()
        form.set('file', new Blob(['x']), 'x.txt')
        const sent = await (await sse.send('hello', { n: 1 })).json()
        const uploaded = await (await sse.upload('hello', form)).json()
        sse.destroy()
        return [sent.data, uploaded.data.files]
      },
      { url: server.origin + BASE },
    )
    assert.deepEqual(answers, [{ path: 'hello', message: { n: 1 } }, [{ name: 'x.txt', size: 1 }]])
    await until(async () => !(await server.sse.isOnline('cross')), 'the goodbye across origins')
    await page.close()
  })

  it('of another origin cannot even import the client', async () => {
    const page = await browser.newPage(`http://foreign.localhost:${server.port}/other`)
    const outcome = await page.evaluate(
      (url) => import(url).then(String, ({ name }) => name),
      server.origin + BASE,
    )
    assert.equal(outcome, 'TypeError')
    await page.close()
  })

  it('without modules loads a classic script that sets window.Sse, and sends', async () => {
    const page = await browser.newPage(`${server.origin}/other`)
    await page.addScriptTag({ url: `${BASE}/sse.js?script-type=text/javascript` })
    const state = await page.evaluate(
      (url) =>
        new Promise((resolve) => {
          const { Sse } = window as unknown as { Sse: new (options: object) => SseOfPage }
          const sse = new Sse({
            url,
            query: { user: 'classic' },
            eventListeners: { 'connect-finish': () => void sse.send('x').then(() => resolve(sse.state)) },
          })
        }),
      BASE,
    )
    assert.equal(state, 1)
    await page.close()
  })

  it('may be served to a plain EventSource, which comes back by itself', async () => {
    const page = await browser.newPage(`${server.origin}/other`)
    await page.evaluate((url) => {
      const source = new EventSource(`${url}/connect?user=plain&listeners=test`)
      const seen: string[] = []
      for (const name of ['connect-finish', 'test'])
        source.addEventListener(name, ({ type }) => void seen.push(type))
      Object.assign(document, { seen })
    }, BASE)
    const seen = (): Promise<string[]> =>
      page.evaluate(() => (document as unknown as { seen: string[] }).seen)
    await until(async () => (await seen()).length === 1, 'connect-finish')
    assert.equal(await server.sse.sendByUserId('plain', 'test', 'x', { listening: true }), 1)
    await until(async () => (await seen()).length === 2, 'the event')
    await server.sse.disconnectByUserId('plain')
    await until(async () => (await seen()).length === 3, 'the EventSource to be back')
    assert.deepEqual(await seen(), ['connect-finish', 'test', 'connect-finish'])
    await page.close()
  })
})
