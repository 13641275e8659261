import type { LoadOutbox } from './part'

/** Stands in for load.ts in what the backend serves (rollup.config.mjs): the part lies at the same endpoint. */
export const loadOutbox: LoadOutbox = (address) =>
  import(/* webpackIgnore: true */ /* @vite-ignore */ address)
