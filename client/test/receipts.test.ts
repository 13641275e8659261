import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type Sse from '../index'
import type { SseEvent, SseOptions } from '../index'
import { BASE, FakePage, json, settle } from './fake'

const REPORT = '/connect/report.do'

/** A page whose server takes reports. */
function newPage(other?: FakePage): FakePage {
  const page = new FakePage(other)
  Object.assign(page.server.finish, { report: REPORT })
  return page
}

/** An object that listens to `order`, and what it was shown. */
async function open(page: FakePage, options: Partial<SseOptions> = {}) {
  const shown: unknown[] = []
  const eventListeners = { order: (event: SseEvent) => void shown.push(event.data) }
  const sse = await page.createOpen({ eventListeners, ...options })
  return { sse, shown }
}

async function receive(page: FakePage, id: string, data = id, name = 'order'): Promise<void> {
  page.server.stream.event(name, data, id)
  await settle()
}

const bodiesOf = (page: FakePage, path: string) =>
  page.server.beacons
    .filter((beacon) => beacon.path === BASE + path)
    .map(({ body }) => Object.fromEntries(body as URLSearchParams))
const reports = (page: FakePage) => bodiesOf(page, REPORT)
const goodbyes = (page: FakePage) => bodiesOf(page, '/connect/disconnect.do')
/** Where the page says it has handled all, in its reports. */
const reported = (page: FakePage) => reports(page).map(({ lastEventId }) => lastEventId)

/** The person moves the mouse. */
const move = (page: FakePage): unknown =>
  page.window.document.dispatchEvent(new page.window.Event('mouseover'))

function blockStorage(page: FakePage): void {
  Object.defineProperty(page.env, 'localStorage', {
    get() {
      throw new Error('SecurityError')
    },
  })
}

describe('a message', () => {
  it('is shown once, although it comes again at another place, and acknowledged there too', async () => {
    const page = newPage()
    const { sse, shown } = await open(page)
    await receive(page, 'e-1~a')
    await page.tick(1000)
    await receive(page, 'e-2~a')
    await page.tick(1000)
    await receive(page, 'e-3~b')
    assert.deepEqual(shown, ['e-1~a', 'e-3~b'])
    assert.deepEqual(reported(page), ['e-1~a', 'e-2~a'])
    sse.destroy()
  })

  it('looks like any other event, and goes to the window once', async () => {
    const page = newPage()
    const onWindow: unknown[] = []
    page.window.addEventListener('order', (event) => onWindow.push((event as unknown as SseEvent).data))
    const { sse } = await open(page, { eventListeners: ['order'] })
    await receive(page, 'e-1~a')
    await receive(page, 'e-2~a')
    assert.deepEqual(onWindow, ['e-1~a'])
    sse.destroy()
  })

  it('is not shown by a page that comes later in the same browser', async () => {
    const page = newPage()
    const first = await open(page)
    await receive(page, 'e-1~a')
    page.server.stream.fail()
    first.sse.destroy()
    const second = await open(page)
    await receive(page, 'e-2~a')
    await receive(page, 'e-3~b')
    await page.tick(1000)
    assert.deepEqual(second.shown, ['e-3~b'])
    assert.deepEqual(reported(page), ['e-3~b'])
    second.sse.destroy()
  })

  it('is shown to another user who signs in in the same browser', async () => {
    const page = newPage()
    Object.assign(page.server.finish, { owner: 'ann' })
    const ann = await open(page)
    await receive(page, 'e-1~a')
    ann.sse.destroy()
    Object.assign(page.server.finish, { owner: 'bob' })
    const bob = await open(page)
    await receive(page, 'e-2~a')
    assert.deepEqual(bob.shown, ['e-2~a'])
    bob.sse.destroy()
  })

  it('is shown by each of two objects that live at once, and neither forgets what the other was shown', async () => {
    const page = newPage()
    const first = await open(page)
    const [firstStream] = page.server.streams
    const second = await open(page)
    firstStream?.event('order', 1, 'e-1~a')
    firstStream?.event('order', 2, 'e-2~b')
    await receive(page, 'e-1~a', '1')
    await receive(page, 'e-3~c', '3')
    assert.deepEqual(
      [first.shown, second.shown],
      [
        ['1', '2'],
        ['1', '3'],
      ],
    )
    first.sse.destroy()
    second.sse.destroy()
    const third = await open(page)
    for (const [i, name] of ['a', 'b', 'c', 'd'].entries()) await receive(page, `e-${i + 4}~${name}`)
    assert.deepEqual(third.shown, ['e-7~d'])
    third.sse.destroy()
  })

  it('is shown once where storage is blocked, too', async () => {
    const page = newPage()
    blockStorage(page)
    const { sse, shown } = await open(page)
    await receive(page, 'e-1~a')
    await receive(page, 'e-2~a')
    await page.tick(200)
    assert.deepEqual(shown, ['e-1~a'])
    assert.deepEqual(reported(page), ['e-2~a'])
    sse.destroy()
  })

  it('takes no more room than 20 000 characters, however many come', async () => {
    const page = newPage()
    const { sse, shown } = await open(page)
    const id = (n: number): string => `${n}`.padStart(22, '0')
    for (let n = 0; n < 2000; n++) page.server.stream.event('order', n, `e-${n}~${id(n)}`)
    await settle()
    assert.equal(shown.length, 2000)
    assert.equal(page.window.localStorage.getItem('sseShown')?.length, 20_000)
    await receive(page, `e-2000~${id(1999)}`)
    await receive(page, `e-2001~${id(1500)}`)
    assert.equal(shown.length, 2000)
    sse.destroy()
  })

  it('is one to a server that takes reports; to another the id is an id', async () => {
    const page = new FakePage()
    const { sse, shown } = await open(page)
    await receive(page, 'x~y')
    await receive(page, 'x~y')
    await page.tick(120_000)
    void sse.send('x').catch(() => {})
    await settle()
    assert.deepEqual(shown, ['x~y', 'x~y'])
    assert.equal(page.server.posts('message')[0]?.query.get('lastEventId'), null)
    sse.destroy()
    assert.deepEqual(
      page.server.beacons.map(({ path }) => path),
      [`${BASE}/connect/disconnect.do`],
    )
    assert.equal(goodbyes(page)[0]?.['lastEventId'], undefined)
  })
})

