import assert from 'node:assert/strict'
import { test } from 'node:test'
import { memoryStore } from 'tabwire/stores/memory'
import { ANN, type App, assertRefused, BOB, EVE, type Stream, serve, until } from './helpers'
import {
  acking,
  caughtUp,
  changeListeners,
  isOpen,
  join,
  messagesOf,
  outcomeOf,
  pendingIn,
  rejoin,
  report,
} from './qos-client'

const gone = (app: App, id: number) => until(async () => !(await app.sse.isOnline(id)), 'the user to be gone')

test('who was offline gets it when coming, and the sender learns that it was handled', async (t) => {
  const app = await serve(t)
  const sent = app.sse.qos().sendByUserId(1, 'm', { n: 1 })
  const stream = await join(app, ANN)
  assert.equal(await stream.next('m'), '{"n":1}')
  assert.deepEqual(messagesOf(stream), [sent.messageId])
  assert.match(stream.cursor, /^[0-9a-z]+-\d+~[\w-]+$/)
  assert.doesNotMatch(stream.events[0]?.id ?? '', /~/, 'connect-finish brings no message')
  assert.equal(await isOpen(sent), true, 'written is not handled')
  assert.deepEqual((await report(app, ANN, stream, stream.cursor)).json.data, {})
  assert.equal(await outcomeOf(sent), 1)
  const other = await join(app, ANN, { clientInstanceId: 'other' })
  await caughtUp(app, other)
  assert.deepEqual(messagesOf(other), [], 'it is done')
})

for (const listening of [false, true]) {
  test(`each of the five audiences gets it, and nobody else${listening ? ', if they listen' : ''}`, async (t) => {
    const app = await serve(t)
    const streams: [Stream, typeof ANN][] = []
    for (const user of [ANN, BOB, EVE])
      streams.push([await join(app, user, { channel: `of${user.id}` }), user])
    const deaf = await app.connect(ANN, 'listeners=other')
    const qos = app.sse.qos()
    const audiences = [
      ['all', qos.sendAll('m', 'all', { listening }), [1, 2, 3]],
      ['user', qos.sendByUserId([1, '3'], 'm', 'user', { listening }), [1, 3]],
      ['tenant', qos.sendByTenantId(3, 'm', 'tenant', { listening }), [1, 2]],
      ['token', qos.sendByAccessToken('secret-of-bob', 'm', 'token', { listening }), [2]],
      ['channel', qos.sendByChannel('of3', 'm', 'channel', { listening }), [3]],
    ] as const
    for (const [stream, user] of streams) {
      await caughtUp(app, stream)
      const expected = audiences.filter(([, , ids]) => ids.some((id) => id === user.id)).map(([name]) => name)
      assert.deepEqual(stream.dataOf('m'), expected)
      await report(app, user, stream, stream.cursor)
    }
    for (const [, sent] of audiences) assert.equal(await outcomeOf(sent), 1)
    // A client that does not acknowledge is sent everything that is not for listeners only.
    await caughtUp(app, deaf)
    assert.deepEqual(deaf.dataOf('m'), listening ? [] : ['all', 'user', 'tenant'])
  })
}

test('with each it is done when every user named has acknowledged, whoever came first', async (t) => {
  const app = await serve(t)
  const [ann, bob] = [await join(app, ANN), await join(app, BOB)]
  const second = await join(app, ANN, { clientInstanceId: 'second' })
  const sent = app.sse.qos().sendByUserId([1, 2, 3], 'm', 'x', { each: true })
  for (const stream of [ann, bob, second]) await stream.next('m')
  await report(app, ANN, ann, ann.cursor)
  await report(app, ANN, second, second.cursor)
  await report(app, BOB, bob, bob.cursor)
  assert.equal(await isOpen(sent), true)
  const third = await join(app, ANN, { clientInstanceId: 'third' })
  await caughtUp(app, third)
  assert.deepEqual(messagesOf(third), [], 'Ann has acknowledged')
  const eve = await join(app, EVE)
  await eve.next('m')
  await report(app, EVE, eve, eve.cursor)
  assert.equal(await outcomeOf(sent), 3)
})

