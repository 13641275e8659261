/** `npm run soak -- [--minutes 10] [--clients 300] [--seed 1234] [--sends 150] [--faults 1] [--keep-going]` */
import { randomInt } from 'node:crypto'
import { parseArgs } from 'node:util'
import { soak } from './soak'

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    clients: { type: 'string', default: '300' },
    seed: { type: 'string', default: String(randomInt(2 ** 32)) },
    sends: { type: 'string', default: '150' },
    faults: { type: 'string', default: '1' },
    'keep-going': { type: 'boolean', default: false },
  },
})
const [minutes, clients, seed] = [values.minutes, values.clients, values.seed].map(Number) as [
  number,
  number,
  number,
]
const again = `npm run soak -- --seed ${seed} --minutes ${minutes} --clients ${clients}`

console.log(`${clients} clients for ${minutes} minutes, seed ${seed}`)
const { tally, violations } = await soak({
  seconds: minutes * 60,
  clients,
  seed,
  sendsPerSecond: Number(values.sends),
  faults: Number(values.faults),
  keepGoing: values['keep-going'],
  onProgress: (line) => console.log(line),
  onViolation: (violation) => console.error(`\n${violation}\n`),
})
const { user, system } = process.cpuUsage()
console.log(String(tally))
console.log(`${((user + system) / 1e6 / process.uptime()).toFixed(2)} cores in use on average`)
if (violations.length > 0) console.error(`${violations.length} violations. The same plan again: ${again}`)
else console.log(`Nothing lost, nothing double. The same plan again: ${again}`)
process.exitCode = violations.length > 0 ? 1 : 0
