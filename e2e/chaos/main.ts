/** `npm run chaos -- [--minutes 10] [--seed 1234] [--clients 300] [--sends 100]` */
import { randomInt } from 'node:crypto'
import { parseArgs } from 'node:util'
import { chaos } from './chaos'

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    seed: { type: 'string', default: String(randomInt(2 ** 32)) },
    clients: { type: 'string', default: '300' },
    sends: { type: 'string', default: '100' },
  },
})
const again = `npm run chaos -- --seed ${values.seed} --minutes ${values.minutes}`
console.log(`${values.clients} clients for ${values.minutes} minutes, seed ${values.seed}`)
const { violations, figures } = await chaos({
  seconds: Number(values.minutes) * 60,
  seed: Number(values.seed),
  clients: Number(values.clients),
  sendsPerSecond: Number(values.sends),
  onProgress: (line) => console.log(line),
})
console.log(JSON.stringify(figures, undefined, 2))
console.log(
  violations.length === 0 ? 'Nothing lost, nothing double.' : `${violations.length} violations.`,
  again,
)
process.exitCode = violations.length > 0 ? 1 : 0