test('with each, of another audience those who are online count, and with listening those who listen', async (t) => {
  const app = await serve(t)
  const [ann, bob] = [await join(app, ANN), await join(app, BOB)]
  await join(app, EVE, { listeners: 'other' })
  const all = app.sse.qos().sendByTenantId(3, 'm', 'all', { each: true })
  const listening = app.sse.qos().sendAll('m', 'listening', { each: true, listening: true })
  for (const [stream, user] of [[ann, ANN] as const, [bob, BOB] as const]) {
    assert.equal(await isOpen(all), true)
    assert.equal(await isOpen(listening), true)
    await stream.until(() => stream.dataOf('m').length === 2, 'both')
    await report(app, user, stream, stream.cursor)
  }
  assert.equal(await outcomeOf(all), 2)
  assert.equal(await outcomeOf(listening), 2)
  assert.equal(await outcomeOf(app.sse.qos().sendByChannel('empty', 'm', '', { each: true })), 0, 'nobody')
  assert.equal(await outcomeOf(app.sse.qos().sendByUserId([], 'm')), 0)
})

/** Ways to acknowledge up to a cursor. */
const WAYS: Record<string, (app: App, stream: Stream, cursor: string) => Promise<unknown>> = {
  'a report as JSON': (app, stream, cursor) => report(app, ANN, stream, cursor),
  'a report as a form': (app, { id: connectionId }, lastEventId) =>
    app.call('/connect/report.do', {
      as: ANN,
      body: new URLSearchParams({ connectionId, lastEventId, away: 'false' }),
    }),
  'a report as a text beacon': (app, { id: connectionId }, lastEventId) =>
    app.call('/connect/report.do', {
      as: ANN,
      headers: { 'content-type': 'text/plain;charset=UTF-8' },
      body: JSON.stringify({ connectionId, lastEventId }),
    }),
  'a message': (app, { id }, cursor) =>
    app.call(`/connect/message/x.do?${before(cursor, id)}`, { as: ANN, json: {} }),
  'an upload': (app, { id }, cursor) => {
    const body = new FormData()
    body.set('f', new Blob(['x']), 'f')
    return app.call(`/connect/upload/x.do?${before(cursor, id)}`, { as: ANN, body })
  },
  'a batch': (app, { id }, cursor) =>
    app.call(`/connect/batch.do?${before(cursor, id)}`, { as: ANN, json: { entries: [] } }),
  'a listener that is added': (app, stream, cursor) =>
    changeListeners(app, ANN, stream, 'add', ['n'], lastEventId(cursor)),
  'a listener that is removed': (app, stream, cursor) =>
    changeListeners(app, ANN, stream, 'remove', ['n'], lastEventId(cursor)),
  'the goodbye': (app, { id: connectionId }, lastEventId) =>
    app.call('/connect/disconnect.do', { as: ANN, body: new URLSearchParams({ connectionId, lastEventId }) }),
  'the connect of the same page': async (app, stream, lastEventId) => {
    stream.leave()
    await gone(app, 1)
    return join(app, ANN, { lastEventId })
  },
  'the connect of the same page, whose line nobody saw break': (app, _stream, lastEventId) =>
    join(app, ANN, { lastEventId }),
}
const lastEventId = (cursor: string) => `${new URLSearchParams({ lastEventId: cursor })}`
const before = (cursor: string, id: string) => `${lastEventId(cursor)}&connectionId=${id}`

for (const [name, acknowledge] of Object.entries(WAYS)) {
  test(`acknowledged by ${name}: what was written up to there`, async (t) => {
    const app = await serve(t, { onMessage: () => 'ok', onUpload: () => 'ok' })
    const stream = await join(app, ANN)
    const sent = [1, 2, 3].map((n) => app.sse.qos().sendByUserId(1, 'm', n))
    await stream.until(() => stream.dataOf('m').length === 3, 'all three')
    const [, second] = stream.events.filter(({ name }) => name === 'm')
    await acknowledge(app, stream, second?.id ?? '')
    assert.deepEqual(await outcomeOf(Promise.all(sent.slice(0, 2))), [1, 1])
    assert.equal(await isOpen(sent[2] ?? Promise.resolve()), true)
    assert.deepEqual(app.errors, [])
  })
}

