import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import fc from 'fast-check'
import type { Store } from 'tabwire/server'
import { memoryStore } from 'tabwire/stores/memory'
import type { Reply } from '../answer'
import { HttpError } from '../errors'
import { Inbox } from '../inbox'
import { digestOf } from '../key'
import { until } from './helpers'

const RUNS = Number(process.env['FC_RUNS'] ?? 60)

/** Here no server does it: what waits for another node keeps no process alive. */
const alive = setInterval(() => {}, 1000)
after(() => clearInterval(alive))

const reply = (status: number, body = ''): Reply => ({ status, headers: {}, body })
const request = (key = 'k', fingerprint = 'f', owner = 'ann') => ({ owner, key, fingerprint })

/** A node of a service; what the store does wrong, it tells. */
function node(store: Store, lease?: number) {
  const errors: unknown[] = []
  const inbox = new Inbox({ store, name: 'hr', report: (error) => errors.push(error) }, lease)
  return { inbox, errors }
}

/** A handler that runs until it is told how it ends. */
function handler() {
  const runs: ((reply: Reply) => void)[] = []
  const handle = () => new Promise<Reply>((resolve) => runs.push(resolve))
  return { runs, handle, begun: (count = 1) => until(() => runs.length >= count, `run ${count}`) }
}

const isRepeat = ({ headers }: Reply) => headers['Idempotent-Replayed'] === 'true'

interface Call {
  readonly key: string
  readonly fingerprint: string
  reply?: Reply
  refused?: number
}

interface Run {
  readonly key: string
  readonly fingerprint: string
  readonly end: (reply: Reply) => void
  status?: number
  /** In the order of all ends. */
  endedAt?: number
}

/** Two nodes with one store, and all that has happened there. */
class World {
  readonly store = memoryStore()
  readonly nodes = [node(this.store), node(this.store)] as const
  readonly calls: Call[] = []
  readonly runs: Run[] = []
  ends = 0

  ask(at: number, key: string, fingerprint: string): void {
    const call: Call = { key, fingerprint }
    this.calls.push(call)
    const handle = () =>
      new Promise<Reply>((end) => {
        const under = this.runs.filter((run) => run.key === key)
        assert.ok(
          under.every(({ status }) => status !== undefined),
          'two runs of one key at once',
        )
        assert.ok(
          under.every(({ status = 0 }) => status >= 500),
          'a run after the answer',
        )
        this.runs.push({ key, fingerprint, end })
      })
    const node = this.nodes[at % 2 === 0 ? 0 : 1]
    node.inbox.answer(request(key, fingerprint), handle).then(
      (reply) => Object.assign(call, { reply }),
      (error) => Object.assign(call, { refused: error instanceof HttpError ? error.status : error }),
    )
  }

  end(which: number, status: number): void {
    const open = this.runs.filter((run) => run.status === undefined)
    const run = open[which % Math.max(1, open.length)]
    if (run === undefined) return
    run.status = status
    run.endedAt = this.ends++
    run.end(reply(status, `answer ${run.endedAt}`))
  }

  /** Everything that is still open ends well, till everybody has an answer. */
  async finish(): Promise<void> {
    const isOpen = ({ reply, refused }: Call) => reply === undefined && refused === undefined
    await until(() => {
      this.end(0, 200)
      return !this.calls.some(isOpen)
    }, 'all answers')
  }

  check(): void {
    for (const { key, fingerprint, reply, refused } of this.calls) {
      const answers = this.runs.filter((run) => run.key === key && (run.status ?? 0) < 500)
      assert.ok(answers.length <= 1, 'one effect')
      if (refused !== undefined) {
        assert.equal(refused, 422)
        assert.ok(this.runs.some((run) => run.key === key && run.fingerprint !== fingerprint))
      } else if ((reply?.status ?? 0) < 500) {
        const [run] = answers
        assert.deepEqual([reply?.status, reply?.body], [run?.status, `answer ${run?.endedAt}`])
        assert.equal(run?.fingerprint, fingerprint)
        assert.equal(reply?.headers['Idempotency-Key'], `"${key}"`)
      } else assert.deepEqual(reply?.headers, {}, 'a failure is nobody’s last word')
    }
    for (const run of this.runs.filter(({ status = 0 }) => status < 500)) {
      const told = this.calls.filter(({ key, reply }) => key === run.key && (reply?.status ?? 500) < 500)
      assert.equal(told.filter(({ reply }) => !isRepeat(reply as Reply)).length, 1, 'one is the first')
    }
    for (const { errors } of this.nodes) assert.deepEqual(errors, [])
  }
}

