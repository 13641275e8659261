import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { memoryStore } from 'tabwire/stores/memory'
import { type CreateStore, logContract } from './store-contract'

/** In a time of its own. */
function memory(t: TestContext): CreateStore {
  t.mock.timers.enable({ apis: ['Date'] })
  return (limits) => ({ store: memoryStore(limits), pass: (ms) => t.mock.timers.tick(ms) })
}

logContract('the memory store', memory)

test('two memory stores never have the same epoch: nobody goes on in the second where the first ended', async () => {
  const epochs = new Set<string>()
  for (let n = 0; n < 100; n++) epochs.add((await memoryStore().read('hr', ['all'])).epoch)
  assert.equal(epochs.size, 100)
})

test('what the log has let go is given back to the machine, however few events each topic had', async () => {
  setFlagsFromString('--expose-gc')
  const collect: () => void = runInNewContext('gc')
  const store = memoryStore({ maxTotalBytes: 10_000 })
  const topicLists: WeakRef<string[]>[] = []
  for (let n = 0; n < 2000; n++) {
    const topics = [`user:${n % 100}`]
    topicLists.push(new WeakRef(topics))
    await store.append('hr', { topics, name: 'n', data: 'x'.repeat(99), listening: false, key: '' })
  }
  // A WeakRef keeps what it holds for the rest of the turn.
  await new Promise((resolve) => setImmediate(resolve))
  collect()
  const kept = topicLists.filter((list) => list.deref() !== undefined).length
  assert.ok(kept <= 110, `${kept} events are kept in memory; 100 are within the bound`)
  assert.equal((await store.read('hr', ['user:99'])).head, 2000, 'the log itself is still there')
})

test('an option of the memory store that is no number of at least 1 is a TypeError that names it', () => {
  for (const name of [
    'maxEvents',
    'maxBytes',
    'maxAge',
    'maxTotalBytes',
    'maxTopics',
    'maxDurations',
    'answerAge',
    'maxAnswers',
    'maxAnswerBytes',
  ]) {
    for (const value of [0, -1, Number.NaN, '5']) {
      assert.throws(
        () => memoryStore({ [name]: value }),
        (error) => error instanceof TypeError && error.message.includes(name),
        `${name}: ${value}`,
      )
    }
  }
})

const event = (topics: string[], data = '123456789') => ({
  topics,
  name: 'n',
  data,
  listening: false,
  key: '',
})

test('what must go takes no newer event with it, though it was for several topics', async () => {
  const store = memoryStore({ maxEvents: 1, maxTotalBytes: 800 })
  await store.append('hr', event(['user:1', 'user:2']))
  const { epoch } = await store.read('hr', [])
  await store.append('hr', event(['user:2']))
  await store.append('hr', event(['user:3']))
  const history = await store.read('hr', ['user:2'], { epoch, seq: 1 })
  assert.equal(history.gap, undefined)
  assert.equal(history.entries.length, 1)
})

test('an event for very many does not pass as a few bytes', async () => {
  const store = memoryStore({ maxTotalBytes: 1_000_000 })
  const { epoch } = await store.read('hr', [])
  const users = Array.from({ length: 50_000 }, (_, id) => `user:${id}`)
  await store.append('hr', event(users))
  assert.equal((await store.read('hr', ['user:1'], { epoch, seq: 0 })).gap, 'floor', 'it is too much to keep')
})