test('a cursor behind the connection’s id in the query is the message’s own', async (t) => {
  const heard: unknown[] = []
  const app = await serve(t, { onMessage: (_path, _connection, message) => heard.push(message) })
  const stream = await join(app, ANN)
  const sent = app.sse.qos().sendByUserId(1, 'm', 1)
  await stream.next('m')
  await app.call(`/connect/message/x.do?connectionId=${stream.id}&${lastEventId(stream.cursor)}`, {
    as: ANN,
    method: 'POST',
  })
  assert.deepEqual({ ...(heard[0] as object) }, { lastEventId: stream.cursor })
  assert.equal(await isOpen(sent), true)
})

test('a poll acknowledges by its cursor', async (t) => {
  const app = await serve(t)
  const ask = (params: Record<string, string>) =>
    app.call(`/connect?${acking({ mode: 'poll', ...params })}`, { as: ANN })
  const sent = app.sse.qos().sendByUserId(1, 'm', 'x')
  const [, connectionId = ''] = /"connectionId":"([^"]+)"/.exec((await ask({})).text) ?? []
  // Sent while there was no answer to write it to.
  const second = app.sse.qos().sendByUserId(1, 'm', 'y')
  const first = await join(app, ANN, { clientInstanceId: 'reads along' })
  const cursor = first.events.findLast(({ name }) => name === 'connect-finish')?.id ?? ''
  first.leave()
  assert.equal(await isOpen(sent), true)
  await ask({ connectionId, lastEventId: cursor, wait: '0' })
  assert.equal(await outcomeOf(sent), 1)
  void second
})

test('a report of another user is refused, and acknowledges nothing', async (t) => {
  const app = await serve(t)
  const stream = await join(app, ANN)
  const sent = app.sse.qos().sendByUserId(1, 'm', 'x')
  await stream.next('m')
  assertRefused(await report(app, BOB, stream, stream.cursor), 403)
  assertRefused(await app.call('/connect/report.do', { as: ANN, json: { lastEventId: stream.cursor } }), 400)
  assertRefused(await app.call('/connect/report.do', { as: ANN, json: { connectionId: 'x' } }), 404)
  assert.equal(await isOpen(sent), true)
})

test('a place that is none, or in another log, acknowledges nothing and harms nothing', async (t) => {
  const app = await serve(t)
  const stream = await join(app, ANN)
  const sent = app.sse.qos().sendByUserId(1, 'm', 'x')
  await stream.next('m')
  const [cursor = '', message = ''] = stream.cursor.split('~')
  const [epoch = '', seq = ''] = cursor.split('-')
  const strange = ['', 'x', '~', `~${message}`, `${cursor}~${message}~`, `0000000000-${seq}`, `${epoch}-0`]
  for (const text of [...strange, `${epoch}-`, 'ä~ö', 'a'.repeat(3000)])
    assert.equal((await report(app, ANN, stream, text)).status, 200, text)
  for (const lastEventId of [{}, [], null, 7, true])
    assert.equal(
      (await app.call('/connect/report.do', { as: ANN, json: { connectionId: stream.id, lastEventId } }))
        .status,
      200,
    )
  assert.equal(await isOpen(sent), true)
  assert.deepEqual(app.errors, [])
  await report(app, ANN, stream, `${cursor}~`)
  assert.equal(await outcomeOf(sent), 1, 'the cursor counts')
})

test('away is told by a report, and stays as it was in one that does not say', async (t) => {
  const app = await serve(t)
  const stream = await join(app, ANN)
  const isAway = async () => (await app.sse.getConnection(stream.id))?.isAway
  assert.equal(await isAway(), false)
  for (const [rest, expected] of [
    [{ away: 'true' }, true],
    [{}, true],
    [{ away: false }, false],
    [{ away: true }, true],
  ] as const) {
    await report(app, ANN, stream, '', rest)
    assert.equal(await isAway(), expected)
  }
})

