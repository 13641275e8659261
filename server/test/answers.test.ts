import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { memoryStore } from 'tabwire/stores/memory'
import { answersContract, type CreateStore } from './answers-contract'

/** In a time of its own. */
function memory(t: TestContext): CreateStore {
  t.mock.timers.enable({ apis: ['Date'] })
  return (limits) => ({ store: memoryStore(limits), pass: (ms) => t.mock.timers.tick(ms) })
}

answersContract('the memory store', memory)

const mine = { owner: 'o', holder: 'h', fingerprint: 'f' }
const other = { owner: 'o', holder: 'i', fingerprint: 'f' }

test('the memory store keeps answers within its bytes: the oldest go, and one that is too large is not kept', async () => {
  const store = memoryStore({ maxAnswerBytes: 100_000 })
  const isKept = async (key: string) => (await store.claim('s', key, other, 1))?.answer !== undefined
  for (let n = 0; n < 1000; n++) await store.remember('s', `k${n}`, mine, 'x'.repeat(9000))
  assert.equal(await isKept('k999'), true)
  assert.equal(await isKept('k980'), false)
  const kept = await Promise.all(Array.from({ length: 1000 }, (_, n) => isKept(`k${n}`)))
  assert.ok(kept.filter(Boolean).length >= 9, `${kept.filter(Boolean).length} of 10`)
  for (let n = 0; n < 1000; n++) await store.remember('s', `small${n}`, mine, '')
  const small = await Promise.all(Array.from({ length: 1000 }, (_, n) => isKept(`small${n}`)))
  assert.ok(small.filter(Boolean).length <= 1000, 'what the keeping takes counts too')
  assert.ok(small.at(-1))
  await store.remember('s', 'huge', mine, 'x'.repeat(100_001))
  assert.equal(await isKept('huge'), false)
  assert.equal(await isKept('small999'), true)
})

test('a user who asks for very much pushes nobody else out of the memory', async () => {
  const store = memoryStore({ maxAnswers: 300, maxUserAnswers: 100, maxUserAnswerBytes: 100_000 })
  const kept = async (owner: string, keys: number) => {
    const known = Array.from({ length: keys }, (_, n) =>
      store.claim('s', `${owner}${n}`, { ...other, owner: `${owner} again` }, 1),
    )
    return (await Promise.all(known)).flatMap((found, n) => (found?.answer === undefined ? [] : n))
  }
  const quiet = Array.from({ length: 10 }, (_, n) => n)
  for (const n of quiet) await store.remember('s', `quiet${n}`, { ...mine, owner: 'quiet' }, 'answer')
  for (let n = 0; n < 1000; n++) await store.remember('s', `many${n}`, { ...mine, owner: 'many' }, 'answer')
  for (let n = 0; n < 50; n++)
    await store.remember('s', `large${n}`, { ...mine, owner: 'large' }, 'x'.repeat(30_000))
  assert.deepEqual(await kept('quiet', 10), quiet)
  assert.deepEqual(
    await kept('many', 1000),
    Array.from({ length: 100 }, (_, n) => 900 + n),
  )
  assert.deepEqual(await kept('large', 50), [47, 48, 49])
  await store.remember('s', 'large50', { ...mine, owner: 'large' }, 'x'.repeat(200_000))
  assert.deepEqual(await kept('large', 51), [50])
  assert.deepEqual(await kept('quiet', 10), quiet)
})

test('what runs is not forgotten, however many answers come meanwhile', async () => {
  const store = memoryStore({ maxAnswers: 2 })
  assert.equal(await store.claim('s', 'slow', mine, 10_000), undefined)
  for (let n = 0; n < 1000; n++) await store.remember('s', `k${n}`, mine, 'answer')
  assert.deepEqual(await store.claim('s', 'slow', other, 10_000), { fingerprint: 'f' })
  assert.equal(await store.remember('s', 'slow', mine, 'at last'), undefined)
  assert.equal((await store.claim('s', 'slow', other, 10_000))?.answer, 'at last')
})

test('an answer is remembered for two days, if nothing else is said', async (t) => {
  t.mock.timers.enable({ apis: ['Date'] })
  const store = memoryStore()
  await store.remember('s', 'k', mine, 'answer')
  t.mock.timers.tick(2 * 24 * 60 * 60 * 1000)
  assert.equal((await store.claim('s', 'k', other, 1))?.answer, 'answer')
  t.mock.timers.tick(1)
  assert.equal(await store.claim('s', 'k', other, 1), undefined)
})

test('remembering is as quick when the store is full as when it is empty', async () => {
  const store = memoryStore({ maxAnswers: 20_000 })
  const started = performance.now()
  for (let n = 0; n < 200_000; n++) await store.remember('s', `k${n}`, mine, 'answer')
  assert.ok(performance.now() - started < 4000, `${performance.now() - started} ms`)
})
