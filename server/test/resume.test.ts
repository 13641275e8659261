import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { Store } from 'tabwire/server'
import { memoryStore } from 'tabwire/stores/memory'
import { gatedStore } from './gated-store'
import {
  ANN,
  type App,
  as,
  assertAlive,
  assertRefused,
  BOB,
  EVE,
  openStream,
  type Stream,
  serve,
  type TestUser,
  until,
} from './helpers'

const query = (params: Record<string, string>) => String(new URLSearchParams(params))

/** The same page again, with what its client remembers. */
const comeBack = (app: App, left: Stream, user = ANN, params: Record<string, string> = {}) =>
  app.connect(user, query({ ...params, lastEventId: left.cursor }))

/** Gone, and the server knows. */
async function leave(app: App, stream: Stream): Promise<void> {
  stream.leave()
  await until(async () => (await app.sse.getConnection(stream.id)) === undefined, 'the connection to be gone')
}

const recoveryOf = ({ finish: { recovered, replayed, reason } }: Stream) => ({ recovered, replayed, reason })
const replayed = (count: number) => ({ recovered: true, replayed: count, reason: undefined })
const gap = (reason: string) => ({ recovered: false, replayed: undefined, reason })

const sequence = (from: number, to: number) => Array.from({ length: to - from }, (_, n) => String(from + n))

async function send(app: App, from: number, to: number): Promise<void> {
  for (let n = from; n < to; n++) await app.sse.sendByUserId(1, 'n', n)
}

function assertIdsGrow(stream: Stream): void {
  const numbers = stream.events.filter(({ id }) => id !== '').map(({ id }) => Number(id.split('-')[1]))
  for (const [index, number] of numbers.entries())
    assert.ok(index === 0 || number > (numbers[index - 1] ?? 0), String(numbers))
}

test('a page that comes for the first time is told where it is before any event', async (t) => {
  const app = await serve(t)
  const stream = await app.connect(ANN)
  assert.match(stream.cursor, /^[\w-]+$/)
  assert.deepEqual(recoveryOf(stream), { recovered: undefined, replayed: undefined, reason: undefined })
})

test('a page that got no event at all before it left gets all that it missed', async (t) => {
  const app = await serve(t)
  const before = await app.connect(ANN)
  await leave(app, before)
  await send(app, 0, 3)
  const after = await comeBack(app, before)
  assert.deepEqual(recoveryOf(after), replayed(3))
  await after.until(() => after.events.length >= 4, 'the replay')
  assert.deepEqual(after.dataOf('n'), sequence(0, 3))
})

test('a page that missed nothing is told so', async (t) => {
  const app = await serve(t)
  const before = await app.connect(ANN)
  await app.sse.sendAll('x')
  await before.next('x')
  await leave(app, before)
  await app.sse.sendByUserId(2, 'not-for-ann')
  const after = await comeBack(app, before)
  assert.deepEqual(recoveryOf(after), replayed(0))
  await assertAlive(app, after, ANN)
  assert.deepEqual(after.names, ['connect-finish', 'still-there'])
})

for (const way of ['query', 'header', 'both, and the header is right'] as const) {
  test(`what was missed comes first, in order and once, then what is live; the cursor by ${way}`, async (t) => {
    const app = await serve(t)
    const before = await app.connect(ANN)
    await send(app, 0, 5)
    await before.until(() => before.dataOf('n').length === 5, 'five events')
    await leave(app, before)
    await send(app, 5, 205)
    const { cursor } = before
    const inQuery = way === 'query' ? cursor : way === 'header' ? '' : 'the-first-of-all'
    const after = await app.connect(ANN, query({ lastEventId: inQuery }), {
      headers: way === 'query' ? {} : { 'last-event-id': cursor },
    })
    assert.deepEqual(recoveryOf(after), replayed(200))
    await send(app, 205, 210)
    await after.until(() => after.dataOf('n').length >= 205, 'all events')
    await assertAlive(app, after, ANN)
    assert.deepEqual([...before.dataOf('n'), ...after.dataOf('n')], sequence(0, 210))
    assertIdsGrow(before)
    assert.equal(after.events[0]?.id, cursor, 'before the first event of the replay it is where it was')
    assertIdsGrow(after)
  })
}