test('what comes after the line broke still acknowledges: the report, and the goodbye', async (t) => {
  const app = await serve(t)
  for (const path of ['report', 'disconnect']) {
    const stream = await join(app, ANN)
    const sent = app.sse.qos().sendByUserId(1, 'm', path)
    await stream.next('m')
    stream.leave()
    await gone(app, 1)
    const { status } = await app.call(`/connect/${path}.do`, {
      as: ANN,
      body: new URLSearchParams({ connectionId: stream.id, lastEventId: stream.cursor }),
    })
    assert.equal(status, 200)
    assert.equal(await outcomeOf(sent), 1, path)
  }
})

test('unacknowledged it comes again, once: in the catch-up, or behind it', async (t) => {
  const app = await serve(t)
  const stream = await join(app, ANN)
  const before = stream.cursor
  const sent = app.sse.qos().sendByUserId(1, 'm', 'x')
  await stream.next('m')
  const places: Record<string, string | undefined> = {
    'from before it': before,
    'with no place': undefined,
    'from another log': 'x-1',
    'of another page, from behind it': stream.cursor,
  }
  let instance = 0
  for (const [name, lastEventId] of Object.entries(places)) {
    const clientInstanceId = name.startsWith('of another') ? String(++instance) : 'i'
    const again = await join(app, ANN, { clientInstanceId, ...(lastEventId && { lastEventId }) })
    await again.next('m')
    await caughtUp(app, again)
    assert.deepEqual(messagesOf(again), [sent.messageId], name)
    again.leave()
    await gone(app, 1)
  }
  const again = await join(app, ANN, { lastEventId: before })
  await caughtUp(app, again)
  assert.deepEqual(messagesOf(again), [sent.messageId], 'once, though it stands in the log several times')
  assert.equal(again.finish['replayed'], again.events.length - 2)
})

test('the catch-up policies do not swallow it', async (t) => {
  const app = await serve(t)
  const stream = await join(app, ANN)
  stream.leave()
  await gone(app, 1)
  for (const catchUp of ['drop', 'latest', 'count']) {
    const sent = [1, 2].map((n) => app.sse.qos().sendByUserId(1, 'm', n))
    await app.sse.sendByUserId(1, 'm', 'plain')
    const again = await rejoin(app, ANN, stream, { catchUp: `m:${catchUp}`, clientInstanceId: catchUp })
    await caughtUp(app, again)
    assert.deepEqual(
      messagesOf(again).slice(-2),
      sent.map(({ messageId }) => messageId),
      catchUp,
    )
    await report(app, ANN, again, again.cursor)
    assert.deepEqual(await outcomeOf(Promise.all(sent)), [1, 1])
    again.leave()
    await gone(app, 1)
  }
})

test('it is sent to who listens: when a listener is added, and not before', async (t) => {
  const app = await serve(t)
  const stream = await join(app, ANN, { listeners: '' })
  const sent = app.sse.qos().sendByUserId(1, 'm', 'x')
  const other = app.sse.qos().sendByUserId(1, 'other', 'x')
  await caughtUp(app, stream)
  assert.deepEqual(messagesOf(stream), [])
  await changeListeners(app, ANN, stream, 'add', ['m'])
  await stream.next('m')
  await changeListeners(app, ANN, stream, 'add', ['m', 'n'])
  await caughtUp(app, stream)
  assert.deepEqual(messagesOf(stream), [sent.messageId], 'once')
  await report(app, ANN, stream, stream.cursor)
  assert.equal(await outcomeOf(sent), 1)
  assert.equal(await isOpen(other), true)
})

