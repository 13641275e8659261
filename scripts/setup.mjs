/** Makes sure that what the tests need of the system is there: a Chromium, and a font so that pages have glyphs. */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { findChromium } from './chromium.mjs'

const PACKAGES = ['chromium', 'fonts-dejavu-core']
const REMEDY = `The tests need Chromium: install it (Debian: apt-get install ${PACKAGES.join(' ')}) or set CHROMIUM_PATH.`

/** apt's own output is of interest only when it failed. */
function apt(...args) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const { status, stderr } = spawnSync('apt-get', ['-qq', ...args], {
    env,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  if (status !== 0) process.stderr.write(stderr ?? '')
  return status === 0
}

/** Ubuntu's package is an empty shell around a snap, so being there is not enough after an installation. */
const starts = (browser) => spawnSync(browser, ['--version'], { stdio: 'ignore' }).status === 0

function install() {
  if (process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) return false
  console.log(`Installing ${PACKAGES.join(' and ')} for the tests …`)
  if (!apt('update') || !apt('install', '-y', '--no-install-recommends', ...PACKAGES)) return false
  const browser = findChromium()
  return browser !== undefined && starts(browser)
}

if (!findChromium() && !install()) {
  console.error(REMEDY)
  process.exit(1)
}