test('whoever is cut off amid the replay goes on behind the last event it got', async (t) => {
  const app = await serve(t)
  const streams = [await app.connect(ANN)]
  for (let round = 0; round < 5; round++) {
    const last = streams.at(-1)
    assert.ok(last)
    await leave(app, last)
    await send(app, round * 20, round * 20 + 20)
    streams.push(await comeBack(app, last))
  }
  const last = streams.at(-1)
  await last?.until(() => last.dataOf('n').includes('99'), 'the last event')
  assert.deepEqual(
    streams.flatMap((stream) => stream.dataOf('n')),
    sequence(0, 100),
  )
})

test('after a restart of the backend a page is told that there is a gap, and goes on from there', async (t) => {
  const old = await serve(t)
  const before = await old.connect(ANN)
  const app = await serve(t)
  for (const n of [1, 2, 3]) await app.sse.sendAll('n', n)
  const after = await comeBack(app, before)
  assert.deepEqual(recoveryOf(after), gap('epoch'))
  await app.sse.sendAll('n', 4)
  assert.equal(await after.next('n'), '4')
  assert.deepEqual(after.names, ['connect-finish', 'n'], 'nothing of before')
  const again = await comeBack(app, after)
  assert.deepEqual(recoveryOf(again), replayed(0))
})

test('two services in one store do not take one another’s places', async (t) => {
  const store = memoryStore()
  const one = await serve(t, { store })
  const two = await serve(t, { store, name: 'crm' })
  const before = await one.connect(ANN)
  assert.deepEqual(recoveryOf(await comeBack(two, before)), gap('epoch'))
})

test('a page that was away for more than the log keeps is told that there is a gap, and gets nothing of it', async (t) => {
  const app = await serve(t, { store: memoryStore({ maxEvents: 10 }) })
  const before = await app.connect(ANN)
  await leave(app, before)
  await send(app, 0, 10)
  const full = await comeBack(app, before)
  assert.deepEqual(recoveryOf(full), replayed(10))
  await leave(app, full)
  await send(app, 10, 11)
  const after = await comeBack(app, before)
  assert.deepEqual(recoveryOf(after), gap('floor'))
  await send(app, 11, 12)
  assert.equal(await after.next('n'), '11')
  assert.deepEqual(after.names, ['connect-finish', 'n'])
  await leave(app, after)
  await send(app, 12, 13)
  assert.deepEqual(recoveryOf(await comeBack(app, after)), replayed(1), 'the gap is behind it')
})

test('what others get never gives a page a gap, however long it was quiet here', async (t) => {
  const app = await serve(t, { store: memoryStore({ maxEvents: 10 }) })
  const before = await app.connect(ANN)
  await app.sse.sendByUserId(1, 'mine', 'first')
  await before.next('mine')
  await leave(app, before)
  for (let n = 0; n < 5000; n++) await app.sse.sendByUserId(2 + (n % 3), 'theirs', n)
  assert.deepEqual(recoveryOf(await comeBack(app, before)), replayed(0))
  await app.sse.sendByUserId(1, 'mine', 'second')
  const after = await comeBack(app, before)
  assert.deepEqual(recoveryOf(after), replayed(1))
  assert.equal(await after.next('mine'), 'second')
})

test('a place that is none of ours is a gap, never a refusal', async (t) => {
  const app = await serve(t)
  const { cursor } = await app.connect(ANN)
  await send(app, 0, 3)
  const [epoch = ''] = cursor.split('-')
  const strange = [
    'x',
    '0',
    '-',
    'ä',
    '💥',
    '<script>',
    '../../etc/passwd',
    '{"a":1}',
    'a'.repeat(3000),
    `${epoch}`,
    `${epoch}-`,
    `${epoch}--1`,
    `${epoch}-1e3`,
    `${epoch}-1.5`,
    `${epoch}-NaN`,
    `${epoch}-4`,
    `${epoch}-999999999999999`,
    `${epoch}-99999999999999999999999`,
    `${epoch}-1-2`,
    `${epoch}-1-2-3`,
    `${epoch}-1-0-`,
    `${epoch}-3-2-1`,
    `${epoch}-1\n`,
    `${epoch}-1\r\nX: y`,
    `${epoch.slice(0, -1)}-1`,
    `0000000000-1`,
  ]
  for (const lastEventId of strange) {
    const stream = await app.connect(ANN, query({ lastEventId }))
    assert.equal(stream.status, 200)
    assert.deepEqual(recoveryOf(stream), gap('epoch'), lastEventId)
    assert.deepEqual(stream.names, ['connect-finish'])
    assert.match(stream.cursor, /^[\w-]+-3$/, 'told where it is')
    stream.leave()
  }
  const header = await app.connect(ANN, '', { headers: { 'last-event-id': '\x80\xff 12' } })
  assert.deepEqual(recoveryOf(header), gap('epoch'))
  const twice = await app.connect(ANN, `lastEventId=x&lastEventId=${cursor}`)
  assert.deepEqual(recoveryOf(twice), replayed(3), 'of several the last')
  assert.deepEqual(app.errors, [])
})

