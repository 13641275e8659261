import assert from 'node:assert/strict'
import { test } from 'node:test'
import { memoryStore } from 'tabwire/stores/memory'

const mine = { owner: 'o', holder: 'h', fingerprint: 'f' }

test('remembering is as quick when the store is full as when it is empty', async () => {
  const store = memoryStore({ maxAnswers: 20_000 })
  const before = process.cpuUsage()
  for (let n = 0; n < 200_000; n++) await store.remember('s', `k${n}`, mine, 'answer')
  // Not the time on the clock: others may be at work here.
  const { user, system } = process.cpuUsage(before)
  assert.ok(user + system < 4_000_000, `${user + system} µs`)
})
