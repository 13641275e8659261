import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { memoryStore } from 'tabwire/stores/memory'

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
