import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { SseOptions } from 'tabwire/server'
import { MemoryAbsences } from '../stores/memory-absences'
import { ANN, type App, BOB, type Stream, serve, type TestUser, until } from './helpers'
import { recordOf } from './service-node'

/** Long enough that nothing is told in a test before it is to be. ms */
const LONG = 60_000

/** What the application hears; connections are named by their number. `2<1`: the second is the return of the first. */
function hearing({ sse }: App): string[] {
  const heard: string[] = []
  const ids: string[] = []
  const numberOf = (id: string) => ids.indexOf(id) + 1
  sse.onConnect(({ id }, { isReturn, previous }) => {
    assert.equal(isReturn, previous !== undefined)
    ids.push(id)
    heard.push(previous ? `+${ids.length}<${numberOf(previous.id)}` : `+${ids.length}`)
  })
  sse.onDisconnect(({ id }, reason) => heard.push(`-${numberOf(id)} ${reason}`))
  return heard
}

async function listenTo(t: TestContext, options: Partial<SseOptions<TestUser>> = {}) {
  const app = await serve(t, { disconnectGrace: LONG, ...options })
  return { app, heard: hearing(app) }
}

const page = (instance: string, browser = 'b') => `clientId=${browser}&clientInstanceId=${instance}`

async function goodbye(app: App, { id }: Stream, reason: string, user = ANN): Promise<number> {
  const { json } = await app.call('/connect/disconnect.do', { as: user, json: { connectionId: id, reason } })
  return json.data.count
}

/** Gone without a word, and the server knows. */
async function lose(app: App, stream: Stream): Promise<void> {
  stream.leave()
  await until(async () => (await app.sse.getConnection(stream.id)) === undefined, 'the connection to be gone')
}

test('a page that is reloaded was not gone', async (t) => {
  const { app, heard } = await listenTo(t)
  const before = await app.connect(ANN, page('1'))
  await goodbye(app, before, 'pagehide')
  assert.equal(await app.sse.isOnline(1), false, 'questions do not wait')
  await app.connect(ANN, page('2'))
  await app.sse.close()
  assert.deepEqual(heard, ['+1', '+2<1', '-2 server-shutdown'])
})

test('a line that breaks for a moment, again and again, is no going', async (t) => {
  const { app, heard } = await listenTo(t)
  for (let n = 0; n < 3; n++) await lose(app, await app.connect(ANN, page('1')))
  await app.connect(ANN, page('1'))
  await app.sse.close()
  assert.deepEqual(heard, ['+1', '+2<1', '+3<2', '+4<3', '-4 server-shutdown'])
})

test('a stream that is renewed, or whose reader was too slow, is no going', async (t) => {
  const { app, heard } = await listenTo(t, { bufferLimit: 1 })
  const expiring = await app.connect(ANN, `${page('1')}&keepaliveTime=40`)
  await expiring.ended()
  const slow = await app.connect(ANN, page('1'))
  await app.sse.sendAll('big', 'x'.repeat(100))
  await slow.ended()
  await app.connect(ANN, page('1'))
  await app.sse.close()
  assert.deepEqual(heard, ['+1', '+2<1', '+3<2', '-3 server-shutdown'])
})

test('a page that does not come back is gone after the grace, once, and then it is a new one', async (t) => {
  const { app, heard } = await listenTo(t, { disconnectGrace: 40 })
  for (const leave of [lose, (_: App, stream: Stream) => goodbye(app, stream, 'visibilitychange')]) {
    await leave(app, await app.connect(ANN, page('1')))
    const told = heard.length + 1
    await until(() => heard.length === told, 'onDisconnect')
  }
  await app.connect(ANN, page('1'))
  assert.deepEqual(heard, ['+1', '-1 lost', '+2', '-2 visibilitychange', '+3'])
})

test('whom the server sends away is gone at once, whatever the reason is called', async (t) => {
  const { app, heard } = await listenTo(t, { clientIdMaxConnections: 1 })
  await app.connect(ANN, page('1'))
  await app.sse.disconnectByUserId(1)
  await app.connect(ANN, page('1'))
  for (const connection of await app.sse.getConnections()) connection.disconnect('lost')
  await app.connect(ANN, page('1'))
  await app.connect(ANN, page('2'))
  const expected = ['+1', '-1 server-close', '+2', '-2 lost', '+3', '+4', '-3 too-many-connections']
  assert.deepEqual(heard, expected)
})