const ask = fc
  .record({
    at: fc.nat(1),
    key: fc.constantFrom('a', 'b'),
    fingerprint: fc.constantFrom('1', '1', '1', '2'),
  })
  .map(({ at, key, fingerprint }) => ({
    run: (world: World) => world.ask(at, key, fingerprint),
    toString: () => `node ${at} is asked ${key} ${fingerprint}`,
  }))

const end = fc
  .record({ which: fc.nat(3), status: fc.constantFrom(200, 200, 409, 500, 503) })
  .map(({ which, status }) => ({
    run: (world: World) => world.end(which, status),
    toString: () => `run ${which} ends with ${status}`,
  }))

const settle = fc.constant({
  async run() {
    for (let n = 0; n < 5; n++) await turn()
  },
  toString: () => 'all that can happen happens',
})

test('whatever is asked of two nodes in whatever order: one effect for each key, and one answer', async () => {
  const steps = fc.array(fc.oneof(ask, ask, end, settle), { maxLength: 30 })
  await fc.assert(
    fc.asyncProperty(steps, async (steps) => {
      const world = new World()
      for (const step of steps) await step.run(world)
      await world.finish()
      world.check()
    }),
    { numRuns: RUNS },
  )
})

test('a repeat on another node waits for the first, and gets its answer', async () => {
  const shared = memoryStore()
  const { runs, handle, begun } = handler()
  const first = node(shared).inbox.answer(request(), handle)
  await begun()
  const second = node(shared).inbox.answer(request(), handle)
  runs[0]?.(reply(200, 'done'))
  assert.deepEqual((await first).headers, { 'Idempotency-Key': '"k"' })
  assert.deepEqual(await second, {
    status: 200,
    headers: { 'Idempotency-Key': '"k"', 'Idempotent-Replayed': 'true' },
    body: 'done',
  })
  assert.equal(runs.length, 1)
})

test('what waits for a run on another node that fails runs itself', async () => {
  const shared = memoryStore()
  const { runs, handle, begun } = handler()
  const first = node(shared).inbox.answer(request(), handle)
  await begun()
  const second = node(shared).inbox.answer(request(), handle)
  runs[0]?.(reply(500))
  assert.equal((await first).status, 500)
  await begun(2)
  runs[1]?.(reply(200))
  assert.equal(isRepeat(await second), false)
})

test('a run that takes longer than its lease keeps its key, as long as its node lives', async () => {
  const inner = memoryStore()
  let renewals = 0
  const shared: Store = {
    ...inner,
    claim: (...args) => {
      renewals++
      return inner.claim(...args)
    },
  }
  const { runs, handle, begun } = handler()
  const first = node(shared, 90).inbox.answer(request(), handle)
  await begun()
  const since = Date.now()
  await until(() => renewals >= 5 && Date.now() - since > 200, 'two leases to be over')
  assert.deepEqual(
    await inner.claim('hr', digestOf('ann', 'k'), { owner: 'o', holder: 'x', fingerprint: 'f' }, 1),
    {
      fingerprint: 'f',
    },
  )
  runs[0]?.(reply(200))
  await first
  const after = renewals
  const repeat = await node(shared).inbox.answer(request(), handle)
  assert.equal(isRepeat(repeat), true)
  assert.equal(renewals, after + 1, 'nothing is renewed any more')
})

