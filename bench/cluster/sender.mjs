/** The process that sends, and has no connections: `node sender.mjs <system> <url of Redis>`. */
import { setTimeout } from 'node:timers/promises'
import { answerParent } from '../child.mjs'
import { makeMessage } from '../fanout/message.mjs'
import { cpuTime } from './cpu-time.mjs'
import { SYSTEMS } from './systems.mjs'

const [system, url] = process.argv.slice(2)
const send = await SYSTEMS[system].startSender(url)

answerParent({
  cpu: cpuTime,

  /**
   * One message to one user every `interval` ms, each user in turn; what comes late is made up for. Without users it only
   * keeps the time, so that what this costs is not counted. @returns to how many connections they were written
   */
  async pace(count, interval, users) {
    const start = performance.now()
    const sent = []
    for (let number = 0; number < count; number++) {
      const wait = start + number * interval - performance.now()
      if (wait > 0) await setTimeout(wait)
      if (users.length > 0) sent.push(send(users[number % users.length], makeMessage()))
    }
    return (await Promise.all(sent)).reduce((sum, reached) => sum + reached, 0)
  },
})