test('what was on the way when its listener was removed is not acknowledged by what came later', async (t) => {
  const app = await serve(t)
  const stream = await join(app, ANN, { listeners: 'm,n' })
  const sent = app.sse.qos().sendByUserId(1, 'm', 'x')
  await stream.next('m')
  await changeListeners(app, ANN, stream, 'remove', ['m'])
  const later = app.sse.qos().sendByUserId(1, 'n', 'x')
  await stream.next('n')
  await report(app, ANN, stream, stream.cursor)
  assert.equal(await outcomeOf(later), 1)
  assert.equal(await isOpen(sent), true)
  await changeListeners(app, ANN, stream, 'add', ['m'])
  await stream.next('m')
  await report(app, ANN, stream, stream.cursor)
  assert.equal(await outcomeOf(sent), 1)
})

test('a listener that is removed when it has heard it has heard it, and those before', async (t) => {
  const app = await serve(t)
  const stream = await join(app, ANN, { listeners: 'm,n' })
  const qos = app.sse.qos()
  const sent = [1, 2, 3].map((n) => qos.sendByUserId(1, 'm', n))
  await stream.until(() => stream.dataOf('m').length === 3, 'all three')
  const second = stream.events.filter(({ name }) => name === 'm')[1]?.id ?? ''
  await changeListeners(app, ANN, stream, 'remove', ['m'], lastEventId(second))
  assert.deepEqual(await outcomeOf(Promise.all(sent.slice(0, 2))), [1, 1])
  assert.equal(await isOpen(sent[2] ?? Promise.resolve()), true, 'it may have come when nobody listened')
})

test('a page that comes back listening to less has not handled what it does not listen to', async (t) => {
  const app = await serve(t)
  const stream = await join(app, ANN, { listeners: 'm,n' })
  const [sent, other] = ['m', 'n'].map((name) => app.sse.qos().sendByUserId(1, name, 'x'))
  await stream.next('n')
  const again = await rejoin(app, ANN, stream, { listeners: 'n' })
  assert.equal(await outcomeOf(other ?? Promise.resolve(0)), 1)
  assert.equal(await isOpen(sent ?? Promise.resolve()), true)
  await changeListeners(app, ANN, again, 'add', ['m'])
  await again.next('m')
})

test('an open connection that does not acknowledge is sent it again, each time after twice as long', async (t) => {
  const app = await serve(t, { ackTimeout: 60 })
  const stream = await join(app, ANN)
  const times: number[] = []
  const sent = app.sse.qos().sendByUserId(1, 'm', 'x')
  for (let n = 0; n < 4; n++) {
    await stream.next('m')
    times.push(performance.now())
  }
  const gaps = times.slice(1).map((time, n) => time - (times[n] ?? 0))
  // A timer of Node's may be a millisecond early; what is written may be gathered for 20.
  for (const [n, gap] of gaps.entries()) assert.ok(gap >= 60 * 2 ** n - 25, `${gaps}`)
  assert.deepEqual(new Set(messagesOf(stream)), new Set([sent.messageId]))
  const [first] = stream.events.filter(({ name }) => name === 'm')
  await report(app, ANN, stream, first?.id ?? '')
  assert.equal(await outcomeOf(sent), 1, 'whoever is behind the first has handled it')
})

test('it is not sent again when somebody else has acknowledged it', async (t) => {
  const app = await serve(t, { ackTimeout: 40 })
  const [silent, ann] = [await join(app, BOB), await join(app, ANN)]
  const sent = app.sse.qos().sendByTenantId(3, 'm', 'x')
  const waits = app.sse.qos().sendByUserId(2, 'm', 'y')
  await ann.next('m')
  await report(app, ANN, ann, ann.cursor)
  await outcomeOf(sent)
  await silent.until(() => messagesOf(silent).length === 4, 'the other one twice more')
  assert.deepEqual(
    messagesOf(silent),
    [sent, waits, waits, waits].map(({ messageId }) => messageId),
  )
})

