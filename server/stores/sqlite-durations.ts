import type { Durations } from './local-store'
import type { Database } from './sqlite-file'

/** @param max Beyond that the oldest goes. */
export function sqliteDurations(db: Database, max: number): Durations {
  const add = db.prepare('INSERT INTO duration (key, seconds) VALUES (?, ?)')
  const remove = db.prepare<[string], number>('DELETE FROM duration WHERE key = ? RETURNING seconds').pluck()
  const removeOldest = db.prepare(`DELETE FROM duration WHERE seq = (SELECT min(seq) FROM duration)
    AND EXISTS (SELECT 1 FROM total WHERE durations > ?)`)

  return {
    set: db.transaction((key: string, seconds: number) => {
      // Removed first, it is the newest again.
      remove.get(key)
      add.run(key, seconds)
      removeOldest.run(max)
    }),
    take: db.transaction((keys: readonly string[]) => {
      const taken = keys.map((key) => remove.get(key))
      return taken.findLast((seconds) => seconds !== undefined)
    }),
  }
}
