import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { SseEvent } from '../index'
import { BASE, FakePage, settle } from './fake'

const KEY = `sseDuration${BASE}`

function recorder() {
  const changes: { oldActive: boolean; newActive: boolean; duration: unknown }[] = []
  return {
    changes,
    eventListeners: { 'sse-change-active': (event: SseEvent) => void changes.push(event.data as never) },
  }
}

describe('a person', () => {
  it('counts as away after leaveTimeout without input, and as back with the next', async () => {
    const page = new FakePage()
    const { changes, eventListeners } = recorder()
    await page.createOpen({ eventListeners })
    await page.tick(4500)
    page.window.document.dispatchEvent(new page.window.Event('mouseover'))
    await page.tick(4500)
    assert.deepEqual(changes, [])
    await page.tick(1000)
    assert.deepEqual(changes, [
      { oldActive: true, newActive: false, duration: { sessionDuration: 0, duration: 10 } },
    ])
    page.window.document.dispatchEvent(new page.window.Event('click'))
    await page.tick(500)
    assert.deepEqual(changes[1], {
      oldActive: false,
      newActive: true,
      duration: { sessionDuration: 10, duration: 0 },
    })
  })

  it('is away at the next look with a leaveTimeout of 0', async () => {
    const page = new FakePage()
    const { changes, eventListeners } = recorder()
    await page.createOpen({ eventListeners, leaveTimeout: 0 })
    await page.tick(500)
    assert.deepEqual(
      changes.map(({ newActive }) => newActive),
      [false],
    )
  })

  it('is away while the page is hidden, and at it again when it is shown', async () => {
    const page = new FakePage()
    const { changes, eventListeners } = recorder()
    await page.createOpen({ eventListeners })
    await page.tick(3000)
    await page.hide()
    await page.tick(60_000)
    await page.show()
    assert.deepEqual(
      changes.map(({ newActive }) => newActive),
      [false, true],
    )
    assert.equal(page.server.connects()[1]?.query.get('sessionDuration'), '3')
  })

  it('is given a duration by the server', async () => {
    const page = new FakePage()
    await page.createOpen()
    page.server.stream.event('sse-set-duration', { duration: '120' })
    await settle()
    assert.equal(page.window.sessionStorage.getItem(KEY), '120')
    await page.tick(2000)
    await page.hide()
    assert.equal(new URLSearchParams(String(page.server.beacons[0]?.body)).get('sessionDuration'), '122')
  })

  it('starts from nothing after a close', async () => {
    const page = new FakePage()
    const sse = await page.createOpen()
    await page.tick(2000)
    sse.close()
    assert.equal(page.window.sessionStorage.getItem(KEY), null)
  })

  it('is not counted while the server is down', async () => {
    const page = new FakePage()
    page.server.isDown = true
    await page.createOpen()
    await page.tick(3_600_000)
    page.server.isDown = false
    await page.tick(30_000)
    await page.hide()
    const duration = Number(new URLSearchParams(String(page.server.beacons[0]?.body)).get('sessionDuration'))
    assert.ok(duration <= 30, String(duration))
  })

  it('is not forgotten by a reload, and stays the same browser', async () => {
    const page = new FakePage()
    const first = await page.createOpen()
    const second = page.create()
    assert.equal(second.clientId, first.clientId)
    assert.notEqual(second.instanceId, first.instanceId)
    assert.equal(page.window.localStorage.getItem('sseClientId'), first.clientId)
    assert.equal(page.window.sessionStorage.getItem('sseAccessTimestamp'), '1700000000000')
  })

  it('was never there if the page was never connected: hidden from the start, or refused', async () => {
    for (const reason of ['hidden', 'refused']) {
      const page = new FakePage()
      const { changes, eventListeners } = recorder()
      if (reason === 'hidden') page.visibility = 'hidden'
      else page.server.isDown = true
      await page.createOpen({ eventListeners })
      await page.tick(60_000)
      page.server.isDown = false
      page.server.behaviour = () => new Response(null, { status: 401 })
      await page.tick(60_000)
      assert.deepEqual(changes, [], reason)
      assert.equal(page.window.sessionStorage.getItem(KEY), null, reason)
    }
  })

  it('may forbid storage: the page works all the same', async () => {
    const page = new FakePage()
    for (const name of ['localStorage', 'sessionStorage'])
      Object.defineProperty(page.env, name, {
        get() {
          throw new Error('SecurityError')
        },
      })
    const sse = await page.createOpen()
    assert.equal(sse.isActive(), true)
    await page.hide()
    assert.equal(page.server.beacons.length, 1)
  })
})

describe('a connect', () => {
  it('tells what the original tells, the address without query and hash, and the own query', async () => {
    const page = new FakePage()
    const sse = await page.createOpen({
      eventListeners: ['a', 'b'],
      query: { token: 't t', none: undefined },
    })
    const query = Object.fromEntries(page.server.connects()[0]?.query ?? [])
    const { clientImportModuleTime, ...rest } = query
    assert.ok(Number(clientImportModuleTime) > 1_600_000_000_000)
    assert.deepEqual(rest, {
      accessTime: '1700000000000',
      acks: '1',
      clientId: sse.clientId,
      clientInstanceId: sse.instanceId,
      clientInstanceTime: '1700000000000',
      clientVersion: '0.1.0',
      keepaliveTime: '900000',
      listeners: 'a,b',
      locationHref: 'http://localhost/app',
      screen: '800x600',
      sessionDuration: '0',
      token: 't t',
      useWindowEventBus: 'true',
    })
  })
})
