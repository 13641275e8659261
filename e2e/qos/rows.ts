import type { Moment } from './child'
import type { World } from './world'

export interface Row {
  readonly name: string
  /** What happens; in the end the message is sent, and somebody could be shown it. */
  run(world: World): Promise<void>
  /** How often the application is shown it, by all pages in all, but once at most by each. Default 1. */
  readonly shown?: number
  /** What becomes of the promise of each send; default: one acknowledgement. Not there: it depends. */
  readonly outcomes?: readonly unknown[] | undefined
  /** The server is killed: only a store that outlives it will do. */
  readonly kills?: true
}

/** When something happens at random, ms after the send; acknowledgements take 200. */
const SOON = 400

const offline: Row[] = [
  {
    name: 'the user is offline, and comes later',
    async run(world) {
      world.send()
      await world.holds(1)
      await world.open()
    },
  },
  {
    name: 'the user is elsewhere, and comes back to where the page was',
    async run(world) {
      const page = await world.open({ resumes: true })
      const { browser, proxy } = world.stage
      const address = page.url()
      await page.goto(`${proxy.origin}/other`)
      world.send()
      await world.holds(1)
      await page.goto(address)
      await browser.show(page)
    },
  },
]

/** Shown, and the acknowledgement is on its way. */
async function showUnacknowledged(world: World): Promise<void> {
  const { proxy } = world.stage
  proxy.stall('up')
  world.send()
  await world.shown()
  await world.holds(1)
}

const tabs: Row[] = [
  {
    name: 'the tab crashes before the acknowledgement, and another is opened',
    async run(world) {
      const page = await world.open()
      await showUnacknowledged(world)
      await world.crash(page)
      world.repair()
      await world.holds(1)
      await world.open()
    },
  },
  {
    name: 'the tab crashes at any moment, and another is opened',
    async run(world) {
      const page = await world.open()
      world.send()
      await world.pause(SOON)
      await world.crash(page)
      await world.open()
    },
  },
  {
    name: 'the tab is closed before the acknowledgement, the goodbye is lost, and another is opened',
    async run(world) {
      const page = await world.open()
      await showUnacknowledged(world)
      await world.close(page)
      world.repair()
      await world.holds(1)
      await world.open()
    },
  },
  {
    // Its goodbye may come or not: the browser does not wait for a slow page.
    name: 'the tab is closed at any moment, and another is opened',
    async run(world) {
      const page = await world.open()
      world.send()
      await world.pause(SOON)
      await world.close(page)
      await world.open()
    },
  },
]

const hidden: Row[] = [
  {
    name: 'the page is hidden before the event, and shown again',
    async run(world) {
      const { browser } = world.stage
      const page = await world.open()
      await browser.hide(page)
      world.send()
      await world.holds(1)
      await browser.show(page)
    },
  },
  {
    name: 'the page is hidden before the acknowledgement, which comes with the goodbye',
    async run(world) {
      const { browser, proxy } = world.stage
      const page = await world.open()
      await showUnacknowledged(world)
      await browser.hide(page)
      await world.holds(1)
      proxy.resume()
      await world.holds(0)
    },
  },
  {
    name: 'the page is hidden before the acknowledgement, the goodbye is lost, and it is shown again',
    async run(world) {
      const { browser } = world.stage
      const page = await world.open()
      await showUnacknowledged(world)
      await browser.hide(page)
      world.repair()
      await world.holds(1)
      await browser.show(page)
    },
  },
  {
    name: 'the page is hidden at any moment, and shown again',
    async run(world) {
      const { browser } = world.stage
      const page = await world.open()
      world.send()
      await world.pause(SOON)
      await browser.hide(page)
      await browser.show(page)
    },
  },
]

/** It dies at this moment, and another takes its place. @param held how many messages that one finds in the store */
function killedAt(moment: Moment, held: number): Row {
  return {
    name: `the server is killed ${moment}`,
    kills: true,
    outcomes: ['died'],
    async run(world) {
      const { proxy, server } = world.stage
      await world.open()
      await world.dieAt(moment)
      world.send()
      await world.settled()
      // Nobody comes back before somebody has looked.
      proxy.stall('up')
      await server.restart()
      await world.holds(held)
      world.repair()
    },
  }
}

