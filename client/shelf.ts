import { type Entry, reviveEntry, toKept } from './entry'
import type { Keeper } from './kept'
import type { OutboxCore } from './part'
import { loadKeeper } from './parts'

/** ms until it is looked once more: the lock of a page that has just gone may live a moment longer than the page. */
const SECOND_LOOK = 2000

/** How often its part is asked for again, and the first pause before that, ms; each is twice as long as the one before. */
const RETRIES = 4
const FIRST_PAUSE = 250

/** Keeps what waits over a reload, if it is to be kept. Where the browser does not let us, it waits in memory. */
export interface Shelf {
  /** Resolves when the entry may leave. */
  keep(entry: Entry): Promise<void>
  /** What is kept of it is another thing now. */
  update(entry: Entry): void
  forget(entry: Entry): void
  /** Takes what was kept by pages that are gone. */
  restore(owner: string, onFound: (entry: Entry) => void): Promise<void>
  /** Was that done once? What was kept goes before what is new. */
  isRestored(): boolean
  /** Resolves then. */
  readonly whenRestored: Promise<void>
  /** Nothing of it remains but what is kept. */
  close(): void
}

/** When there is nothing to keep. */
export const noShelf: Shelf = {
  keep: async () => {},
  update() {},
  forget() {},
  restore: async () => {},
  isRestored: () => true,
  whenRestored: Promise.resolve(),
  close() {},
}

/** @param ownerKnown whose what is sent now is */
export function createShelf(core: OutboxCore, ownerKnown: Promise<string>): Shelf {
  const { env, options, emit } = core
  const { document } = env
  let isClosed = false
  let isTold = false
  let isRestored = false
  let tellRestored: () => void = () => {}
  const whenRestored = new Promise<void>((resolve) => (tellRestored = resolve))
  let secondLook: unknown
  let retry: unknown
  /** Nothing if the browser keeps nothing. */
  const keeper = open()

  async function open(): Promise<Keeper | undefined> {
    try {
      const { openKeeper } = await load(0)
      const opened = await openKeeper(env, new URL(options.url, document.baseURI).href)
      if (isClosed) opened.close()
      else hold(opened)
      return opened
    } catch (error) {
      tell(error)
      return undefined
    }
  }

  async function load(attempt: number): ReturnType<typeof loadKeeper> {
    try {
      return await loadKeeper(attempt)
    } catch (error) {
      // The line may have broken, or the server be about to start.
      if (attempt === RETRIES) throw error
      await new Promise<void>((resolve) => {
        retry = env.setTimeout(resolve, FIRST_PAUSE * 2 ** attempt)
      })
      return load(attempt + 1)
    }
  }

  function tell(error: unknown): void {
    if (!isTold && !isClosed) emit({ type: 'unkept', reason: String(error) })
    isTold = true
  }

  /** A page that nobody sees holds nothing: others may send what it has kept. */
  function hold(opened: Keeper): void {
    if (document.visibilityState === 'hidden') opened.release()
    else opened.hold()
  }

  async function adopt(owner: string, onFound: (entry: Entry) => void): Promise<void> {
    try {
      const onCorrupt = (reason: string): void => emit({ type: 'corrupt', reason })
      const opened = await keeper
      for (const { id, request } of (await opened?.adopt(owner, onCorrupt)) ?? []) {
        try {
          onFound(Object.assign(reviveEntry(id, request), { owner }))
        } catch (error) {
          onCorrupt(`request ${id}: ${error}`)
          opened?.remove(id).catch(tell)
        }
      }
    } catch (error) {
      tell(error)
    }
  }

  const onVisibility = (): void => void keeper.then((opened) => opened && !isClosed && hold(opened))
  document.addEventListener('visibilitychange', onVisibility)

  return {
    async keep(entry) {
      try {
        const opened = await keeper
        entry.owner ??= await ownerKnown
        if (!opened || entry.isSettled) return
        entry.id = await opened.put(entry.owner, toKept(entry))
        if (entry.isSettled) await opened.remove(entry.id)
      } catch (error) {
        tell(error)
      }
    },
    update(entry) {
      const { id } = entry
      if (id !== undefined) keeper.then((opened) => opened?.update(id, toKept(entry))).catch(tell)
    },
    forget({ id }) {
      if (id !== undefined) keeper.then((opened) => opened?.remove(id)).catch(tell)
    },
    async restore(owner, onFound) {
      await adopt(owner, onFound)
      isRestored = true
      tellRestored()
      env.clearTimeout(secondLook)
      if (!isClosed) secondLook = env.setTimeout(() => void adopt(owner, onFound), SECOND_LOOK)
    },
    isRestored: () => isRestored,
    whenRestored,
    close() {
      isClosed = true
      tellRestored()
      env.clearTimeout(secondLook)
      env.clearTimeout(retry)
      document.removeEventListener('visibilitychange', onVisibility)
      void keeper.then((opened) => opened?.close())
    },
  }
}
