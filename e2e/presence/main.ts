/**
 * `npm run presence -- [--reloads 100] [--reconnects 100] [--goodbyes 20] [--hides 20] [--cuts 20]`
 * `[--grace ms] [--reconnectTime ms] [--delay ms]`
 */
import { parseArgs } from 'node:util'
import { type Amounts, presence, type Row, wrongIn } from './presence'

const AMOUNTS: Amounts = { reloads: 100, reconnects: 100, goodbyes: 20, hides: 20, cuts: 20 }
const names = [...Object.keys(AMOUNTS), 'grace', 'reconnectTime', 'delay']
const options = Object.fromEntries(names.map((name) => [name, { type: 'string' as const }]))
const given = Object.entries(parseArgs({ options }).values).map(([name, value]) => [name, Number(value)])
const amounts: Amounts = { ...AMOUNTS, ...Object.fromEntries(given) }

const WIDTHS = [20, 5, 22, 26, 11, 14]
const line = (...cells: readonly (string | number)[]): void =>
  console.log(
    cells
      .map((cell, at) => String(cell).padEnd(WIDTHS[at] ?? 0))
      .join(' ')
      .trimEnd(),
  )
const words = (counts: Record<string, number>): string =>
  Object.entries(counts)
    .map(([word, count]) => `${count} ${word}`)
    .join(', ') || '0'

function print({ what, times, truth, offline, online, states }: Row): void {
  line(what, times, words(truth), words(offline), `${online.came} + ${online.returned}`, words(states))
}

line('what', 'times', 'true ends', 'offline notices', 'online', 'presence')
let failed = 0
for await (const row of presence(amounts)) {
  print(row)
  const wrong = wrongIn(row)
  if (wrong === '') continue
  failed++
  console.error(`  ${wrong}`)
}
console.log(failed ? `${failed} rows are wrong` : 'Who was told to be gone was gone, and nobody else was.')
process.exitCode = failed ? 1 : 0
