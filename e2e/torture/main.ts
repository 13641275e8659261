/** `npm run torture -- [--kills 200] [--seed 1234]` */
import { randomInt } from 'node:crypto'
import { parseArgs } from 'node:util'
import { torture } from './torture'

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '200' },
    seed: { type: 'string', default: String(randomInt(2 ** 32)) },
  },
})
const [kills, seed] = [Number(values.kills), Number(values.seed)]
console.log(`${kills} kills, seed ${seed}`)
const books = await torture({ kills, seed, onProgress: (line) => console.log(line) })
console.log(String(books))
for (const violation of books.violations) console.error(violation)
console.log(
  `${books.violations.length} violations. The same plan again: npm run torture -- --kills ${kills} --seed ${seed}`,
)
process.exitCode = books.violations.length > 0 ? 1 : 0