test('to a client that does not acknowledge it counts when it is written: live, in the catch-up, on coming', async (t) => {
  const app = await serve(t)
  const plain = await app.connect(ANN, 'listeners=m&clientId=c')
  assert.equal(await outcomeOf(app.sse.qos().sendByUserId(1, 'm', 'live')), 1)
  await plain.next('m')
  plain.leave()
  await gone(app, 1)
  const missed = app.sse.qos().sendByUserId(1, 'm', 'missed')
  const again = await app.connect(ANN, lastEventId(plain.cursor))
  assert.equal(await outcomeOf(missed), 1)
  await caughtUp(app, again)
  assert.deepEqual(again.dataOf('m'), ['missed'], 'it cannot tell one that comes twice')
  again.leave()
  await gone(app, 1)
  const waiting = app.sse.qos().sendByUserId(1, 'm', 'waiting')
  const fresh = await app.connect(ANN)
  assert.equal(await outcomeOf(waiting), 1)
  await caughtUp(app, fresh)
  assert.deepEqual(fresh.dataOf('m'), ['waiting'])
})

test('plain polling gets it in its first answer, and it counts when it is in one', async (t) => {
  const app = await serve(t)
  const ask = (cursor = '') =>
    app.call(`/connect?mode=poll&wait=0&${cursor && lastEventId(cursor)}`, { as: ANN })
  const waiting = app.sse.qos().sendByUserId(1, 'm', 'waiting')
  const first = await ask()
  assert.match(first.text, /data: waiting\n/)
  assert.equal(await outcomeOf(waiting), 1)
  assert.equal(await app.sse.isOnline(1), true, 'between two polls it is there')
  const between = app.sse.qos().sendByUserId(1, 'm', 'between')
  assert.equal(await isOpen(between), true, 'no answer has it')
  const [cursor = ''] = [...first.text.matchAll(/^id: (.*)$/gm)].map(([, id]) => id).slice(-1)
  assert.match((await ask(cursor)).text, /data: between\n/)
  assert.equal(await outcomeOf(between), 1)
})

test('taken back before, amid and after: nobody gets it from then on', async (t) => {
  const store = memoryStore()
  const app = await serve(t, { store })
  const stream = await join(app, ANN)
  const before = app.sse.qos().sendByUserId(1, 'm', 'before')
  assert.equal(await before.cancel(), true)
  assert.equal(await outcomeOf(before), 0)
  await caughtUp(app, stream)
  assert.deepEqual(messagesOf(stream), [])

  const amid = app.sse.qos().sendByUserId(1, 'm', 'amid')
  const place = stream.cursor
  await stream.next('m')
  assert.equal(await amid.cancel(), true)
  assert.equal(await outcomeOf(amid), 0)
  assert.equal(await amid.cancel(), false)
  const again = await join(app, ANN, { lastEventId: place })
  await caughtUp(app, again)
  assert.deepEqual(messagesOf(again), [], 'out of the history too')
  assert.equal((await report(app, ANN, again, stream.cursor)).status, 200)

  const after = app.sse.qos().sendByUserId(1, 'm', 'after')
  await again.next('m')
  await report(app, ANN, again, again.cursor)
  assert.equal(await outcomeOf(after), 1)
  assert.equal(await after.cancel(), false)
  assert.equal(await after, 1)
  assert.deepEqual(await pendingIn(store), [])
})

test('taken back after some have acknowledged it resolves with how many', async (t) => {
  const app = await serve(t)
  const stream = await join(app, ANN)
  const sent = app.sse.qos().sendByUserId([1, 2], 'm', 'x', { each: true })
  await stream.next('m')
  await report(app, ANN, stream, stream.cursor)
  assert.equal(await sent.cancel(), true)
  assert.equal(await outcomeOf(sent), 1)
})

test('when its time is over it is given up, and is out of the history too', async (t) => {
  const store = memoryStore()
  const app = await serve(t, { store })
  const stream = await join(app, ANN)
  stream.leave()
  await gone(app, 1)
  const kept = app.sse.qos().sendByUserId(1, 'm', 'kept')
  assert.equal(await outcomeOf(app.sse.qos().sendByUserId(1, 'm', 'x', { timeout: 30 })), 0)
  assert.deepEqual(await pendingIn(store), [kept.messageId])
  const again = await rejoin(app, ANN, stream)
  await caughtUp(app, again)
  assert.deepEqual(again.dataOf('m'), ['kept'])
  const fresh = await join(app, ANN, { clientInstanceId: 'fresh' })
  await caughtUp(app, fresh)
  assert.deepEqual(fresh.dataOf('m'), ['kept'])
})