const notStored = killedAt('before it is stored', 0)

const kills: Row[] = [
  {
    ...notStored,
    name: `${notStored.name}, and the application sends it again`,
    outcomes: ['died', 1],
    async run(world) {
      await notStored.run(world)
      world.send()
    },
  },
  killedAt('when it is stored', 1),
  killedAt('before it is written', 1),
  {
    name: 'the server is killed when it is written, before it has come',
    kills: true,
    outcomes: ['died'],
    async run(world) {
      const { proxy, server } = world.stage
      await world.open()
      proxy.stall('down')
      world.send()
      await world.holds(1)
      await server.restart()
      world.repair()
    },
  },
  {
    name: 'the server is killed when it is shown, before the acknowledgement has come',
    kills: true,
    outcomes: ['died'],
    async run(world) {
      await world.open()
      await showUnacknowledged(world)
      await world.stage.server.restart()
      await world.holds(1)
      world.repair()
    },
  },
  killedAt('before the acknowledgement is stored', 1),
  killedAt('when the acknowledgement is stored', 0),
  {
    name: 'the server is killed when the promise is settled',
    kills: true,
    async run(world) {
      const page = await world.open()
      world.send()
      await world.settled()
      await world.stage.server.restart()
      await world.connected(page)
    },
  },
  {
    name: 'the server is killed at any moment after it is stored',
    kills: true,
    outcomes: undefined,
    async run(world) {
      await world.open()
      world.send()
      await world.holds(1)
      await world.pause(SOON)
      await world.stage.server.restart()
    },
  },
]

const listeners: Row[] = [
  {
    name: 'the listener is added later',
    async run(world) {
      const page = await world.open({ deaf: true })
      world.send()
      await world.holds(1)
      await page.evaluate(() => window.listen())
    },
  },
  {
    name: 'the listener throws',
    async run(world) {
      await world.open({ fails: true })
      world.send()
    },
  },
]

const lines: Row[] = [
  {
    name: 'the line breaks before the event comes',
    async run(world) {
      await world.open()
      world.stage.proxy.stall('down')
      world.send()
      await world.holds(1)
      world.repair()
    },
  },
  {
    name: 'the line breaks before the acknowledgement',
    async run(world) {
      await world.open()
      await showUnacknowledged(world)
      world.repair()
    },
  },
  {
    name: 'the acknowledgement is lost, and the line lives',
    async run(world) {
      const { proxy } = world.stage
      await world.open()
      proxy.cutAfter(0, { direction: 'up', times: Number.POSITIVE_INFINITY })
      world.send()
      await world.isSent(2)
      await world.holds(1)
      proxy.cutAfter(Number.POSITIVE_INFINITY, { direction: 'up' })
    },
  },
  {
    name: 'the line breaks at any moment',
    async run(world) {
      await world.open()
      world.send()
      await world.pause(SOON)
      world.stage.proxy.cut()
    },
  },
]

const several: Row[] = [
  {
    name: 'two tabs are seen at once',
    shown: 2,
    async run(world) {
      await world.openBeside(await world.open())
      world.send()
    },
  },
  {
    name: 'one of two tabs is seen, and the other later',
    shown: 2,
    async run(world) {
      const first = await world.open()
      await world.open()
      world.send()
      await world.shown()
      await world.holds(0)
      await world.stage.browser.show(first)
    },
  },
  {
    name: 'two tabs are seen at once, and one crashes before the acknowledgement',
    shown: 2,
    async run(world) {
      const first = await world.open()
      await world.openBeside(first)
      await showUnacknowledged(world)
      await world.shown(2)
      await world.crash(first)
      world.repair()
    },
  },
]

export const ROWS: readonly Row[] = [
  ...offline,
  ...tabs,
  ...hidden,
  ...kills,
  ...listeners,
  ...lines,
  ...several,
]