test('what a node that died has left running is taken over when its lease is over', async () => {
  const shared = memoryStore()
  const dead: Store = { ...shared, claim: (service, key, claim) => shared.claim(service, key, claim, 100) }
  // A node that dies neither renews nor remembers.
  void node(dead, 1_000_000).inbox.answer(request(), () => new Promise(() => {}))
  await turn()
  const { runs, handle, begun } = handler()
  const started = Date.now()
  const answer = node(shared).inbox.answer(request(), handle)
  await begun()
  assert.ok(Date.now() - started >= 50, 'not before')
  runs[0]?.(reply(200, 'done'))
  assert.equal((await answer).body, 'done')
})

test('a node that slept longer than its lease does not overwrite the answer of who took over', async () => {
  const shared = memoryStore()
  const sleepy: Store = { ...shared, claim: (service, key, claim) => shared.claim(service, key, claim, 1) }
  const { runs, handle, begun } = handler()
  const late = node(sleepy, 1_000_000).inbox.answer(request(), handle)
  await begun()
  const second = node(shared).inbox.answer(request(), handle)
  await begun(2)
  runs[0]?.(reply(200, 'late'))
  await turn()
  runs[1]?.(reply(200, 'taken over'))
  assert.equal((await second).body, 'taken over')
  assert.deepEqual([(await late).body, isRepeat(await late)], ['taken over', true])
})

/** A memory store of which one method fails so many times, or for ever. */
function failing(method: 'claim' | 'remember' | 'release', times = Number.POSITIVE_INFINITY): Store {
  let left = times
  const inner = memoryStore()
  const fail = () => {
    left--
    throw new Error('the store is away')
  }
  return {
    ...inner,
    [method]: (...args: never[]) => (left > 0 ? fail() : Reflect.apply(inner[method], inner, args)),
  }
}

test('while the store cannot be asked nothing runs: a 503, and then as if nothing had been', async () => {
  const { inbox, errors } = node(failing('claim', 2))
  let runs = 0
  const handle = async () => reply(200, String(++runs))
  for (let n = 0; n < 2; n++) {
    await assert.rejects(inbox.answer(request(), handle), (error) => {
      assert.ok(error instanceof HttpError)
      assert.deepEqual([error.status, error.headers], [503, { 'Retry-After': '1' }])
      return true
    })
  }
  assert.equal(runs, 0)
  assert.equal(errors.length, 2)
  assert.equal((await inbox.answer(request(), handle)).body, '1')
})

test('an answer is remembered though the store stumbles; if it stays away, who asked gets it all the same', async () => {
  const handle = async () => reply(200, 'done')
  const stumbling = node(failing('remember', 2))
  assert.equal((await stumbling.inbox.answer(request(), handle)).body, 'done')
  assert.equal(isRepeat(await stumbling.inbox.answer(request(), handle)), true)
  assert.deepEqual(stumbling.errors, [])
  const away = node(failing('remember'))
  assert.equal((await away.inbox.answer(request(), handle)).body, 'done')
  assert.equal(away.errors.length, 1)
})

test('a claim that cannot be taken back ends with its lease', async () => {
  const { inbox, errors } = node(failing('release'), 60)
  assert.equal((await inbox.answer(request(), async () => reply(500))).status, 500)
  assert.equal(errors.length, 1)
  assert.equal((await inbox.answer(request(), async () => reply(200))).status, 200)
})

test('no owner and no key can be made to look like another', async () => {
  const { inbox } = node(memoryStore())
  const owners = ['["3","id","1"]', '["3","id","1"],"k"', 'a', 'a","k']
  let runs = 0
  const handle = async () => reply(200, String(++runs))
  for (const owner of owners)
    for (const key of ['k', 'k","k', '"']) await inbox.answer(request(key, 'f', owner), handle)
  assert.equal(runs, owners.length * 3)
})

test('what the store gets to see tells neither the user nor a token', async () => {
  const inner = memoryStore()
  const seen: unknown[] = []
  const watched: Store = {
    ...inner,
    claim(...args) {
      seen.push(args)
      return inner.claim(...args)
    },
  }
  await node(watched).inbox.answer(request('k', 'f', '["","token","secret-of-ann"]'), async () => reply(200))
  assert.equal(seen.length, 1)
  assert.doesNotMatch(JSON.stringify(seen), /secret/)
})
