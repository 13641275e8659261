/** What became of all that was sent, over all clients. */
export class Tally {
  sent = 0
  /** Sent times clients that it was for. */
  expected = 0
  delivered = 0
  /** Of those that were delivered: sent while the client was away. */
  replayed = 0
  /** Stood in for by a count. */
  counted = 0
  /** Not wanted on return: `drop`, and older ones of `latest`. */
  dropped = 0
  superseded = 0
  gaps = 0
  /** Before a client's first connect, behind a gap, or for a page that was reloaded: nobody waits for it. */
  excused = 0
  lost = 0
  double = 0
  misordered = 0
  /** Everything else that must not be. */
  wrong = 0
  readonly faults = new Map<string, number>()
  /** How often an open stream ended, by the reason that the client tells. */
  readonly ends = new Map<string, number>()

  /** Of the expected ones, those of which nobody knows what became of them. */
  get open(): number {
    const { expected, delivered, counted, dropped, superseded, excused, lost } = this
    return expected - delivered - counted - dropped - superseded - excused - lost
  }

  count(of: Map<string, number>, name: string): void {
    of.set(name, (of.get(name) ?? 0) + 1)
  }

  toString(): string {
    const { sent, expected, delivered, replayed, counted, dropped, superseded, gaps, excused } = this
    const list = (of: Map<string, number>): string =>
      [...of]
        .sort(([, a], [, b]) => b - a)
        .map(([name, count]) => `${name} ${count}`)
        .join(', ')
    return [
      `sent ${sent} to ${expected} recipients: delivered ${delivered} (replayed ${replayed}), counted ${counted}, dropped ${dropped}, superseded ${superseded}, excused ${excused}`,
      `gaps ${gaps}; faults: ${list(this.faults)}`,
      `streams ended: ${list(this.ends)}`,
      `lost ${this.lost}, double ${this.double}, misordered ${this.misordered}, otherwise wrong ${this.wrong}`,
    ].join('\n')
  }
}