test('a place amid a catch-up over events that are still to come is a gap, not a leap over them', async (t) => {
  const app = await serve(t)
  const { cursor } = await app.connect(ANN)
  await send(app, 0, 3)
  const [epoch = ''] = cursor.split('-')
  for (const place of ['1-1-100', '50-1-100', '3-0-4'])
    assert.deepEqual(
      recoveryOf(await app.connect(ANN, query({ lastEventId: `${epoch}-${place}` }))),
      gap('epoch'),
      place,
    )
})

test('an empty place is none: the page begins', async (t) => {
  const app = await serve(t)
  await app.sse.sendAll('before')
  const stream = await app.connect(ANN, 'lastEventId=', { headers: { 'last-event-id': '' } })
  assert.deepEqual(recoveryOf(stream), { recovered: undefined, replayed: undefined, reason: undefined })
  await assertAlive(app, stream, ANN)
  assert.deepEqual(stream.names, ['connect-finish', 'still-there'])
})

test('what was missed is what was sent to all, the user, the tenant, the token and the channel, and nothing else', async (t) => {
  const app = await serve(t)
  const { sse } = app
  const before = await app.connect(ANN, 'channel=news')
  await leave(app, before)
  await sse.sendAll('all')
  await sse.sendByUserId(1, 'user')
  await sse.sendByTenantId(3, 'tenant')
  await sse.sendByAccessToken('secret-of-ann', 'token')
  await sse.sendByChannel('news', 'channel')
  await sse.sendByUserId(2, 'other user')
  await sse.sendByTenantId(4, 'other tenant')
  await sse.sendByAccessToken('secret-of-bob', 'other token')
  await sse.sendByChannel('sport', 'other channel')
  await sse.sendByUserId([2, 1, 3, 1], 'several users')
  await sse.sendByTenantId([4, 3], 'several tenants')
  const after = await comeBack(app, before, ANN, { channel: 'news' })
  await assertAlive(app, after, ANN)
  const expected = ['all', 'user', 'tenant', 'token', 'channel', 'several users', 'several tenants']
  assert.deepEqual(after.names, ['connect-finish', ...expected, 'still-there'])
  after.leave()
  await until(async () => !(await app.sse.isOnline(1)), 'Ann to be gone')
  const elsewhere = await comeBack(app, before, ANN, { channel: 'sport' })
  await elsewhere.until(() => elsewhere.events.length > Number(elsewhere.finish['replayed']), 'the replay')
  const there = expected.map((name) => (name === 'channel' ? 'other channel' : name))
  assert.deepEqual(new Set(elsewhere.names), new Set(['connect-finish', ...there, 'still-there']))
})

test('another user gets nothing with a place that was not theirs', async (t) => {
  const app = await serve(t)
  const ann = await app.connect(ANN, 'clientId=c&clientInstanceId=i')
  await leave(app, ann)
  await app.sse.sendByUserId(1, 'secret')
  const eve = await comeBack(app, ann, EVE, { clientId: 'c', clientInstanceId: 'i' })
  assert.deepEqual(recoveryOf(eve), replayed(0))
})

test('an event for several topics of one page comes once, live and when it was missed', async (t) => {
  const { store, append } = withTopics(memoryStore())
  const app = await serve(t, { store })
  const before = await app.connect(ANN, 'channel=news')
  await append(['channel:news', 'user:1', 'all', 'tenant:3'])
  await app.sse.sendAll('end')
  await before.next('end')
  assert.deepEqual(before.names, ['connect-finish', 'several', 'end'])
  await leave(app, before)
  await append(['all', 'channel:news', 'user:1'])
  await append(['user:9', 'tenant:3'])
  const after = await comeBack(app, before, ANN, { channel: 'news' })
  assert.deepEqual(recoveryOf(after), replayed(2))
  await assertAlive(app, after, ANN)
  assert.deepEqual(after.names, ['connect-finish', 'several', 'several', 'still-there'])
})

