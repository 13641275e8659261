import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import Sse, { type SseEvent } from '../index'
import { FakePage, settle } from './fake'

describe('an option', () => {
  const wrong: Record<string, unknown[]> = {
    url: [undefined, '', 7, null],
    eventListeners: ['bell', 7],
    query: ['a=b'],
    headers: ['Authorization'],
    clientId: [7],
    accessTimestamp: ['now', -1, Number.NaN],
    reconnectTime: ['5000', -1],
    keepaliveTime: [-1, Number.NaN, '1', Number.POSITIVE_INFINITY],
    withCredentials: ['true', 1],
    useWindowEventBus: [1],
    intercepts: [() => {}, {}, 'no array'],
    hiddenGrace: [-1, '3000'],
    connectWhenHidden: ['yes'],
    leaveTimeout: [-5],
    leaveCheckInterval: ['500'],
    maxQueued: [-1, '9'],
  }
  for (const [name, values] of Object.entries(wrong)) {
    it(`"${name}" of a wrong kind throws a TypeError that names it`, () => {
      for (const value of values) {
        const page = new FakePage()
        const options = { url: '/sse', [name]: value } as never
        assert.throws(
          () => new Sse(options, page.env),
          { name: 'TypeError', message: new RegExp(`"${name}"`) },
          String(value),
        )
        assert.equal(page.listenerCount, 0)
      }
    })
  }

  it('that is unknown is left alone: the original has some more', () => {
    const page = new FakePage()
    const sse = page.create({ sseDurationKey: '', windowGlobal: {} } as never)
    assert.equal(sse.options.keepaliveTime, 900_000)
  })

  it('that is undefined or null means its default', () => {
    const page = new FakePage()
    const sse = page.create({ eventListeners: undefined, query: undefined, hiddenGrace: null } as never)
    assert.equal(sse.options.hiddenGrace, 0)
  })

  it('is nothing without an object', () => {
    assert.throws(() => new Sse(undefined as never), { name: 'TypeError', message: /"url"/ })
  })
})

describe('the public face', () => {
  it('is on the prototype, so that it can be tested, wrapped and spied on', () => {
    const names = Object.getOwnPropertyNames(Sse.prototype)
    const expected =
      'addListener removeListener on connect close destroy switchURL isActive send upload flush state connectionId clientId instanceId connectionName serverVersion options'
    for (const name of expected.split(' ')) assert.ok(names.includes(name), name)
  })

  it('knows its version and states', async () => {
    const { default: manifest } = await import('../../package.json', { with: { type: 'json' } })
    assert.equal(Sse.version, manifest.version)
    assert.deepEqual([Sse.STATE_CONNECTING, Sse.STATE_OPEN, Sse.STATE_CLOSED], [0, 1, 2])
  })

  it('works when it is kept in the reactive state of a framework, and so do events', async () => {
    const { reactive } = await import('vue')
    const page = new FakePage()
    const state = reactive({ sse: null as unknown, event: null as unknown as SseEvent })
    const sse = page.create({ eventListeners: { bell: (event) => Object.assign(state, { event }) } })
    state.sse = sse
    await settle()
    assert.equal((state.sse as Sse).isActive(), true)
    page.server.stream.event('bell', { count: 1 })
    await settle()
    assert.deepEqual(state.event.json, { count: 1 })
    ;(state.sse as Sse).destroy()
  })

  it('keeps what one object is given from the others', async () => {
    const page = new FakePage()
    const one = await page.createOpen()
    Object.assign(one.options.query, { token: 'alice' })
    await page.createOpen()
    assert.equal(page.server.connects()[1]?.query.get('token'), null)
  })

  it('leaves no global behind', () => {
    const before = Object.keys(globalThis).length
    new FakePage().create()
    assert.equal(Object.keys(globalThis).length, before)
  })
})
