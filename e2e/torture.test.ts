import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { appendFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { Books } from './torture/books'
import { torture } from './torture/torture'

describe('the books of the torture', () => {
  let folder: string
  let journal: string
  let books: Books

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'tabwire-'))
    journal = join(folder, 'journal')
    books = new Books(journal)
    for (const n of [1, 2, 3]) books.sent(n, 'ann')
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  const show = (n: number, isSure = false): void => books.shown('tab', 'ann', n, isSure)
  const missing = (): string => books.missing([{ name: 'tab', user: 'ann' }]).join('; ')

  it('are in order if all comes, once, and what was done does not come again', () => {
    books.told({ stored: 1 })
    books.told({ held: 'm', n: 2 })
    assert.equal(missing(), '1 at tab; 2, which is sure')
    books.told({ ready: 1, pending: ['m'] })
    show(1)
    show(2, true)
    books.told({ acknowledged: 'm' })
    books.told({ ready: 1, pending: [] })
    assert.equal(missing(), '')
    assert.deepEqual(books.violations, [])
  })

  it('tell of what is shown twice, in a wrong order, or to others', () => {
    show(2)
    show(2)
    show(1)
    books.shown('other', 'bob', 3, false)
    assert.match(
      books.violations.join('; '),
      /^tab was shown 2 twice; tab .* 1 after 2; other .* not for it$/,
    )
  })

  it('tell of what waits though it was acknowledged, and of what does not though nobody was shown it', () => {
    books.told({ held: 'm', n: 1 })
    books.told({ held: 'o', n: 2 })
    books.told({ acknowledged: 'm' })
    books.told({ ready: 1, pending: ['m'] })
    assert.match(books.violations.join('; '), /^1 waits though .*; 2 does not wait/)
  })

  it('tell of what was done again after it was remembered; not if the process died before', () => {
    for (const n of [1, 2]) books.asked(n)
    appendFileSync(journal, '1\n2\n')
    books.told({ remembered: 1 })
    books.killed()
    appendFileSync(journal, '1\n2\n')
    books.killed()
    assert.deepEqual(books.violations, ['request 1 was done again after its answer was remembered'])
    assert.equal(missing(), 'the answer to 1; the answer to 2')
  })
})

describe('a server that is killed amid its work', () => {
  it('loses nothing that it has accepted, and nothing that was done comes again', async (t) => {
    const seed = randomInt(2 ** 32)
    t.diagnostic(`npm run torture -- --kills 10 --seed ${seed}`)
    const books = await torture({ kills: 10, seed })
    t.diagnostic(String(books))
    assert.deepEqual(books.violations, [])
  })
})
