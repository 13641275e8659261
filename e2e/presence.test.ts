import assert from 'node:assert/strict'
import { it } from 'node:test'
import { presence, type Row, wrongIn } from './presence/presence'

it('is told to the application who is gone, and of nobody who reloads a page or has a bad line', async (t) => {
  const rows: Row[] = []
  const amounts = { reloads: 3, reconnects: 3, goodbyes: 1, hides: 0, cuts: 1, reconnectTime: 200 }
  for await (const row of presence(amounts)) rows.push(row)
  t.diagnostic('The whole of it: npm run presence')
  for (const row of rows) assert.equal(wrongIn(row), '', row.what)
  assert.equal(rows.length, 4)
})