describe('an acknowledgement', () => {
  it('comes 200 ms after the first of some messages, once, for all', async () => {
    const page = newPage()
    const { sse } = await open(page)
    await receive(page, 'e-1~a')
    await page.tick(150)
    await receive(page, 'e-2~b')
    await page.tick(49)
    assert.deepEqual(reports(page), [])
    await page.tick(1)
    assert.deepEqual(reports(page), [{ connectionId: 'c1', lastEventId: 'e-2~b' }])
    await page.tick(5000)
    assert.equal(reports(page).length, 1)
    sse.destroy()
  })

  it('does not wait for a pause that never comes', async () => {
    const page = newPage()
    const { sse } = await open(page)
    for (let n = 0; n < 20; n++) {
      await receive(page, `e-${n}~${n}`)
      await page.tick(100)
    }
    assert.equal(reports(page).length, 10)
    sse.destroy()
  })

  it('names the last message, not an event that came after it', async () => {
    const page = newPage()
    const { sse } = await open(page)
    await receive(page, 'e-1~a')
    await receive(page, 'e-2')
    await page.tick(200)
    assert.deepEqual(reported(page), ['e-1~a'])
    sse.destroy()
  })

  it('goes with the next request, before the connection in its query', async () => {
    const page = newPage()
    const { sse } = await open(page, { query: { token: 't' } })
    await receive(page, 'e-1~a')
    void sse.send('x', {}, { own: 1 }).catch(() => {})
    await settle()
    const [posted] = page.server.posts('message')
    assert.equal(String(posted?.query), 'token=t&lastEventId=e-1%7Ea&connectionId=c1&own=1')
    sse.destroy()
  })

  it('goes with the goodbye, and no report follows', async () => {
    for (const end of ['hide', 'close', 'destroy'] as const) {
      const page = newPage()
      const { sse } = await open(page)
      await receive(page, 'e-1~a')
      if (end === 'hide') await page.hide()
      else sse[end]()
      assert.equal(page.clock.countTimers(), 0, end)
      await page.tick(1000)
      assert.equal(goodbyes(page)[0]?.['lastEventId'], 'e-1~a')
      assert.deepEqual(reports(page), [])
      sse.destroy()
    }
  })

  it('is not told to a connection that is open no more; the cursor of the next tells it', async () => {
    const page = newPage()
    const { sse } = await open(page)
    await receive(page, 'e-1~a')
    page.server.stream.fail()
    await page.tick(10_000)
    assert.deepEqual(reports(page), [])
    assert.equal(page.server.connects()[1]?.query.get('lastEventId'), 'e-1~a')
    sse.destroy()
  })

  it('comes also if a listener throws, and the others hear of the message', async () => {
    const page = newPage()
    const { sse, shown } = await open(page)
    sse.on('order', () => {
      throw new Error('mine')
    })
    sse.on('order', () => shown.push('last'))
    await receive(page, 'e-1~a')
    await receive(page, 'e-2~a')
    await page.tick(200)
    assert.deepEqual(shown, ['e-1~a', 'last'])
    assert.deepEqual(reported(page), ['e-2~a'])
    assert.equal(page.reported.length, 1)
    sse.destroy()
  })

  it('is not there before the listeners ran: a page that dies in one of them is shown the message again', async () => {
    const page = newPage()
    Object.assign(page.server.finish, { owner: 'ann' })
    const kept: unknown[] = []
    const look = (): void =>
      void kept.push(page.window.localStorage.getItem('sseShown'), reports(page).length)
    const { sse } = await open(page, { eventListeners: { order: look } })
    await receive(page, 'e-1~a')
    assert.deepEqual(kept, [null, 0])
    assert.equal(page.window.localStorage.getItem('sseShown'), 'ann~a')
    sse.destroy()
  })

  it('is not made for what nobody listens to; that is shown when it comes again and somebody does', async () => {
    const page = newPage()
    const { sse, shown } = await open(page)
    await receive(page, 'e-1~a', 'a', 'later')
    await page.tick(1000)
    assert.deepEqual(reports(page), [])
    sse.on('later', ({ data }) => shown.push(data))
    await settle()
    assert.equal(page.server.posts('addListener')[0]?.query.get('lastEventId'), null)
    await receive(page, 'e-2~a', 'a', 'later')
    await page.tick(200)
    assert.deepEqual(shown, ['a'])
    assert.deepEqual(reported(page), ['e-2~a'])
    sse.destroy()
  })

  it('goes with the goodbye of a listener that closes or destroys, and leaves no timer', async () => {
    for (const end of ['close', 'destroy'] as const) {
      const page = newPage()
      let sse: Sse | undefined
      const shown: string[] = []
      const order = ({ data }: SseEvent): void => {
        shown.push(data)
        sse?.[end]()
      }
      sse = await page.createOpen({ eventListeners: { order } })
      page.server.stream.write('id: e-1~a\nevent: order\ndata: 1\n\nid: e-2~b\nevent: order\ndata: 2\n\n')
      await settle()
      assert.deepEqual(shown, ['1'], end)
      assert.equal(page.clock.countTimers(), 0, end)
      assert.equal(goodbyes(page)[0]?.['lastEventId'], 'e-1~a')
      assert.deepEqual(reports(page), [])
      sse.destroy()
    }
  })

  it('goes with the headers of the application where a beacon could not carry them', async () => {
    const page = newPage()
    const { sse } = await open(page, { headers: { Authorization: 'Bearer 1' } })
    await receive(page, 'e-1~a')
    await page.tick(200)
    assert.deepEqual(page.server.beacons, [])
    const [report] = page.server.posts('report.do')
    assert.equal(report?.headers.get('Authorization'), 'Bearer 1')
    assert.equal(String(report?.body), 'connectionId=c1&lastEventId=e-1%7Ea')
    sse.destroy()
  })
})