/** Nothing of the service sends to topics of several kinds; the store takes it all the same. */
function withTopics(store: Store) {
  const draft = { name: 'several', data: '', listening: false, key: '' }
  return { store, append: (topics: string[]) => store.append('hr', { ...draft, topics }) }
}

test('an answer to one page reaches it when it is back, and nobody else', async (t) => {
  const app = await serve(t)
  const page = 'clientId=browser&clientInstanceId=page-1'
  const before = await app.connect(ANN, page)
  const connection = await app.sse.getConnection(before.id)
  const bystanders: [TestUser, string][] = [
    [BOB, page],
    [{ id: 1, tenantId: 4 }, page],
    [{ accessToken: 'secret-of-ann', tenantId: 3 }, page],
    [ANN, 'clientId=browser&clientInstanceId=page-2'],
    [ANN, 'clientId=browser'],
  ]
  const others = await Promise.all(bystanders.map(([user, address]) => app.connect(user, address)))
  assert.equal(await connection?.send('answer', 'live'), 1)
  assert.equal(await before.next('answer'), 'live')
  await leave(app, before)
  assert.equal(await connection?.send('answer', 'missed'), 0)
  const after = await app.connect(ANN, `${page}&lastEventId=${before.cursor}`)
  assert.deepEqual(recoveryOf(after), replayed(1))
  assert.equal(await after.next('answer'), 'missed')
  assert.equal(await connection?.send('answer', 'live again'), 1, 'the instance is what it was, and is there')
  assert.equal(await after.next('answer'), 'live again')
  await app.sse.sendAll('end')
  for (const [index, other] of others.entries()) {
    await other.next('end')
    assert.deepEqual(other.names, ['connect-finish', 'end'])
    const [user, address] = bystanders[index] ?? [BOB, page]
    other.leave()
    const again = await app.connect(user, `${address}&lastEventId=${before.cursor}`)
    await again.next('end')
    assert.deepEqual(again.names, ['connect-finish', 'end'], 'nor when they come back')
  }
})

test('what went only to those who listen is replayed to who listens now', async (t) => {
  const app = await serve(t)
  const before = await app.connect(ANN, 'listeners=a')
  await leave(app, before)
  for (const name of ['a', 'b', 'c']) await app.sse.sendByUserId(1, name, '', { listening: true })
  await app.sse.sendByUserId(1, 'd')
  for (const [listeners, names] of [
    ['a', ['a', 'd']],
    ['b,c', ['b', 'c', 'd']],
    ['', ['d']],
  ] as const) {
    const after = await comeBack(app, before, ANN, { listeners })
    assert.deepEqual(recoveryOf(after), replayed(names.length))
    await after.until(() => after.events.length > names.length, 'the replay')
    assert.deepEqual(after.names, ['connect-finish', ...names])
  }
})

test('the farewell and the duration are no events of the log: they leave the client where it was', async (t) => {
  const app = await serve(t)
  const stream = await app.connect(ANN)
  await app.sse.setDurationByUserId(1, 7)
  await app.sse.disconnectByUserId(1)
  await stream.ended()
  assert.deepEqual(
    stream.events.map(({ name, id }) => [name, id !== '']),
    [
      ['connect-finish', true],
      ['sse-set-duration', false],
      ['connect-close', false],
    ],
  )
  assert.deepEqual(recoveryOf(await comeBack(app, stream)), replayed(0))
})

test('the number of events written to a connection counts those that it had missed', async (t) => {
  const app = await serve(t)
  const before = await app.connect(ANN)
  const first = await app.sse.getConnection(before.id)
  await leave(app, before)
  await send(app, 0, 3)
  const after = await comeBack(app, before)
  await assertAlive(app, after, ANN)
  const connection = await app.sse.getConnection(after.id)
  assert.equal((connection?.messageCount ?? 0) - (first?.messageCount ?? 0), 4, 'three, and one live')
})

for (const when of ['before', 'after'] as const) {
  test(`what is sent while the history is read is neither lost nor doubled (the gate is ${when} the read)`, async (t) => {
    const { store, reads } = gatedStore({}, when)
    const app = await serve(t, { store })
    const before = await opened(app, reads)
    await leave(app, before)
    await send(app, 0, 10)
    const opening = openStream(`${app.base}/connect?lastEventId=${before.cursor}`, { headers: as(ANN) })
    await until(() => reads.length === 2, 'the read')
    await send(app, 10, 20)
    reads[1]?.()
    const after = await opening
    await after.next('connect-finish')
    assert.deepEqual(recoveryOf(after), replayed(when === 'before' ? 20 : 10))
    await send(app, 20, 30)
    await assertAlive(app, after, ANN)
    assert.deepEqual(after.dataOf('n'), sequence(0, 30))
    assertIdsGrow(after)
    after.leave()
  })
}

