import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** Installs what tabwire is measured beside, if it is not there. */
export function installPeers() {
  const folder = fileURLToPath(new URL('.', import.meta.url))
  if (existsSync(`${folder}node_modules`)) return
  console.log('Installing the peers …')
  const { status } = spawnSync('npm ci --silent', { cwd: folder, stdio: 'inherit', shell: true })
  if (status !== 0) throw new Error('The peers could not be installed.')
}
