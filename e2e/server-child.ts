/** What `server-process.ts` starts. */
import { answerCalls } from './calls'
import { startServer } from './server'

answerCalls(async (asked) => {
  const { sse, port } = await startServer(undefined, asked)
  return { api: sse, port }
})
