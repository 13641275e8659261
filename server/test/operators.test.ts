import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { type TestContext, test } from 'node:test'
import { promisify } from 'node:util'
import type { AuditEntry } from 'tabwire/server'
import { memoryStore } from 'tabwire/stores/memory'
import {
  ANN,
  type App,
  assertRefused,
  BOB,
  type CallOptions,
  EVE,
  serve,
  type TestUser,
  until,
} from './helpers'

const admin = (user: TestUser): boolean => user.id === ANN.id

/** What Express has; a route that is listed nowhere below fails the walk. */
interface Layer {
  route?: { path: string | string[] | RegExp; methods: Record<string, boolean> }
}

const OPEN = [
  ...['/', '/sse.js', '/sse.js.map', '/sse.d.ts', '/outbox.js', '/outbox.js.map'],
  ...['/outbox-store.js', '/outbox-store.js.map', '/upload.js', '/upload.js.map'],
  ...['/monitor.js', '/monitor.js.map', '/monitor.css'],
]
const FOR_USERS = [
  ...['/connect', '/connect/addListener.do', '/connect/removeListener.do', '/connect/disconnect.do'],
  ...['/connect/report.do', '/connect/batch.do'],
]
const FOR_OPERATORS: Record<string, AuditEntry<TestUser>['action']> = {
  '/users': 'users',
  '/connect/users.json': 'users',
  '/connections': 'connections',
  '/connect/connections.json': 'connections',
  '/repositoryMessages': 'repositoryMessages',
  '/connect/repositoryMessages.json': 'repositoryMessages',
  '/disconnectUser': 'disconnectUser',
  '/metrics': 'metrics',
  '/monitor': 'monitor',
  '/monitor/users': 'monitorUsers',
  '/monitor/watch.do': 'watch',
}

/** Method and path of each route; a pattern by the path that stands for it. */
function routesOf({ sse }: App): [method: string, path: string][] {
  const layers = (sse.router as unknown as { stack: Layer[] }).stack
  return layers.flatMap(({ route }) => {
    const methods = Object.keys(route?.methods ?? {}).map((method) => method.toUpperCase())
    const paths = [route?.path ?? []].flat().map((path) => (path instanceof RegExp ? exampleOf(path) : path))
    return paths.flatMap((path) => methods.map((method): [string, string] => [method, path]))
  })
}

const EXAMPLES = [
  '/monitor',
  '/connect/message/x.do',
  '/connect/upload/x.do',
  '/connect/uploads',
  '/connect/uploads/x',
]

function exampleOf(pattern: RegExp): string {
  const example = EXAMPLES.find((path) => pattern.test(path))
  assert.ok(example, `no example of ${pattern}`)
  return example
}

/** With everything that somebody could want of the log of an audit. */
async function audited(t: TestContext, options: Parameters<typeof serve>[1] = {}) {
  const entries: AuditEntry<TestUser>[] = []
  const app = await serve(t, { admin, audit: (entry) => entries.push(entry), ...options })
  return { app, entries }
}

test('every route there is, is open on purpose, or asks who it is, or is closed to all but operators', async (t) => {
  const closed = await serve(t)
  const { app, entries } = await audited(t)
  const routes = routesOf(app)
  const seen = new Set<string>()
  for (const [method, path] of routes) {
    const action = FOR_OPERATORS[path]
    const request = (as?: TestUser): CallOptions => ({
      method,
      ...(as === undefined ? {} : { as }),
      ...(method === 'POST' && path !== '/connect' ? { json: {} } : {}),
    })
    if (OPEN.includes(path)) {
      assert.equal((await app.call(path, request())).status, 200, path)
    } else if (action === undefined) {
      assert.ok(FOR_USERS.includes(path) || EXAMPLES.includes(path), `nothing is said of ${path}`)
      if (method !== 'HEAD') assert.equal((await app.call(path, request())).status, 401, `${method} ${path}`)
    } else {
      seen.add(path)
      entries.length = 0
      assertRefused(await app.call(path, request()), 401)
      assertRefused(await app.call(path, request(BOB)), 403)
      assertRefused(await closed.call(path, request(ANN)), 403)
      const { status } = await app.call(path, request(ANN))
      assert.ok(status === 200 || status === 400, `${path}: ${status}`)
      const heard = entries.map(({ action, isAllowed, user }) => [action, isAllowed, user?.id])
      assert.deepEqual(heard, [
        [action, false, undefined],
        [action, false, BOB.id],
        [action, true, ANN.id],
      ])
    }
  }
  assert.deepEqual([...seen].sort(), Object.keys(FOR_OPERATORS).sort())
})

