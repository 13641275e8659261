/** The process of one server: `node server.mjs <name>`. */
import { Session } from 'node:inspector'
import { setTimeout } from 'node:timers/promises'
import { answerParent } from '../child.mjs'
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

  /**
   * Without garbage, and without the room that V8 has made for more of it in the rush of connecting (some 20 MB, however
   * many connections there are): as V8 does it by itself when memory is low. Pages go back a while after.
   */
  async tidy() {
    const session = new Session()
    session.connect()
    for (let time = 0; time < 3; time++) {
      session.post('HeapProfiler.collectGarbage')
      await setTimeout(300)
    }
    session.disconnect()
  },
})