test('what cannot be sent rejects and is not kept', async (t) => {
  const store = memoryStore()
  const app = await serve(t, { store })
  const qos = app.sse.qos()
  // @ts-expect-error no options
  const wrong = [() => qos.sendAll('m', 'x', null), () => qos.sendByUserId(undefined, 'm')]
  const sends = [
    ...wrong,
    () => qos.sendAll(''),
    () => qos.sendAll('a\nb'),
    () => qos.sendAll('m', () => {}),
    () => qos.sendAll('m', 1n),
    () => qos.sendByUserId(Number.NaN, 'm'),
    () => qos.sendByUserId([1, {} as string], 'm'),
    () => qos.sendAll('m', 'x', { timeout: 0 }),
    () => qos.sendAll('m', 'x', { timeout: 1.5 }),
    () => qos.sendAll('m', 'x', { timeout: Infinity }),
    () => qos.sendAll('m', 'x', { timeout: 2 ** 31 }),
  ]
  for (const send of sends) {
    const sent = send()
    assert.equal(await sent.cancel(), false, `${send}`)
    await assert.rejects(outcomeOf(sent), TypeError, `${send}`)
  }
  assert.deepEqual(await pendingIn(store), [])
})

test('too much that waits is refused with a LimitError, and lets nothing go', async (t) => {
  for (const limits of [{ maxPending: 2 }, { maxPendingBytes: 2500 }]) {
    const store = memoryStore(limits)
    const app = await serve(t, { store })
    const data = 'x'.repeat(400)
    const sent = [1, 2].map(() => app.sse.qos().sendByUserId(1, 'm', data))
    await assert.rejects(outcomeOf(app.sse.qos().sendByUserId(1, 'm', data)), { name: 'LimitError' })
    const stream = await join(app, ANN)
    await caughtUp(app, stream)
    assert.deepEqual(
      messagesOf(stream),
      sent.map(({ messageId }) => messageId),
    )
    await report(app, ANN, stream, stream.cursor)
    assert.deepEqual(await outcomeOf(Promise.all(sent)), [1, 1])
    const more = app.sse.qos().sendByUserId(1, 'm', data)
    await stream.next('m')
    assert.equal(await isOpen(more), true, 'there is room again')
  }
})

test('what waits when the service closes resolves to 0, and what is sent after that too', async (t) => {
  const store = memoryStore()
  const app = await serve(t, { store })
  const sent = app.sse.qos().sendByUserId(1, 'm', 'before')
  await app.sse.close()
  assert.equal(await outcomeOf(sent), 0)
  const after = app.sse.qos().sendByUserId(1, 'm', 'after')
  assert.equal(await outcomeOf(after), 0)
  assert.deepEqual(await pendingIn(store), [sent.messageId, after.messageId], 'a store that lasts has them')
})

test('the place in an event that brings a message is understood wherever a client is', async (t) => {
  const app = await serve(t)
  const stream = await join(app, ANN)
  void app.sse.qos().sendByUserId(1, 'm', 'x')
  await stream.next('m')
  assert.match(stream.cursor, /~/)
  const header = await app.connect(ANN, '', { headers: { 'last-event-id': stream.cursor } })
  const query = await app.connect(ANN, lastEventId(stream.cursor))
  const posted = await app.connect(ANN, '', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ lastEventId: stream.cursor }),
  })
  const poll = await app.call(`/connect?mode=poll&wait=0&${lastEventId(stream.cursor)}`, { as: ANN })
  for (const { finish, events } of [header, query, posted]) {
    assert.equal(finish['recovered'], true)
    assert.doesNotMatch(events[0]?.id ?? '', /~/)
  }
  assert.match(poll.text, /"recovered":true/)
})