test('the audit hears what was asked for, of foreign pages too, and nothing that is secret', async (t) => {
  const { app, entries } = await audited(t)
  await app.call('/connections?name=b&listening=a&token=query-secret', { as: ANN })
  await app.call('/disconnectUser?token=query-secret', {
    as: ANN,
    json: { userId: 7, password: 'body-secret' },
  })
  await app.call('/disconnectUser', {
    as: ANN,
    json: { userId: 7 },
    headers: { origin: 'https://evil.example' },
  })
  await app.call('/users?pageNum=0', { as: ANN })
  const { requestIp } = entries[0] ?? {}
  assert.match(String(requestIp), /127\.0\.0\.1/)
  assert.deepEqual(entries, [
    { action: 'connections', isAllowed: true, user: ANN, params: { name: 'b', listening: 'a' }, requestIp },
    { action: 'disconnectUser', isAllowed: true, user: ANN, params: { userId: '7' }, requestIp },
    { action: 'disconnectUser', isAllowed: false, user: undefined, params: {}, requestIp },
    { action: 'users', isAllowed: true, user: ANN, params: { pageNum: '0' }, requestIp },
  ])
})

test('an audit that fails, or never ends, is reported and changes no answer', async (t) => {
  const failures = [() => Promise.reject('rejected'), () => new Promise(() => {})]
  const app = await serve(t, {
    admin,
    audit: () => {
      const next = failures.shift()
      if (next !== undefined) return next()
      throw 'thrown'
    },
  })
  for (let n = 0; n < 3; n++) assert.equal((await app.call('/users', { as: ANN })).status, 200)
  await until(() => app.errors.length === 2, 'both failures')
  assert.deepEqual(app.errors, [
    { error: 'rejected', where: 'audit' },
    { error: 'thrown', where: 'audit' },
  ])
})

test('a connection has what the original tells of one, in its names too, and no secret', async (t) => {
  const app = await serve(t, { admin, onMessage: () => 'ok' })
  const known =
    'clientId=c1&clientInstanceId=i1&clientVersion=9&screen=800x600&accessTime=5&sessionDuration=7&keepaliveTime=60000' +
    '&clientImportModuleTime=3&clientInstanceTime=4&channel=news&listeners=a,b' +
    `&locationHref=${encodeURIComponent('https://app.example/page?token=href-secret#hash-secret')}`
  const ann = await app.connect(ANN, `token=query-secret&${known}`, {
    headers: { cookie: 'session=cookie-secret', 'user-agent': 'Agent 7' },
  })
  await app.call(`/connect/message/x.do?connectionId=${ann.id}`, { as: ANN, json: {} })
  const { json, text } = await app.call('/connections', { as: ANN })
  const [{ createTime, lastRequestTime, serverId, requestIp, ...connection }] = json.data.list
  const { accessToken: _, ...user } = ANN
  assert.deepEqual(connection, {
    ...{ id: ann.id, userId: 1, userName: 'Ann', tenantId: 3, channel: 'news', isAway: false },
    ...{ clientId: 'c1', instanceId: 'i1', clientVersion: '9', screen: '800x600', accessTime: 5 },
    ...{ locationHref: 'https://app.example/page', userAgent: 'Agent 7', sessionDuration: 7 },
    ...{ listeners: ['a', 'b'], messageCount: 1, requestMessageCount: 1, requestUploadCount: 0 },
    ...{ accessUser: user, accessUserId: 1, accessTenantId: 3, timeout: 60_000 },
    ...{ clientInstanceId: 'i1', clientInstanceTime: 4, clientImportModuleTime: 3 },
  })
  assert.ok(createTime <= lastRequestTime && lastRequestTime <= Date.now())
  assert.ok(serverId !== '' && requestIp !== '')
  assert.doesNotMatch(text, /secret/)
})

