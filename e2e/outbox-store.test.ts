import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'
import type { Page } from 'playwright'
import { type Browser, startBrowser } from './browser'
import { startKeeperServer } from './keeper-server'
import { until } from './until'

/** As seen from here: a file is name, type and text. */
interface Seen {
  id: number
  key: string
  body: string | [name: string, value: string | { name: string; type: string; text: string }][]
}

/** Each test is another user. */
let owner = ''

const put = (page: Page, keys: string[]): Promise<number[] | undefined> =>
  page.evaluate(
    ([owner, keys]) => {
      const rest = { path: '/a', query: '', lane: '/a', createTime: Date.now(), expiryTime: Date.now() + 1e6 }
      const requests = keys.map((key) => ({ key, body: JSON.stringify({ key }), headers: [], ...rest }))
      const { keeper } = window
      return keeper && Promise.all(requests.map((request) => keeper.put(owner, request)))
    },
    [owner, keys] as const,
  )

const putForm = (page: Page, key: string, text: string): Promise<number | undefined> =>
  page.evaluate(
    ([owner, key, text]) => {
      const file = new File([text], 'Maße.txt', { type: 'text/plain' })
      const upload = { id: 'u', boundary: 'b', isWhole: false }
      const times = { createTime: 1, expiryTime: 2 }
      const body: [string, string | File][] = [
        ['note', 'a note'],
        ['file', file],
      ]
      const headers: [string, string][] = [['X-Token', 'secret']]
      return window.keeper?.put(owner, {
        key,
        path: '/a',
        body,
        query: 'a=1',
        headers,
        lane: 'x',
        ...times,
        upload,
      })
    },
    [owner, key, text] as const,
  )

const adopt = (page: Page): Promise<Seen[]> =>
  page.evaluate(async (owner) => {
    const refuse = (reason: string): never => {
      throw new Error(reason)
    }
    const adopted = (await window.keeper?.adopt(owner, refuse)) ?? []
    const show = async (value: string | File) =>
      typeof value === 'string' ? value : { name: value.name, type: value.type, text: await value.text() }
    return Promise.all(
      adopted.map(async ({ id, request: { key, body } }) => {
        if (typeof body === 'string') return { id, key, body }
        const fields = body.map(async ([name, value]) => [name, await show(value)] as [string, never])
        return { id, key, body: await Promise.all(fields) }
      }),
    )
  }, owner)

async function adoptKeys(page: Page): Promise<string[]> {
  return (await adopt(page)).map(({ key }) => key)
}

/** A tab that is gone or hidden gives its lock back in its own time. */
async function untilAdopted(page: Page): Promise<string[] | undefined> {
  return until(async () => {
    const keys = await adoptKeys(page)
    return keys.length > 0 ? keys : undefined
  }, 'something to adopt')
}

const locks = (page: Page): Promise<number> =>
  page.evaluate(async () => (await navigator.locks.query()).held?.length ?? 0)

