/** `npm run crash -- [--sends 200] [--uploads 20] [--rounds 10] [--seed 1234] [--row killed] [--manner mixed]` */
import { randomInt } from 'node:crypto'
import { parseArgs } from 'node:util'
import { crash, setStage } from './crash'
import type { Manner } from './plan'
import { rowsOf } from './rows'
import { wrongIn } from './verdict'

const { values } = parseArgs({
  options: {
    sends: { type: 'string', default: '200' },
    uploads: { type: 'string', default: '20' },
    rounds: { type: 'string', default: '10' },
    offline: { type: 'string', default: '30' },
    seed: { type: 'string', default: String(randomInt(2 ** 32)) },
    /** A part of its name. */
    row: { type: 'string', default: '' },
    manner: { type: 'string' },
  },
})
const [sends, uploads, rounds, offline, seed] = [
  values.sends,
  values.uploads,
  values.rounds,
  values.offline,
  values.seed,
].map(Number) as [number, number, number, number, number]
const manners = (values.manner ? [values.manner] : ['together', 'alone', 'mixed']) as Manner[]
const rows = rowsOf({ offline: offline * 1000 }).filter(({ name }) => name.includes(values.row))

const COLUMNS = ['hits', 'effects', 'lost', 'double', 'order', 'broken', 'unwell', 'kept', 's'] as const

function line(row: string, manner: string, cells: readonly (string | number)[]): string {
  const padded = cells.map((cell, at) => String(cell).padStart(Math.max(5, COLUMNS[at]?.length ?? 0)))
  return `${row.padEnd(56)} ${manner.padEnd(8)} ${padded.join(' ')}`
}

console.log(`${sends} sends and ${uploads} uploads in each row, seed ${seed}`)
console.log(line('fault', 'go', COLUMNS))
const stage = await setStage(uploads)
let failed = 0
for (const row of rows)
  for (const manner of manners) {
    try {
      const result = await crash(stage, row, { sends, uploads, rounds }, manner, seed)
      const { hits, effects, lost, double, misordered, broken, unwell, kept, seconds } = result
      const counts = [lost, double, misordered, broken, unwell, kept].map(({ length }) => length)
      console.log(line(row.name, manner, [hits, effects, ...counts, seconds.toFixed()]))
      const wrong = wrongIn(result, row.atLeastOnce)
      failed += Number(wrong.length > 0)
      for (const what of wrong) console.error(`  ${what}`)
    } catch (error) {
      failed++
      console.error(line(row.name, manner, ['failed']), error)
    }
  }
await stage.close()
console.log(
  failed
    ? `${failed} rows failed`
    : 'Nothing lost, and nothing twice but what was under way in a server that died.',
)
console.log(`The same again: npm run crash -- --seed ${seed}`)
process.exitCode = failed ? 1 : 0