test('a catch-up that begins at a message says in connect-finish where it is, without the message', async (t) => {
  const app = await serve(t)
  const stream = await join(app, ANN)
  void app.sse.qos().sendByUserId(1, 'm', 'x')
  await stream.next('m')
  stream.leave()
  await gone(app, 1)
  await app.sse.sendByUserId(1, 'plain', 'y')
  const again = await rejoin(app, ANN, stream)
  assert.equal(again.finish['replayed'], 1)
  assert.equal(again.events[0]?.id, stream.cursor.split('~')[0])
})

test('two services in one store: of one name they share their messages, of two they do not', async (t) => {
  const store = memoryStore()
  const [one, two] = [await serve(t, { store }), await serve(t, { store })]
  const other = await serve(t, { store, name: 'crm' })
  const stranger = await join(other, ANN)
  const sent = one.sse.qos().sendByUserId(1, 'm', 'x')
  const stream = await join(two, ANN)
  await stream.next('m')
  await report(two, ANN, stream, stream.cursor)
  assert.equal(await outcomeOf(sent), 1)
  await caughtUp(other, stranger)
  assert.deepEqual(messagesOf(stranger), [])
})

test('who sends much to a client that does not acknowledge lets it read', async (t) => {
  const app = await serve(t, { bufferLimit: 1024 * 1024 })
  const stream = await app.connect(ANN)
  const data = 'x'.repeat(10_000)
  for (let n = 0; n < 1000; n++) assert.equal(await outcomeOf(app.sse.qos().sendByUserId(1, 'm', data)), 1)
  await stream.until(() => stream.dataOf('m').length === 1000, 'all of them')
  assert.equal(stream.isEnded, false)
})

test('an event without an id, after a message, does not pass for it', async (t) => {
  const app = await serve(t)
  const stream = await join(app, ANN)
  const sent = app.sse.qos().sendByUserId(1, 'm', 1)
  await stream.next('m')
  await app.sse.setDurationByUserId(1, 5)
  await stream.next('sse-set-duration')
  const { id } = stream.events.find(({ name }) => name === 'm') ?? {}
  assert.match(String(id), /~/)
  assert.ok(stream.text.includes(`id: ${id}\nevent: m\ndata: 1\n\nid: ${id?.split('~')[0]}\n\n`), stream.text)
  await sent.cancel()
})

for (const acks of ['1', '0']) {
  const client = acks === '1' ? 'acknowledges' : 'does not acknowledge'
  test(`more than may wait for a client is brought to one that ${client} bit by bit, and cuts nobody off`, async (t) => {
    const app = await serve(t, { bufferLimit: 500_000, ackTimeout: 100 })
    const messages = Array.from({ length: 200 }, (_, n) => n)
    const data = (n: number) => `${n}:${'x'.repeat(10_000)}`
    const sent = messages.map((n) => app.sse.qos().sendByUserId(1, 'm', data(n)))
    const stream = await join(app, ANN, { acks })
    const isThere = () => new Set(messagesOf(stream)).size === messages.length
    await stream.until(isThere, 'all of it')
    if (acks === '1') await report(app, ANN, stream, stream.cursor)
    assert.deepEqual(
      await Promise.all(sent.map(outcomeOf)),
      messages.map(() => 1),
    )
    assert.equal(stream.isEnded, false)
  })
}

test('a message that is refused ends no process, also if nobody waits for its promise', async (t) => {
  const app = await serve(t, { store: memoryStore({ maxPending: 1 }) })
  app.sse.qos().sendByUserId(1, 'm', 1)
  app.sse.qos().sendByUserId(1, 'm', 2)
  await until(() => app.errors.length > 0, 'the report')
  assert.equal(app.errors[0]?.where, 'qos()')
  await assert.rejects(app.sse.qos().sendByUserId(1, 'm', 3), { name: 'LimitError' })
})

test('with each, users without id and token are not waited for: nobody could tell them apart', async (t) => {
  const app = await serve(t)
  await join(app, { name: 'anybody' }, { channel: 'news' })
  const stream = await join(app, ANN, { channel: 'news' })
  const sent = app.sse.qos().sendByChannel('news', 'm', 1, { each: true })
  await stream.next('m')
  await report(app, ANN, stream, stream.cursor)
  assert.equal(await outcomeOf(sent), 1)
})