describe('a person who is not at the page', () => {
  it('is reported away after a minute, and back, once each', async () => {
    const page = newPage()
    const { sse } = await open(page)
    await page.tick(59_500)
    assert.deepEqual(reports(page), [])
    await page.tick(600_000)
    assert.deepEqual(reports(page), [{ connectionId: 'c1', away: 'true' }])
    move(page)
    await page.tick(30_000)
    assert.deepEqual(reports(page).slice(1), [{ connectionId: 'c1', away: 'false' }])
    sse.destroy()
    assert.equal(page.clock.countTimers(), 0)
  })

  it('is told of together with what was handled, which takes the place of the report to come', async () => {
    const page = newPage()
    const { sse } = await open(page)
    await page.tick(59_900)
    await receive(page, 'e-1~a')
    await page.tick(1000)
    assert.deepEqual(reports(page), [{ connectionId: 'c1', lastEventId: 'e-1~a', away: 'true' }])
    await receive(page, 'e-2~b')
    await page.tick(1000)
    assert.deepEqual(reports(page).slice(1), [{ connectionId: 'c1', lastEventId: 'e-2~b' }])
    sse.destroy()
  })

  it('counts as being there when a connection begins: nothing is reported before another minute', async () => {
    const page = newPage()
    const { sse } = await open(page)
    await page.tick(60_000)
    page.server.stream.fail()
    await page.tick(30_000)
    assert.equal(page.server.streams.length, 2)
    assert.equal(reports(page).length, 1)
    await page.tick(60_000)
    assert.deepEqual(reports(page).slice(1), [{ connectionId: 'c2', away: 'true' }])
    sse.destroy()
  })

  it('is not reported to a server that wants no reports, nor while the page is hidden or the line is down', async () => {
    const page = new FakePage()
    const { sse } = await open(page)
    await page.tick(120_000)
    assert.deepEqual(page.server.beacons, [])
    sse.destroy()
    const other = newPage()
    const hidden = await open(other)
    await other.hide()
    await other.tick(120_000)
    assert.deepEqual(reports(other), [])
    await other.show()
    other.server.behaviour = () => json({}, 503)
    other.server.stream.fail()
    await other.tick(300_000)
    assert.deepEqual(reports(other), [])
    hidden.sse.destroy()
    assert.equal(other.clock.countTimers(), 0)
  })
})