test('the same client object comes first, then who waits longest; each takes the place of one', async (t) => {
  const { app, heard } = await listenTo(t)
  const streams: Stream[] = []
  for (const instance of ['1', '2', '3']) streams.push(await app.connect(ANN, page(instance)))
  for (const stream of streams) await goodbye(app, stream, 'pagehide')
  heard.length = 0
  await app.connect(ANN, page('1', 'another browser'))
  for (const instance of ['2', '4', '5', '6']) {
    const { id } = await app.connect(ANN, page(instance))
    await app.sse.disconnectByConnectionId(id)
  }
  const returns = heard.filter((notice) => notice.startsWith('+'))
  assert.deepEqual(returns, ['+4', '+5<2', '+6<1', '+7<3', '+8'])
})

test('nobody returns for another user, nor where no client says which browser it is', async (t) => {
  const { app, heard } = await listenTo(t)
  await goodbye(app, await app.connect(ANN, page('1')), 'pagehide')
  await app.connect(BOB, page('1'))
  await app.connect(ANN, 'clientInstanceId=1')
  await goodbye(app, await app.connect(ANN, 'clientInstanceId=9'), 'pagehide')
  await app.connect(ANN, 'clientInstanceId=9')
  assert.deepEqual(heard, ['+1', '+2', '+3', '+4', '+5'])
})

test('a page whose line broke unheard takes its own place, also without a grace', async (t) => {
  for (const disconnectGrace of [LONG, 0]) {
    const { app, heard } = await listenTo(t, { disconnectGrace })
    const older = await app.connect(ANN, page('1'))
    await app.connect(ANN, page('1'))
    await older.ended()
    await app.sse.close()
    assert.deepEqual(heard, ['+1', '+2<1', '-2 server-shutdown'])
  }
})

test('a goodbye that comes after the end of its line says why, as long as nobody is told', async (t) => {
  const { app, heard } = await listenTo(t)
  const [late, back] = [await app.connect(ANN, page('1')), await app.connect(BOB, page('1'))]
  for (const stream of [late, back]) await lose(app, stream)
  assert.equal(await app.sse.getPresence(1), 'lost')
  assert.equal(await goodbye(app, late, 'pagehide'), 1)
  assert.equal(await goodbye(app, late, 'again'), 0)
  assert.equal(await app.sse.getPresence(1), 'gone')
  await app.connect(BOB, page('1'))
  assert.equal(await goodbye(app, back, 'pagehide', BOB), 0, 'somebody is in its place')
  await app.sse.close()
  assert.deepEqual(heard, ['+1', '+2', '+3<2', '-1 pagehide', '-3 server-shutdown'])
})

test('when the service closes, what waits is told at once, and what ends meanwhile too', async (t) => {
  const { app, heard } = await listenTo(t)
  await goodbye(app, await app.connect(ANN, page('1')), 'pagehide')
  await lose(app, await app.connect(ANN, page('2', 'another browser')))
  const staying = await app.connect(BOB, page('1'))
  const closing = app.sse.close({ within: LONG })
  assert.deepEqual(heard.splice(0), ['+1', '+2', '+3', '-1 pagehide', '-2 lost'])
  await goodbye(app, staying, 'pagehide', BOB)
  await closing
  assert.deepEqual(heard, ['-3 pagehide'])
})

test('a map by connection id, kept as the documentation says, holds who is here or may be back', async (t) => {
  const { app } = await listenTo(t)
  const here = new Map<string, unknown>()
  app.sse.onConnect((connection, { previous }) => {
    if (previous) here.delete(previous.id)
    here.set(connection.id, connection)
  })
  app.sse.onDisconnect(({ id }) => void here.delete(id))
  const [ann, bob] = [await app.connect(ANN, page('1')), await app.connect(BOB, page('1'))]
  await goodbye(app, ann, 'pagehide')
  assert.deepEqual([...here.keys()], [ann.id, bob.id])
  const reloaded = await app.connect(ANN, page('2'))
  assert.deepEqual([...here.keys()], [bob.id, reloaded.id])
  await app.sse.close()
  assert.equal(here.size, 0)
})

