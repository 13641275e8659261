/** Finds the Chromium that the tests drive. */
import { findExecutable, isExecutable } from './executable.mjs'

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']

/** Path of the browser: `CHROMIUM_PATH`, or the first one found on `PATH`; `undefined` if there is none. */
export function findChromium() {
  const { CHROMIUM_PATH } = process.env
  return CHROMIUM_PATH && isExecutable(CHROMIUM_PATH) ? CHROMIUM_PATH : findExecutable(...NAMES)
}
