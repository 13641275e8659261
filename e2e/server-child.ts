/** What `server-process.ts` starts: `server-child.ts <port>`. */
import { startServer } from './server'
import type { Call, Reply } from './server-process'

const server = await startServer(undefined, Number(process.argv[2]))
const send = (message: number | Reply) => process.send?.(message)

process.on('message', async ({ id, method, args }: Call) => {
  try {
    const call = server.sse[method] as (...args: unknown[]) => unknown
    send({ id, value: await call.apply(server.sse, args) })
  } catch (error) {
    send({ id, error: String(error) })
  }
})
// The parent is gone: so is the test.
process.on('disconnect', () => process.exit())
send(server.port)
