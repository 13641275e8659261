import type { KeeperModule } from './kept'
import type { UploaderModule } from './uploader'

/** Imports a further part. @param attempt how often that has failed so far */
type LoadPart<Module> = (attempt: number) => Promise<Module>

/** In the package a bundler decides where they are. The served part has parts-served.ts in this place. */
export const loadUploader: LoadPart<UploaderModule> = () => import('./upload')
export const loadKeeper: LoadPart<KeeperModule> = () => import('./outbox-store')