/** Opens a stream of Ann's through the next gate. */
async function opened(
  app: App,
  reads: ReturnType<typeof gatedStore>['reads'],
  address = '',
  user = ANN,
): Promise<Stream> {
  const count = reads.length
  const opening = app.connect(user, address)
  await until(() => reads.length === count + 1, 'the read')
  reads[count]?.()
  return opening
}

test('many pages that come back through a slow store while events flow all get everything once', async (t) => {
  const { store, reads } = gatedStore()
  const app = await serve(t, { store })
  const first = await opened(app, reads)
  await leave(app, first)
  const openings: Promise<Stream>[] = []
  for (let n = 0; n < 20; n++) {
    await send(app, n * 10, n * 10 + 5)
    openings.push(comeBack(app, first))
    await until(() => reads.length === openings.length + 1, 'the read')
    await send(app, n * 10 + 5, n * 10 + 10)
    // Every other one waits for long.
    if (n % 2 === 0) reads[n + 1]?.()
  }
  for (const release of reads) release()
  for (const stream of await Promise.all(openings)) {
    await stream.until(() => stream.dataOf('n').includes('199'), 'the last event')
    assert.deepEqual(stream.dataOf('n'), sequence(0, 200))
    assertIdsGrow(stream)
  }
})

test('connect-finish stays the first event whatever is sent while the history is read', async (t) => {
  const { store, reads } = gatedStore()
  const app = await serve(t, { store })
  const opening = openStream(`${app.base}/connect?lastEventId=x`, { headers: as(ANN) })
  await until(() => reads.length === 1, 'the read')
  await app.sse.setDurationByUserId(1, 7)
  await app.sse.sendAll('x')
  reads[0]?.()
  const stream = await opening
  await assertAlive(app, stream, ANN)
  assert.equal(stream.names[0], 'connect-finish', String(stream.names))
  assert.equal(stream.names.includes('sse-set-duration'), true)
  stream.leave()
})

test('a store that cannot be read is a 503 that says so; nobody else is touched, and nothing is left', async (t) => {
  const { store, reads } = gatedStore()
  const app = await serve(t, { store })
  const heard: string[] = []
  const bob = await opened(app, reads, '', BOB)
  app.sse.onConnect(() => heard.push('connect'))
  app.sse.onDisconnect(() => heard.push('disconnect'))
  for (const mode of ['', '&mode=poll']) {
    const answering = app.call(`/connect?lastEventId=x${mode}`, { as: ANN })
    await until(() => reads.length === (mode === '' ? 2 : 3), 'the read')
    await app.sse.sendAll('meanwhile')
    reads.at(-1)?.(new Error('internal detail of the database'))
    const refused = await answering
    assertRefused(refused, 503)
    assert.match(refused.headers.get('retry-after') ?? '', /^\d+$/)
    assert.deepEqual(
      (await app.sse.getConnections()).map(({ id }) => id),
      [bob.id],
    )
    assert.equal(await app.sse.isOnline(1), false)
    assert.deepEqual(
      app.errors.splice(0).map(({ error }) => String(error)),
      ['Error: internal detail of the database'],
    )
  }
  await assertAlive(app, bob, BOB)
  assert.deepEqual(heard, [])
  const ann = await opened(app, reads)
  assert.deepEqual(heard, ['connect'], 'the next attempt is as if nothing had been')
  await assertAlive(app, ann, ANN)
})

test('a store that throws at once is no different', async (t) => {
  const store: Store = {
    ...memoryStore(),
    read() {
      throw new Error('not even a promise')
    },
  }
  const app = await serve(t, { store })
  assertRefused(await app.call('/connect', { as: ANN }), 503)
  assert.equal(await app.sse.getConnectionCount(), 0)
  assert.equal(app.errors.length, 1)
})

