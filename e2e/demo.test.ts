import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, describe, it } from 'node:test'
import { type Browser, startBrowser, until } from './harness'

describe('the demo', () => {
  let browser: Browser
  let demo: ChildProcess
  let address = ''
  before(async () => {
    browser = await startBrowser()
    demo = spawn(process.execPath, ['examples/single/server.mjs'], {
      env: { ...process.env, PORT: '0' },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    assert.ok(demo.stdout)
    const [line] = await once(createInterface({ input: demo.stdout }), 'line')
    address = /http:\S+/.exec(line)?.[0] ?? ''
  })
  after(async () => {
    demo.kill()
    await browser.close()
  })

  it('shows what happens, and every button does what it says', async () => {
    const page = await browser.newPage(address)
    const faults: string[] = []
    page.on('pageerror', (error) => void faults.push(String(error)))
    const events = page.locator('#events')
    const state = page.locator('#state')
    const shows = (text: string): Promise<unknown> =>
      until(async () => (await events.innerText()).includes(text), `the page to show ${text}`)

    /** Somebody else is there to see that the server has pushed something. */
    const pushed = async (): Promise<void> => {
      const response = await fetch(`${address}sse/demo/connect`, { headers: { cookie: 'demo-user=77' } })
      const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
      for (let text = ''; !text.includes('server-push'); ) text += (await reader?.read())?.value
      await reader?.cancel()
    }

    await shows('connect-finish')
    await shows('server-push')
    await until(async () => (await state.innerText()) === 'Connected', 'the state')
    assert.equal(await page.locator('#online li').count(), 1)

    await page.locator('#send input').fill('a <b>message</b>')
    await page.locator('#send button').click()
    await shows('server-ack')
    await shows('a <b>message</b>')

    const file = join(tmpdir(), 'tabwire demo ä.txt')
    await writeFile(file, 'the content')
    await page.locator('#upload input').setInputFiles(file)
    await page.locator('#upload button').click()
    await until(
      async () => (await page.locator('#answer').innerText()).includes('tabwire demo ä.txt'),
      'the answer to the file',
    )

    await page.locator('#close').click()
    await shows('whoTriggerClose=client')
    assert.match(await state.innerText(), /Not connected: you closed it/)
    await page.locator('#reconnect').click()
    await until(async () => (await state.innerText()) === 'Connected', 'the state after reconnecting')
    await page.locator('#server-close').click()
    await shows('whoTriggerClose=server')
    await until(async () => (await state.innerText()) === 'Connected', 'the page to come back')
    await shows('sse-change-active')
    await browser.hide(page)
    await pushed()
    await browser.show(page)
    await shows('sent while you were away')
    await page.locator('#clean').click()
    await until(async () => !(await events.innerText()).includes('connect-finish'), 'the list to be clean')
    assert.deepEqual(faults, [])
    await page.close()
  })

  it('says what to do if its port is taken', async () => {
    const second = spawn(process.execPath, ['examples/single/server.mjs'], {
      env: { ...process.env, PORT: new URL(address).port },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    assert.ok(second.stderr)
    const [line] = await once(createInterface({ input: second.stderr }), 'line')
    assert.match(line, /is taken: PORT=8081 npm start/)
  })

  it('has the monitor, for whoever sits at this machine', async () => {
    const page = await browser.newPage(address)
    await page.getByRole('link', { name: 'Monitor' }).click()
    await until(async () => (await page.locator('#state').innerText()) === 'Live', 'the monitor to be live')
    await until(async () => (await page.locator('#people .name').count()) > 0, 'a user')
    await page.close()
  })

  it('fits a phone: nothing is wider than the screen', async () => {
    const page = await browser.newPage(address)
    await page.setViewportSize({ width: 360, height: 740 })
    await until(() => page.locator('#events li').count(), 'the first event')
    const widths = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth])
    assert.ok((widths[0] ?? 0) <= (widths[1] ?? 0), String(widths))
    await page.close()
  })

  it('has a Vue component that connects when mounted and leaves when unmounted', async () => {
    const page = await browser.newPage(`${address}vue/`)
    const state = page.locator('.state')
    await until(async () => (await state.innerText()) === 'Connected', 'the component to be connected')
    await until(async () => (await page.locator('.push').count()) === 1, 'a push')
    await page.locator('button').click()
    await until(
      async () => (await page.locator('.empty').innerText()).startsWith('Unmounted'),
      'it to be unmounted',
    )
    await page.locator('button').click()
    await until(async () => (await state.innerText()) === 'Connected', 'the component to be connected again')
    await page.close()
  })
})
