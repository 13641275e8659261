/** Finds commands. */
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

export const isExecutable = (file) => {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** Where servers are, which the `PATH` of a plain user leaves out. */
const SYSTEM_FOLDERS = ['/usr/local/sbin', '/usr/sbin']

/** Path of the first of these commands that there is; `undefined` if there is none. */
export function findExecutable(...names) {
  const folders = [...(process.env.PATH ?? '').split(delimiter), ...SYSTEM_FOLDERS]
  return names.flatMap((name) => folders.map((folder) => join(folder, name))).find(isExecutable)
}