test('a user is visible with somebody at a page, and away when nobody is at any', async (t) => {
  const { app } = await listenTo(t)
  assert.equal(await app.sse.getPresence(1), 'gone', 'was never here')
  const streams = [await app.connect(ANN, page('1')), await app.connect(ANN, page('2'))]
  const [first, second] = streams as [Stream, Stream]
  const report = (stream: Stream, away: boolean) =>
    app.call('/connect/report.do', { as: ANN, json: { connectionId: stream.id, away } })
  const seen: string[] = []
  for (const [stream, away] of [
    [first, true],
    [second, true],
    [first, false],
  ] as const) {
    await report(stream, away)
    seen.push(await app.sse.getPresence(1))
  }
  assert.deepEqual(seen, ['visible', 'away', 'visible'])
  await goodbye(app, first, 'pagehide')
  assert.equal(await app.sse.getPresence('1'), 'away', 'the one that is left decides; 1 and "1" are the same')
  assert.equal(await app.sse.isOnline(1), true)
  assert.equal(await app.sse.getPresence(2), 'gone')
})

for (const [reason, state] of Object.entries({
  visibilitychange: 'hidden',
  freeze: 'hidden',
  pagehide: 'gone',
  close: 'gone',
  destroy: 'gone',
  switchURL: 'gone',
  'of the application': 'gone',
  offline: 'lost',
  silent: 'lost',
}))
  test(`who says goodbye with "${reason}" is ${state}`, async (t) => {
    const { app } = await listenTo(t)
    await goodbye(app, await app.connect(ANN), reason)
    assert.equal(await app.sse.getPresence(1), state)
    await app.connect(ANN)
    assert.equal(await app.sse.getPresence(1), 'visible')
  })

test('who did not come back after the end of the line is lost; whom the server sent away is gone', async (t) => {
  const { app } = await listenTo(t, { bufferLimit: 1 })
  const state = () => app.sse.getPresence(1)
  await lose(app, await app.connect(ANN))
  assert.equal(await state(), 'lost')
  await (await app.connect(ANN, 'keepaliveTime=40')).ended()
  assert.equal(await state(), 'lost')
  await app.connect(ANN)
  await app.sse.disconnectByUserId(1)
  assert.equal(await state(), 'gone')
  await app.connect(ANN)
  await app.sse.sendAll('big', 'x'.repeat(100))
  assert.equal(await state(), 'lost')
})

test('of several devices the last one to leave decides, whatever is heard later of the others', async (t) => {
  const { app } = await listenTo(t)
  const [phone, desk] = [
    await app.connect(ANN, page('1', 'phone')),
    await app.connect(ANN, page('1', 'desk')),
  ]
  await lose(app, phone)
  assert.equal(await app.sse.getPresence(1), 'visible', 'one device leaving does not make the other offline')
  await goodbye(app, desk, 'visibilitychange')
  assert.equal(await app.sse.getPresence(1), 'hidden')
  assert.equal(await goodbye(app, phone, 'pagehide'), 1)
  assert.equal(await app.sse.getPresence(1), 'hidden')
})

test('who is hidden for more than a minute is gone', async (t) => {
  const { app } = await listenTo(t)
  await goodbye(app, await app.connect(ANN), 'visibilitychange')
  t.mock.timers.enable({ apis: ['Date'], now: Date.now() + 59_000 })
  assert.equal(await app.sse.getPresence(1), 'hidden')
  t.mock.timers.tick(2000)
  assert.equal(await app.sse.getPresence(1), 'gone')
})

test('only so many absent users are known, those who left last', () => {
  const absences = new MemoryAbsences()
  for (let userId = 0; userId <= 100_000; userId++)
    absences.set(recordOf('node', { id: String(userId), topics: [`user:${userId}`] }), 'lost')
  const [first, second, last] = ['user:0', 'user:1', 'user:100000'].map((user) => absences.of(user))
  assert.deepEqual([first, second, last], ['gone', 'lost', 'lost'])
})

test('a presence is asked for by an id', async (t) => {
  const { app } = await listenTo(t)
  for (const id of [undefined, null, {}, Number.NaN])
    await assert.rejects(app.sse.getPresence(id as never), TypeError)
})
