/** The process of one server: `node --expose-gc server.mjs <name>`. */
import { answerParent } from './child.mjs'
import { makeMessage } from './message.mjs'
import { startServer } from './servers.mjs'

const { port, broadcast } = await startServer(process.argv[2])

answerParent({
  port: () => port,

  /** As fast as it can, in one turn of the event loop. */
  batch(count) {
    for (let sent = 0; sent < count; sent++) broadcast(makeMessage())
  },

  /** One message every `interval` ms; a turn that comes late is not made up for. */
  pace(count, interval) {
    return new Promise((resolve) => {
      let sent = 0
      const timer = setInterval(() => {
        broadcast(makeMessage())
        if (++sent < count) return
        clearInterval(timer)
        resolve()
      }, interval)
    })
  },

  /** Without what is garbage already. */
  tidy() {
    globalThis.gc()
  },
})