describe('requests that a real browser keeps', () => {
  let browser: Browser
  let server: Awaited<ReturnType<typeof startKeeperServer>>
  let user = 0
  before(async () => {
    server = await startKeeperServer()
    browser = await startBrowser(['--host-resolver-rules=MAP insecure.test 127.0.0.1'])
  })
  after(async () => {
    await browser.close()
    server.close()
  })
  beforeEach(() => {
    owner = `user${++user}`
  })

  const isOpen = (page: Page): Promise<unknown> =>
    until(() => page.evaluate(() => window.keeper !== undefined), 'the page to have its keeper')
  async function open(): Promise<Page> {
    const page = await browser.newPage(`http://localhost:${server.port}/`)
    await isOpen(page)
    return page
  }

  /** The first one is seen too, as if it were in a window of its own: whether such a one is covered is up to the system. */
  async function openBeside(
    first: Page,
  ): Promise<{ second: Page; see(isFirstSeen: boolean): Promise<void> }> {
    const cdp = await first.context().newCDPSession(first)
    const second = await open()
    const see = async (enabled: boolean): Promise<void> => {
      await cdp.send('Emulation.setFocusEmulationEnabled', { enabled })
      const seen = enabled ? 2 : 1
      await until(async () => (await locks(second)) === seen, `${seen} tabs to be seen`)
    }
    await see(true)
    return { second, see }
  }

  it('are there after a reload, files and all', async () => {
    const page = await open()
    const [json = 0] = (await put(page, ['json'])) ?? []
    await putForm(page, 'form', 'ÄÖÜ €')
    await page.reload()
    await isOpen(page)
    const adopted = await until(async () => {
      const seen = await adopt(page)
      return seen.length > 0 ? seen : undefined
    }, 'what was put before the reload')
    const file = { name: 'Maße.txt', type: 'text/plain', text: 'ÄÖÜ €' }
    assert.deepEqual(adopted, [
      { id: json, key: 'json', body: '{"key":"json"}' },
      {
        id: json + 1,
        key: 'form',
        body: [
          ['note', 'a note'],
          ['file', file],
        ],
      },
    ])
    assert.deepEqual(await adopt(page), [], 'each is handed out once')
    await page.close()
  })

  it('stay with a tab that is seen, and go to the next one when another tab is in front', async () => {
    const first = await open()
    await put(first, ['a', 'b'])
    const { second, see } = await openBeside(first)
    assert.deepEqual(await adoptKeys(second), [])
    await see(false)
    assert.deepEqual(await adoptKeys(second), ['a', 'b'])
    await see(true)
    assert.deepEqual(await adoptKeys(first), [])
    await second.close()
    await first.close()
  })

  it('go to another tab when theirs is closed', async () => {
    const [first, second] = [await open(), await open()]
    await put(first, ['hidden'])
    await browser.show(first)
    await put(first, ['seen'])
    await first.close()
    await browser.show(second)
    assert.deepEqual(await untilAdopted(second), ['hidden', 'seen'])
    await second.close()
  })

  it('go to one of two tabs that come at once', async () => {
    const dead = await open()
    await put(
      dead,
      Array.from({ length: 50 }, (_, i) => `k${i}`),
    )
    const first = await open()
    const { second } = await openBeside(first)
    await dead.close()
    const both = await Promise.all([adoptKeys(first), adoptKeys(second)])
    assert.deepEqual(both.map(({ length }) => length).sort(), [0, 50])
    await first.close()
    await second.close()
  })

  it('may leave their page to the back/forward cache, from where it comes back with its keeper', async () => {
    const page = await open()
    await put(page, ['a'])
    await browser.leave(page, `http://127.0.0.1:${server.port}/other`)
    assert.equal(await browser.back(page), true)
    await until(async () => (await locks(page)) === 1, 'the page to be seen again')
    assert.deepEqual(await put(page, ['b']).then((ids) => ids?.length), 1)
    await page.reload()
    await isOpen(page)
    assert.deepEqual(await untilAdopted(page), ['a', 'b'])
    await page.close()
  })

  it('leave the database to whoever wants to delete it', async () => {
    const page = await open()
    await put(page, ['old'])
    await page.evaluate(
      () =>
        new Promise<void>((resolve, reject) => {
          const request = indexedDB.deleteDatabase('tabwire')
          request.onsuccess = () => resolve()
          request.onblocked = () => reject(new Error('blocked'))
        }),
    )
    assert.deepEqual((await put(page, ['new']))?.length, 1)
    await page.reload()
    await isOpen(page)
    assert.deepEqual(await untilAdopted(page), ['new'])
    await page.close()
  })

  it('cannot be kept on a plain http page, which is told why', async () => {
    const page = await browser.newPage(`http://insecure.test:${server.port}/`)
    await until(() => page.evaluate(() => window.refusal), 'the refusal')
    assert.match((await page.evaluate(() => window.refusal)) ?? '', /https/)
    await page.close()
  })

  it('are there after the browser was killed', async () => {
    const page = await open()
    await put(page, ['a', 'b'])
    await putForm(page, 'form', 'x'.repeat(1_000_000))
    browser = await browser.restart()
    const next = await open()
    const adopted = await adopt(next)
    assert.deepEqual(
      adopted.map(({ key }) => key),
      ['a', 'b', 'form'],
    )
    const [, file] = adopted[2]?.body[1] ?? []
    assert.equal(typeof file === 'object' && file.text.length, 1_000_000)
    await next.close()
  })

  it('are a thousand in a short time', async (test) => {
    const page = await open()
    const keys = Array.from({ length: 1000 }, (_, i) => `k${i}`)
    const started = performance.now()
    await put(page, keys)
    const putAll = performance.now()
    await page.reload()
    await isOpen(page)
    const reloaded = performance.now()
    assert.deepEqual(await untilAdopted(page), keys)
    const adopted = performance.now() - reloaded
    test.diagnostic(`1000 puts: ${Math.round(putAll - started)} ms, adopted in ${Math.round(adopted)} ms`)
    await page.close()
  })
})
