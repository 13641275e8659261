/** `npm run qos -- [--rounds 10] [--seed 1234] [--row killed] [--store sqlite]` */
import { randomInt } from 'node:crypto'
import { parseArgs } from 'node:util'
import { play, type Result, STORES, type StoreName, setStage, wrongIn } from './qos'
import { ROWS, type Row } from './rows'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '10' },
    seed: { type: 'string', default: String(randomInt(2 ** 32)) },
    /** A part of its name. */
    row: { type: 'string', default: '' },
    store: { type: 'string' },
  },
})
const rounds = Number(values.rounds)
const seed = Number(values.seed)
let failed = 0

const COLUMNS = ['once', 'shown by each tab', 'promise', 'held', 'sent', 's'] as const
const WIDTHS = [5, 17, 15, 9, 5, 4]

function line(name: string, cells: readonly string[]): string {
  return `${name.padEnd(92)} ${cells.map((cell, at) => cell.padEnd(WIDTHS[at] ?? 0)).join(' ')}`.trimEnd()
}

/** Each different one, and how often, if it is not always the same. */
function tally(texts: readonly string[]): string {
  const counts = new Map<string, number>()
  for (const text of texts) counts.set(text, (counts.get(text) ?? 0) + 1)
  return [...counts].map(([text, count]) => (counts.size > 1 ? `${text} ×${count}` : text)).join('; ')
}

function cellsOf(results: readonly Result[], failures: number): string[] {
  const seconds = results.reduce((sum, result) => sum + result.seconds, 0) / Math.max(1, results.length)
  return [
    `${rounds - failures}/${rounds}`,
    tally(results.map(({ shown }) => shown.join(' + '))),
    tally(results.map(({ outcomes }) => outcomes.join(', '))),
    tally(results.map(({ held }) => held.join(' → '))),
    tally(results.map(({ sent }) => `${sent}`)),
    seconds.toFixed(1),
  ]
}

async function playAll(store: StoreName, rows: readonly Row[]): Promise<void> {
  console.log(`\n${line(`store: ${store}`, COLUMNS)}`)
  const stage = await setStage(store)
  for (const row of rows) {
    const results: Result[] = []
    const wrong: string[] = []
    for (let round = 0; round < rounds; round++) {
      try {
        const result = await play(stage, row, seed + round)
        results.push(result)
        const faults = wrongIn(row, result)
        if (faults.length) wrong.push(`seed ${seed + round}: ${faults.join('; ')}`)
      } catch (error) {
        wrong.push(`seed ${seed + round}: ${error}`)
        console.error(error)
        // Whatever it left.
        stage.proxy.resume()
        await stage.server.restart()
      }
    }
    console.log(line(row.name, cellsOf(results, wrong.length)))
    for (const what of wrong) console.error(`  ${what}`)
    failed += wrong.length
  }
  await stage.close()
}

for (const store of STORES.filter((name) => name === (values.store ?? name))) {
  const rows = ROWS.filter(({ name, kills }) => name.includes(values.row) && (store === 'sqlite' || !kills))
  await playAll(store, rows)
}
console.log(failed ? `${failed} failed` : 'Each was shown once, and none is held any more.')
console.log(`The same again: npm run qos -- --seed ${seed}`)
process.exitCode = failed ? 1 : 0
