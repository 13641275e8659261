import type { KeeperModule } from './kept'
import { PATH_OUTBOX_STORE, PATH_UPLOADER } from './protocol'
import type { UploaderModule } from './uploader'

/**
 * Stands in for parts.ts in what the backend serves (rollup.config.mjs): they lie beside outbox.js.
 * Browsers remember that an import failed, for its address: each attempt has another one.
 */
const load = <Module>(path: string, attempt: number): Promise<Module> =>
  import(/* webpackIgnore: true */ /* @vite-ignore */ `.${path}${attempt ? `?t=${attempt}` : ''}`)

export const loadUploader = (attempt: number): Promise<UploaderModule> => load(PATH_UPLOADER, attempt)
export const loadKeeper = (attempt: number): Promise<KeeperModule> => load(PATH_OUTBOX_STORE, attempt)
