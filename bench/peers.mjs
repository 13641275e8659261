import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** Installs what tabwire is measured beside, if it is not there: all of it, also what was added since. */
export function installPeers() {
  const folder = fileURLToPath(new URL('.', import.meta.url))
  const { dependencies } = JSON.parse(readFileSync(`${folder}package.json`, 'utf8'))
  if (Object.keys(dependencies).every((name) => existsSync(`${folder}node_modules/${name}`))) return
  console.log('Installing the peers …')
  const { status } = spawnSync('npm ci --silent', { cwd: folder, stdio: 'inherit', shell: true })
  if (status !== 0) throw new Error('The peers could not be installed.')
}
