import { startBrowser } from '../browser'
import { startProxy } from '../proxy'
import { createRandom } from '../soak/random'
import { Backend } from './backend'
import { Files } from './files'
import { type Amount, type Manner, planShares } from './plan'
import type { Row } from './rows'
import { judge, type Verdict } from './verdict'
import { type Stage, World } from './world'

export interface Result extends Verdict {
  readonly hits: number
  readonly seconds: number
}

/** @param uploads how many files there are to be */
export async function setStage(uploads: number): Promise<Stage & { close(): Promise<void> }> {
  const files = await Files.make(uploads)
  const backend = await Backend.start(`${files.folder}/journal`)
  const proxy = await startProxy(backend.port)
  const browser = await startBrowser()
  const stage = {
    files,
    backend,
    proxy,
    browser,
    async close() {
      await stage.browser.close()
      await proxy.close()
      await backend.close()
      await files.remove()
    },
  }
  return stage
}

/** How often something has happened to the line or the server. */
const strikesOf = ({ backend, proxy }: Stage): number => backend.strikes + proxy.cuts

/** The faults of one row, again and again at random moments while requests go out; then all must be well. */
export async function crash(
  stage: Stage,
  row: Row,
  amount: Amount,
  manner: Manner,
  seed: number,
): Promise<Result> {
  const startedAt = performance.now()
  const random = createRandom(seed)
  const world = new World(stage, random, `${seed}-${Math.round(startedAt)}`)
  const before = strikesOf(stage)
  for (let tab = 0; tab < (row.tabs ?? 1); tab++) await world.open()
  for (const share of planShares(random, amount, manner, row)) {
    await row.prepare?.(world)
    await world.send(share)
    for (let n = 0; n < (row.times ?? 1); n++) await row.hit(world)
  }
  await row.calm?.(world)
  await world.settle()
  const kept = await world.audit()
  await world.end()
  const { sent, outcomes, troubles, user } = world
  const hits = world.hits + strikesOf(stage) - before
  const journal = stage.backend.journal.read().filter((line) => line.what === 'death' || line.user === user)
  const shaOf = (file: number) => stage.files.all[file]?.sha256
  const verdict = judge({ sent, journal, outcomes, kept, troubles, shaOf })
  return { ...verdict, hits, seconds: (performance.now() - startedAt) / 1000 }
}
