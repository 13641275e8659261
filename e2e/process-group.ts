import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'

function kill({ pid, exitCode, signalCode }: ChildProcess): void {
  if (pid !== undefined && exitCode === null && signalCode === null) process.kill(-pid, 'SIGKILL')
}

/**
 * Ends a child, and the helpers that it has, together with the test: also one that dies or takes too long leaves
 * nothing behind. The child must have been spawned `detached`, as a group of its own.
 * @returns ends them now
 */
export function ownGroup(child: ChildProcess): () => Promise<void> {
  const exited = once(child, 'exit')
  const onExit = (): void => kill(child)
  const onSignal = (): never => process.exit(1)
  process.once('exit', onExit).once('SIGTERM', onSignal).once('SIGINT', onSignal)
  return async () => {
    process.off('exit', onExit).off('SIGTERM', onSignal).off('SIGINT', onSignal)
    kill(child)
    await exited
  }
}