test('operators find connections by each thing there is to know, and are told what makes no sense', async (t) => {
  const app = await serve(t, { admin })
  const bob = await app.connect(BOB, 'clientId=c1&channel=news&listeners=a')
  await app.connect(EVE, 'clientId=c2&channel=sport&listeners=b')
  const found = async (query: string) => {
    const { list, total } = (await app.call(`/connections?${query}`, { as: ANN })).json.data
    assert.equal(list.length, total)
    return list.map(({ userName }: { userName: string }) => userName).join()
  }
  assert.equal(await found(''), 'Bob,Eve')
  for (const query of [
    'clientId=c1',
    `id=${bob.id}`,
    'userId=2',
    'tenantId=3',
    'channel=news',
    'listening=a',
    'name=BO',
  ])
    assert.equal(await found(query), 'Bob', query)
  for (const query of ['userId=2&tenantId=4', 'userId=99', 'id=%00', 'name=nobody'])
    assert.equal(await found(query), '', query)
  for (const query of [
    'userId=2&userId=3',
    'name=a&name=b',
    'pageNum=1&pageNum=2',
    'pageSize=0',
    'listening=a&listening=b',
  ])
    assertRefused(await app.call(`/connections?${query}`, { as: ANN }), 400)
})

test('the monitor lists users with all their connections, also those without a name or an id', async (t) => {
  const app = await serve(t, { admin })
  await app.connect(BOB)
  await app.connect({ accessToken: 'token-secret' })
  const second = await app.connect(BOB)
  const { json, text } = await app.call('/monitor/users?pageSize=1', { as: ANN })
  const [user] = json.data.list
  assert.deepEqual(
    [json.data.total, user.userId, user.userName, user.tenantId, user.isAway],
    [2, 2, 'Bob', 3, false],
  )
  assert.deepEqual([user.connections.length, user.connections[1].id], [2, second.id])
  const last = (await app.call('/monitor/users?pageSize=1&pageNum=2', { as: ANN })).json.data.list
  assert.equal(last[0].connections.length, 1)
  assert.equal((await app.call('/monitor/users?name=bo', { as: ANN })).json.data.total, 1)
  assert.doesNotMatch(text + JSON.stringify(last), /secret/)
})

test('messages that wait are shown with their audience, cut, page by page, and never an access token', async (t) => {
  const store = memoryStore()
  const app = await serve(t, { admin, store })
  const draft = { data: 'x'.repeat(1500), listening: false, key: '', createTime: 5, recipients: [] }
  const expiryTime = Date.now() + 60_000
  const hold = (name: string, topics: string[], more = {}) =>
    store.hold('hr', { ...draft, expiryTime, name, topics, message: `m-${name}`, ...more })
  await hold('first', ['all'])
  await hold('second', ['user:1', 'user:2', 'tenant:3', 'channel:a', 'token:token-secret'], {
    ...{ data: '{}', listening: true, recipients: ['user:2', 'token:token-secret'] },
  })
  const all = await app.call('/repositoryMessages', { as: ANN })
  const [first, second] = all.json.data.list
  assert.deepEqual([all.json.data.total, first.id, first.isForAll], [2, 'm-first', true])
  assert.deepEqual([first.data.length, first.dataLength], [1000, 1500])
  assert.deepEqual(second, {
    ...{ id: 'm-second', eventName: 'second', data: '{}', dataLength: 2, listenerName: 'second' },
    ...{
      isForAll: false,
      userIdList: ['1', '2'],
      tenantIdList: ['3'],
      channelList: ['a'],
      accessTokenCount: 1,
    },
    ...{ createTime: 5, expiryTime, recipientUserIdList: ['2'], recipientAccessTokenCount: 1 },
  })
  assert.doesNotMatch(all.text, /secret/)
  for (const query of ['pageSize=1&pageNum=2', 'name=SEC']) {
    const { list, pageSize } = (await app.call(`/repositoryMessages?${query}`, { as: ANN })).json.data
    assert.deepEqual([list.length, list[0].id], [1, 'm-second'], query)
    assert.equal(pageSize, query.startsWith('name') ? 100 : 1)
  }
  const nothing = (await app.call('/repositoryMessages?pageNum=3&pageSize=1', { as: ANN })).json.data
  assert.deepEqual([nothing.list, nothing.total], [[], 2])
})

