import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { backoff, retryAfter } from '../backoff'
import { createParser } from '../parser'

function read(...pieces: string[]): unknown[] {
  const out: unknown[] = []
  const parse = createParser({
    onEvent: (type, data, id) => out.push([type, data, id]),
    onRetry: (ms) => out.push(ms),
  })
  for (const piece of pieces) parse(piece)
  return out
}

describe('an event stream', () => {
  const cases: [name: string, text: string, expected: unknown[]][] = [
    ['with one event', 'event: a\ndata: x\n\n', [['a', 'x', '']]],
    ['with no event name is a message', 'data: x\n\n', [['message', 'x', '']]],
    ['with several lines of data joins them', 'data: x\ndata\ndata:  y\n\n', [['message', 'x\n\n y', '']]],
    [
      'keeps the last id',
      'id: 7\ndata: x\n\ndata: y\n\nid\ndata: z\n\n',
      [
        ['message', 'x', '7'],
        ['message', 'y', '7'],
        ['message', 'z', ''],
      ],
    ],
    ['ignores an id with NUL', 'id: 7\nid: a\0b\ndata: x\n\n', [['message', 'x', '7']]],
    ['ignores comments and unknown fields', ': hi\n:\nfoo: bar\nfoo\ndata: x\n\n', [['message', 'x', '']]],
    ['dispatches nothing without data', 'event: a\nid: 1\n\ndata: x\n\n', [['message', 'x', '1']]],
    ['dispatches empty data', 'event: a\ndata:\n\n', [['a', '', '']]],
    ['drops an event that never ends', 'data: x\n\ndata: y\n', [['message', 'x', '']]],
    ['reads retry if it is digits', 'retry: 50\nretry: 5x\nretry:\n\n', [50]],
    ['takes one space only', 'data:x\ndata: x\ndata:  x\n\n', [['message', 'x\nx\n x', '']]],
    ['may have a colon in a value', 'data: {"a":1}\n\n', [['message', '{"a":1}', '']]],
    ['takes names as they are', 'Data: x\ndata : x\ndata: y\n\n', [['message', 'y', '']]],
  ]
  for (const [name, text, expected] of cases) {
    it(name, () => {
      assert.deepEqual(read(text), expected)
      assert.deepEqual(read(text.replaceAll('\n', '\r')), expected, 'CR')
      assert.deepEqual(read(text.replaceAll('\n', '\r\n')), expected, 'CRLF')
      assert.deepEqual(read(...text.replaceAll('\n', '\r\n')), expected, 'CRLF, piece by piece')
    })
  }

  it('reads the same however it is cut', () => {
    const part = fc.constantFrom(
      'data',
      'event',
      'id',
      'retry',
      ':',
      ' ',
      'x',
      'äß😀',
      '12',
      '\n',
      '\n\n',
      '\r',
      '\r\n',
      '\0',
    )
    const text = fc.array(part, { maxLength: 60 }).map((parts) => parts.join(''))
    fc.assert(
      fc.property(text, fc.array(fc.nat(80), { maxLength: 8 }), (whole, cuts) => {
        const at = [...new Set([0, ...cuts, whole.length])]
          .filter((n) => n <= whole.length)
          .sort((a, b) => a - b)
        const pieces = at.slice(1).map((end, i) => whole.slice(at[i], end))
        assert.deepEqual(read(...pieces), read(whole))
      }),
      { numRuns: 2000 },
    )
  })

  it('gives back what was written, line ends aside', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary' }), { minLength: 1 }), (texts) => {
        const data = texts.map((text) => text.replace(/\r\n|\r/g, '\n'))
        const wire = data.map((text) => `data: ${text.split('\n').join('\ndata: ')}\n\n`).join('')
        assert.deepEqual(
          read(wire),
          data.map((text) => ['message', text, '']),
        )
      }),
    )
  })
})

describe('a delay', () => {
  it('lies between 0 and the capped exponential', () => {
    fc.assert(
      fc.property(
        fc.nat(100),
        fc.nat(60_000),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (attempt, base, random) => {
          const delay = backoff(attempt, base, random)
          assert.ok(delay >= 0 && delay <= 30_000)
          assert.ok(delay <= Math.max(100, base) * 2 ** attempt)
        },
      ),
    )
  })

  it('is spread over all of it', () => {
    assert.equal(backoff(0, 2000, 0), 0)
    assert.equal(backoff(0, 2000, 0.5), 1000)
    assert.equal(backoff(3, 2000, 0.5), 8000)
    assert.equal(backoff(0, 0, 1), 100)
  })

  it('follows Retry-After in seconds and as a date', () => {
    const now = Date.parse('2026-11-21T10:00:00Z')
    assert.equal(retryAfter('3', now), 3000)
    assert.equal(retryAfter('Sat, 21 Nov 2026 10:00:05 GMT', now), 5000)
    for (const useless of [null, '', 'soon', 'Sat, 21 Nov 2026 09:00:00 GMT', '-1'])
      assert.equal(retryAfter(useless, now), 0)
  })
})
