/** The process of one node: `node node.mjs <system> <url of Redis>`. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import { answerParent } from '../child.mjs'
import { cpuTime } from './cpu-time.mjs'
import { SYSTEMS } from './systems.mjs'

const [system, url] = process.argv.slice(2)
const server = createServer()
await SYSTEMS[system].startNode(url, server)
await once(server.listen(0, '127.0.0.1'), 'listening')

answerParent({ port: () => server.address().port, cpu: cpuTime })
