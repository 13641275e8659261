import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { type Clock, install } from '@sinonjs/fake-timers'
import fc from 'fast-check'
import { ACK_TIMEOUT, type Page, World } from './qos-world'

const RUNS = Number(process.env['FC_RUNS'] ?? 100)
/** Longer than anything of the server's waits for. */
const AGES = 10 * 24 * 60 * 60 * 1000

interface Step {
  run(world: World, clock: Clock): unknown
  toString(): string
}

const named = (text: string, run: Step['run']): Step => ({ run, toString: () => text })
const withPage = (text: string, run: (page: Page) => unknown) =>
  fc.nat(5).map((n) => named(`page ${n} ${text}`, ({ pages }) => run(pages[n] as Page)))

const name = fc.constantFrom('a', 'b')
const topics = fc.constantFrom(['all'], ['user:1'], ['user:1', 'user:2'], ['user:3'], ['tenant:1'])
const options = fc.record({
  each: fc.boolean(),
  listening: fc.boolean(),
  timeout: fc.constantFrom(1500, AGES / 20),
})

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .tuple(topics, name, options)
      .map(([to, name, how]) =>
        named(`send ${name} to ${to} ${JSON.stringify(how)}`, (world) => world.send(to, name, how)),
      ),
  },
  { weight: 1, arbitrary: topics.map((to) => named(`send to ${to}`, (world) => world.sendPlain(to))) },
  { weight: 5, arbitrary: withPage('connects', (page) => page.connect(true)) },
  { weight: 2, arbitrary: withPage('connects anew', (page) => page.connect(false)) },
  { weight: 2, arbitrary: withPage('is cut', (page) => page.cut()) },
  { weight: 1, arbitrary: withPage('leaves', (page) => page.leave('none')) },
  { weight: 1, arbitrary: withPage('says goodbye', (page) => page.leave('before')) },
  { weight: 1, arbitrary: withPage('says goodbye late', (page) => page.leave('after')) },
  { weight: 4, arbitrary: withPage('reports', (page) => page.report(0)) },
  { weight: 2, arbitrary: withPage('reports what was before', (page) => page.report(1)) },
  { weight: 2, arbitrary: withPage('listens to a', (page) => page.add('a')) },
  { weight: 2, arbitrary: withPage('listens to b', (page) => page.add('b')) },
  { weight: 2, arbitrary: withPage('does not listen to a', (page) => page.remove('a')) },
  { weight: 1, arbitrary: withPage('does not listen to b', (page) => page.remove('b')) },
  { weight: 1, arbitrary: fc.nat(3).map((n) => named(`cancel ${n}`, (world) => world.cancel(n))) },
  {
    weight: 2,
    arbitrary: fc.constantFrom(100, ACK_TIMEOUT, 5 * ACK_TIMEOUT).map((ms) =>
      named(`${ms} ms pass`, async (world, clock) => {
        await clock.tickAsync(ms)
        world.expire()
      }),
    ),
  },
)

function stopTime(t: TestContext): Clock {
  const clock = install({
    toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date', 'performance'],
  })
  t.after(() => clock.uninstall())
  return clock
}

test('whatever happens, a message is done when it was acknowledged, and till then all who listen have it', async (t) => {
  const clock = stopTime(t)
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60, size: 'max' }), async (steps) => {
      const world = new World()
      for (const step of steps) {
        await step.run(world, clock)
        await world.check()
      }
      for (const page of world.pages) await page.end()
      await clock.tickAsync(AGES)
      world.expire()
      await world.check()
      assert.equal(clock.countTimers(), 0, 'nothing is left that waits')
    }),
    { numRuns: RUNS },
  )
})