/** The values of a text in Prometheus' format, by their names with labels. */
function valuesOf(text: string): Record<string, number> {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  return Object.fromEntries(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]),
  )
}

test('Prometheus reads what the service counts, through the door or from the application', async (t) => {
  const app = await serve(t, { admin, onMessage: () => 'ok', onUpload: () => 'ok' })
  const bob = await app.connect(BOB)
  await app.connect(BOB)
  const eve = await app.connect(EVE)
  await app.sse.sendByUserId(2, 'a', 1)
  await app.sse.sendByUserId(99, 'a', 1)
  await app.call(`/connect/message/x.do?connectionId=${bob.id}`, { as: BOB, json: {} })
  const form = new FormData()
  form.set('file', new Blob(['content']), 'a.txt')
  await app.call(`/connect/upload/x.do?connectionId=${bob.id}`, { as: BOB, body: form })
  await app.call('/users', { as: BOB })
  await app.call('/connect/disconnect.do', {
    as: EVE,
    json: { connectionId: eve.id, reason: 'my own reason' },
  })
  await app.sse.disconnectByUserId(2)
  await app.connect(BOB)
  void app.sse.qos().sendByUserId(99, 'a', 1)

  const counted = ['reason="other"', 'reason="server-close"', 'tabwire_pending_messages{service="hr"} 1']
  await until(async () => {
    const text = await app.sse.metrics()
    return counted.every((line) => text.includes(line))
  }, 'the ends and the message to be counted')
  const { headers, text } = await app.call('/metrics', { as: ANN })
  assert.equal(headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8')
  assert.equal(text, await app.sse.metrics())
  assert.match(text, /# HELP tabwire_connections \S.*\n# TYPE tabwire_connections gauge\n/)
  assert.match(text, /# TYPE tabwire_connects_total counter\n/)
  assert.deepEqual(valuesOf(text), {
    'tabwire_connections{service="hr"}': 1,
    'tabwire_users{service="hr"}': 1,
    'tabwire_pending_messages{service="hr"}': 1,
    'tabwire_stream_waiting_bytes{service="hr"}': 0,
    'tabwire_acknowledged_total{service="hr"}': 0,
    'tabwire_connects_total{is_return="false",service="hr"}': 4,
    'tabwire_connects_total{is_return="true",service="hr"}': 0,
    'tabwire_redelivered_total{service="hr"}': 0,
    'tabwire_disconnects_total{reason="other",service="hr"}': 1,
    'tabwire_disconnects_total{reason="server-close",service="hr"}': 2,
    'tabwire_events_sent_total{service="hr"}': 3,
    'tabwire_events_delivered_total{service="hr"}': 2,
    'tabwire_messages_total{kind="message",service="hr"}': 1,
    'tabwire_messages_total{kind="upload",service="hr"}': 1,
    'tabwire_refused_requests_total{status="403",service="hr"}': 1,
  })
})

test('without prom-client there are no metrics, and it is said what to install', async () => {
  const code = `
    import { register } from 'node:module'
    register('data:text/javascript,' + encodeURIComponent(\`
      export async function resolve(name, context, next) {
        if (name !== 'prom-client') return next(name, context)
        throw Object.assign(new Error('not found'), { code: 'ERR_MODULE_NOT_FOUND' })
      }\`))
    const { createSse } = await import('tabwire/server')
    const { default: express } = await import('express')
    const hr = createSse({ name: 'hr', getUser: () => ({ id: 1 }), admin: () => true })
    const messages = [await hr.metrics().catch(String)]
    const server = express().use(hr.router).listen(0, '127.0.0.1', async () => {
      const response = await fetch('http://127.0.0.1:' + server.address().port + '/metrics')
      messages.push(response.status, (await response.json()).message)
      process.stdout.write(JSON.stringify(messages), () => process.exit())
    })`
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', code])
  const text = 'Metrics need the package prom-client: npm install prom-client.'
  assert.deepEqual(JSON.parse(stdout), [`HttpError: ${text}`, 501, text])
})

test('who watches gets the figures, again and again, and nobody else does', async (t) => {
  const app = await serve(t, { admin, onMessage: () => 'ok' })
  const ann = await app.connect(ANN)
  const bob = await app.connect(BOB)
  assertRefused(await app.call('/monitor/watch.do', { as: ANN, json: {} }), 400)
  assertRefused(await app.call('/monitor/watch.do', { as: ANN, json: { connectionId: 'x' } }), 404)
  assertRefused(await app.call('/monitor/watch.do', { as: ANN, json: { connectionId: bob.id } }), 403)
  const watch = () => app.call('/monitor/watch.do', { as: ANN, json: { connectionId: ann.id } })
  assert.deepEqual((await watch()).json.data, {})
  const { time, ...first } = await ann.json('sse-monitor')
  assert.deepEqual(first, {
    ...{ connections: 2, users: 2, pending: 0, connects: 2, disconnects: 0 },
    ...{ sent: 0, delivered: 0, received: 0 },
  })
  await watch()
  await app.sse.sendAll('a', 1)
  await app.call(`/connect/message/x.do?connectionId=${bob.id}`, { as: BOB, json: {} })
  const second = await ann.json('sse-monitor')
  assert.deepEqual([second['sent'], second['delivered'], second['received']], [1, 2, 1])
  const apart = Number(second['time']) - Number(time)
  assert.ok(apart > 900, `${apart} ms apart, also for who asked twice`)
  assert.deepEqual(bob.dataOf('sse-monitor'), [])
  assert.ok(ann.events.filter(({ name }) => name === 'sse-monitor').every(({ id }) => id === ''))

  const before = ann.cursor
  ann.leave()
  await app.sse.sendByUserId(1, 'missed', 1)
  const again = await app.connect(ANN, `lastEventId=${before}`)
  await again.next('missed')
  assert.deepEqual(
    again.dataOf('sse-monitor'),
    [],
    'it is not in the log, and a new connection is no watcher',
  )
})

test('a watcher that reads nothing does not fill the memory', async (t) => {
  const app = await serve(t, { admin })
  const ann = await app.connect(ANN)
  ann.stall()
  await app.call('/monitor/watch.do', { as: ANN, json: { connectionId: ann.id } })
  const waiting = async () =>
    valuesOf(await app.sse.metrics())['tabwire_stream_waiting_bytes{service="hr"}'] ?? 0
  await until(async () => {
    await app.sse.sendAll('filler', 'x'.repeat(500_000))
    return (await waiting()) > 0
  }, 'the socket to be full')
  const before = await waiting()
  const other = await app.connect(ANN)
  await app.call('/monitor/watch.do', { as: ANN, json: { connectionId: other.id } })
  await other.next('sse-monitor')
  await other.next('sse-monitor')
  assert.equal(await waiting(), before)
})

test('the page of the monitor runs no script but its own, is kept nowhere, and its parts are cached by their content', async (t) => {
  const app = await serve(t, { admin })
  const { status, headers, text } = await app.call('/monitor', { as: ANN })
  assert.equal(status, 200)
  assert.equal(headers.get('content-type'), 'text/html; charset=utf-8')
  assert.equal(headers.get('cache-control'), 'no-store')
  assert.equal(headers.get('referrer-policy'), 'no-referrer')
  const policy = headers.get('content-security-policy') ?? ''
  assert.match(policy, /default-src 'none'; script-src 'self';/)
  assert.doesNotMatch(policy, /unsafe|\*/)
  assert.doesNotMatch(text, /<script(?![^>]* src="monitor\.js">)|<style|\sstyle=|\son\w+=/)
  for (const [path, type] of [
    ['/monitor.js', 'text/javascript'],
    ['/monitor.css', 'text/css'],
  ] as const) {
    const asset = await app.call(path)
    assert.ok(asset.headers.get('content-type')?.startsWith(type))
    const again = await app.call(path, { headers: { 'if-none-match': asset.headers.get('etag') ?? '' } })
    assert.equal(again.status, 304)
  }
  assertRefused(await app.call('/monitor/', { as: ANN }), 404)
})
