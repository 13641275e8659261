import { setTimeout as sleep } from 'node:timers/promises'
import type { Step } from './plan'
import type { World } from './world'

/** How often the plan is looked at, ms. */
const TICK = 10

/**
 * Makes a plan come true, each step when its time has come.
 * @param isOver asked again and again, with the ms since the start
 */
export async function play(
  world: World,
  steps: Generator<Step, void>,
  isOver: (ms: number) => boolean,
): Promise<void> {
  const startedAt = performance.now()
  let { value: step } = steps.next()
  for (;;) {
    const now = performance.now() - startedAt
    if (isOver(now)) return
    for (; step && step.at <= now; step = steps.next().value) world.perform(step)
    await sleep(TICK)
  }
}
