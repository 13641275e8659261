import { until } from './helpers'

/** A handler that runs until the test lets it go on. */
export class Gate {
  /** What each run was called with. */
  readonly calls: unknown[][] = []
  /** One for each run: ends it, by an error or with what it returns. */
  readonly runs: ((outcome?: unknown) => void)[] = []

  readonly pass = (...args: unknown[]): Promise<unknown> =>
    new Promise((resolve, reject) => {
      this.calls.push(args)
      this.runs.push((outcome) => (outcome instanceof Error ? reject(outcome) : resolve(outcome)))
    })

  begun(count = 1): Promise<void> {
    return until(() => this.runs.length >= count, `run ${count} of the handler`)
  }
}