test('a page that leaves while its history is read was never there', async (t) => {
  const { store, reads } = gatedStore()
  const app = await serve(t, { store })
  const heard = hearing(app)
  const leaving = new AbortController()
  const attempt = fetch(`${app.base}/connect?lastEventId=x`, { headers: as(ANN), signal: leaving.signal })
  await until(() => reads.length === 1, 'the read')
  assert.equal(await app.sse.getConnectionCount(), 1)
  leaving.abort()
  await assert.rejects(attempt)
  await until(async () => (await app.sse.getConnectionCount()) === 0, 'the connection to be gone')
  reads[0]?.()
  const bob = await opened(app, reads, '', BOB)
  await assertAlive(app, bob, BOB)
  await leave(app, bob)
  await until(() => heard.length === 2, 'both')
  assert.deepEqual(heard, ['connect 2', 'disconnect 2 lost'])
  assert.deepEqual(app.errors, [])
})

function hearing({ sse }: App): string[] {
  const heard: string[] = []
  sse.onConnect(({ userId }) => heard.push(`connect ${userId}`))
  sse.onDisconnect(({ userId }, reason) => heard.push(`disconnect ${userId} ${reason}`))
  return heard
}

test('nobody is heard to leave who was not heard to come, however much was sent while the history was read', async (t) => {
  const { store, reads } = gatedStore({}, 'after')
  const app = await serve(t, { store, bufferLimit: 10_000 })
  const heard = hearing(app)
  const opening = openStream(`${app.base}/connect?lastEventId=x`, { headers: as(ANN) })
  await until(() => reads.length === 1, 'the read')
  for (let n = 0; n < 10; n++) await app.sse.sendAll('big', 'x'.repeat(5000))
  reads[0]?.()
  const stream = await opening
  await stream.until(() => stream.events.length > 0, 'an answer')
  stream.leave()
  await until(async () => (await app.sse.getConnectionCount()) === 0, 'the connection to be gone')
  // Then all that is to be heard was heard.
  await app.sse.close()
  assert.match(String(heard), /^(connect 1,disconnect 1 [\w-]+)?$/)
})

const PAGE = 'clientId=browser&clientInstanceId=page-1'

test('one page has one stream: the one it opened before is told that it is superseded, and ends', async (t) => {
  const app = await serve(t)
  const heard = hearing(app)
  const older = await app.connect(ANN, PAGE)
  const others = [
    await app.connect(BOB, PAGE),
    await app.connect(ANN, 'clientId=browser&clientInstanceId=page-2'),
    await app.connect(ANN, 'clientId=other&clientInstanceId=page-1'),
    await app.connect(ANN, 'clientInstanceId=page-1'),
  ]
  const newer = await app.connect(ANN, PAGE)
  assert.deepEqual(await older.json('connect-close'), {
    connectionId: older.id,
    reason: 'superseded',
    // The newer one may be an attempt that was given up and came late: then the page comes back.
    reconnect: true,
  })
  await older.ended()
  assert.deepEqual(heard.slice(4), ['connect 1', 'connect 1'], 'the page is back, and was not gone')
  assert.equal(await app.sse.sendAll('ping'), 5)
  for (const stream of [...others, newer]) await stream.next('ping')
})

test('a stream that is superseded does not hand its events on twice: the new one begins where the old one was', async (t) => {
  const app = await serve(t)
  const older = await app.connect(ANN, PAGE)
  await send(app, 0, 3)
  await older.until(() => older.dataOf('n').length === 3, 'three events')
  older.stall()
  await send(app, 3, 6)
  const newer = await app.connect(ANN, `${PAGE}&lastEventId=${older.cursor}`)
  await send(app, 6, 8)
  await newer.until(() => newer.dataOf('n').length >= 5, 'five events')
  assert.deepEqual(newer.dataOf('n'), sequence(3, 8))
})

test('the newer stream of a page wins also when the older one’s history takes longer, or shorter, to read', async (t) => {
  for (const order of [
    [0, 1],
    [1, 0],
  ])
    await raceOfTwo(t, order)
})

async function raceOfTwo(t: TestContext, order: number[]): Promise<void> {
  const { store, reads } = gatedStore()
  const app = await serve(t, { store })
  const openings: Promise<Stream>[] = []
  for (const n of [0, 1]) {
    openings.push(openStream(`${app.base}/connect?${PAGE}`, { headers: as(ANN) }))
    await until(() => reads.length === n + 1, 'the read')
  }
  for (const n of order) {
    reads[n]?.()
    await openings[n]
  }
  const [older, newer] = await Promise.all(openings)
  assert.ok(older && newer)
  await older.ended()
  assert.equal(JSON.parse(older.dataOf('connect-close')[0] ?? '{}').reason, 'superseded')
  await newer.next('connect-finish')
  await assertAlive(app, newer, ANN)
  newer.leave()
}
