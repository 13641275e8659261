import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import type { Page } from 'playwright'
import { freePort } from '../scripts/redis-server.mjs'
import { type Browser, startBrowser, until } from './harness'
import { ownGroup } from './process-group'

/** ms in which all of a cluster is up, or what one of its nodes had is known to be gone, on a busy machine too. */
const PATIENCE = 30_000

/** A demo that runs, or has ended because it could not start. */
interface Demo {
  /** All that it has printed. */
  said(): string
  /** Its processes by the names that it gives them, and where each is. */
  readonly processes: ReadonlyMap<string, { pid: number; at: string }>
  /** Sends a signal as a terminal does: to all that is in its group. @returns its exit code and signal */
  end(signal?: NodeJS.Signals): Promise<unknown[]>
}

async function startDemo(portA: number, portB: number): Promise<Demo> {
  const child = spawn(process.execPath, ['examples/distributed/start.mjs'], {
    env: { ...process.env, PORT_A: String(portA), PORT_B: String(portB), REDIS_URL: undefined },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  const ended = once(child, 'close')
  const close = ownGroup(child)
  let text = ''
  let isOver = false
  child.once('close', () => {
    isOver = true
  })
  for (const output of [child.stdout, child.stderr])
    output.setEncoding('utf8').on('data', (part) => {
      text += part
    })
  const isUp = () => text.includes('Ctrl+C ends all') || isOver
  await until(isUp, 'the demo to be up', PATIENCE).catch((error) => close().then(() => Promise.reject(error)))
  const lines = text.matchAll(/^(\S.*?) +process (\d+) +(.*)$/gm)
  return {
    said: () => text,
    processes: new Map([...lines].map(([, name = '', pid, at = '']) => [name, { pid: Number(pid), at }])),
    async end(signal = 'SIGINT') {
      if (child.pid && !isOver) process.kill(-child.pid, signal)
      const result = await ended
      await close()
      return result
    },
  }
}

const pidsOf = ({ processes }: Demo): number[] => [...processes.values()].map(({ pid }) => pid)

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
  } catch {
    return false
  }
  try {
    // It has ended, and whoever has adopted it does not care.
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return true
  }
}

const textOf = (page: Page, selector: string): Promise<string> => page.locator(selector).innerText()
const shows = (page: Page, selector: string, text: string): Promise<unknown> =>
  until(async () => (await textOf(page, selector)).includes(text), `${selector} to show ${text}`, PATIENCE)

/** Number of the last push that a page shows. */
const newest = async (page: Page, publisher: string): Promise<number> =>
  Number(await textOf(page, `#${publisher} li:first-child b`))

async function goesOn(page: Page, publisher: string): Promise<void> {
  const before = await newest(page, publisher)
  await until(async () => (await newest(page, publisher)) > before, `${publisher} to push more`)
}

async function say(page: Page, text: string): Promise<void> {
  await page.locator('#say input').fill(text)
  await page.locator('#say button').click()
}

describe('the demo of a cluster', () => {
  // Two, because one browser shows one tab at a time.
  const browsers: Browser[] = []
  let demo: Demo
  let atA: Page
  let atB: Page
  const faults: string[] = []
  const processOf = (name: string) => {
    const found = demo.processes.get(name)
    assert.ok(found, `${name} in: ${demo.said()}`)
    return found
  }
  const openPage = async (node: string): Promise<Page> => {
    const browser = await startBrowser()
    browsers.push(browser)
    const page = await browser.newPage()
    page.on('pageerror', (error) => void faults.push(String(error)))
    await page.goto(processOf(node).at)
    return page
  }
  before(async () => {
    demo = await startDemo(await freePort(), await freePort())
    atA = await openPage('Node A')
    atB = await openPage('Node B')
  })
  after(async () => {
    await Promise.all(browsers.map((browser) => browser.close()))
    await demo?.end()
  })

  it('shows at either node which one it is, and what both publishers push to both', async () => {
    await shows(atA, '#state', 'Connected to node A')
    await shows(atB, '#state', 'Connected to node B')
    for (const publisher of ['orders', 'prices'])
      for (const page of [atA, atB]) {
        await shows(page, `#${publisher}-reached`, '2')
        await goesOn(page, publisher)
      }
  })

  it('shows at either node who is online at both', async () => {
    for (const page of [atA, atB])
      for (const other of [atA, atB]) await shows(page, '#online', await textOf(other, '#me'))
    assert.equal(await textOf(atA, '#online-count'), '2')
  })

  it('shows at both nodes what is said at one, and which node passed it on', async () => {
    await say(atA, 'a <b>word</b>')
    await say(atB, 'an answer')
    for (const page of [atA, atB]) {
      await shows(page, '#said', 'a <b>word</b>')
      await shows(page, '#said', 'an answer')
      await shows(page, '#said', 'by node A')
      await shows(page, '#said', 'by node B')
    }
  })

  it('shows a page that was hidden what it missed', async () => {
    const [browser] = browsers
    assert.ok(browser)
    await browser.hide(atA)
    await goesOn(atB, 'orders')
    await goesOn(atB, 'orders')
    await browser.show(atA)
    await shows(atA, '#orders', 'caught up')
  })

  it('fits a phone: nothing is wider than the screen', async () => {
    await atA.setViewportSize({ width: 360, height: 740 })
    await say(atA, 'x'.repeat(200))
    await shows(atA, '#said', 'x'.repeat(200))
    const widths = await atA.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth])
    assert.ok((widths[0] ?? 0) <= 360 && widths[1] === 360, String(widths))
  })

  it('goes on with one publisher when the other is killed', async () => {
    process.kill(processOf('Publisher orders').pid, 'SIGKILL')
    await until(() => demo.said().includes('Publisher orders has ended'), 'the demo to say so')
    for (const page of [atA, atB]) await goesOn(page, 'prices')
  })

  it('goes on at one node when the other is killed, and there its people are gone', async () => {
    const guest = await textOf(atB, '#me')
    process.kill(processOf('Node B').pid, 'SIGKILL')
    await shows(atB, '#state', 'Connecting')
    await goesOn(atA, 'prices')
    await say(atA, 'still here')
    await shows(atA, '#said', 'still here')
    await until(async () => !(await textOf(atA, '#online')).includes(guest), `${guest} to be gone`, PATIENCE)
    await shows(atA, '#prices-reached', '1')
    assert.deepEqual(faults, [])
  })

  it('says what to do if a port is taken, and leaves no process behind', async () => {
    const taken = Number(new URL(processOf('Node A').at).port)
    const second = await startDemo(await freePort(), taken)
    assert.deepEqual(await second.end(), [1, null])
    assert.match(second.said(), /is taken: PORT_A=3000 PORT_B=3001/)
    assert.deepEqual(pidsOf(second).filter(isAlive), [])
  })

  it('leaves no process behind, whether it ends by Ctrl+C, is told to end, or is killed', async () => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGKILL'] as const) {
      const another = await startDemo(await freePort(), await freePort())
      assert.equal(pidsOf(another).length, 5)
      await another.end(signal)
      await until(() => !pidsOf(another).some(isAlive), `all to have ended after ${signal}`)
      assert.doesNotMatch(another.said(), /error|has ended/i)
    }
  })
})
