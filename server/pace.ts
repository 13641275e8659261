import { setImmediate } from 'node:timers/promises'

/** Characters that may be sent in one turn of the event loop. */
const MOST_IN_A_TURN = 256 * 1024

/** Who sends much without a pause lets the sockets write now and then: nothing would leave before the turn is over. */
export class Pace {
  /** Characters that were sent since the sockets could write. */
  #inThisTurn = 0

  async sent(size: number): Promise<void> {
    this.#inThisTurn += size
    if (this.#inThisTurn < MOST_IN_A_TURN) return
    await setImmediate()
    this.#inThisTurn = 0
  }
}
