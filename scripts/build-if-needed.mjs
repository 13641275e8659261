/** Builds when `dist` is missing or older than what it is made of; says nothing otherwise. */
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'

process.chdir(join(import.meta.dirname, '..'))

const changed = (file) => statSync(file, { throwIfNoEntry: false })?.mtimeMs

function sources(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /(?<!\.test)\.(ts|css|html)$/.test(entry.name))
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .filter((file) => !dirname(file).endsWith('test'))
}

/** Every file that package.json promises in `exports`. */
function promised() {
  const { exports } = JSON.parse(readFileSync('package.json', 'utf8'))
  return Object.values(exports)
    .flatMap((target) => (typeof target === 'string' ? target : Object.values(target)))
    .filter((file) => file.startsWith('./dist/'))
}

const inputs = [
  ...sources('client'),
  ...sources('server'),
  'package.json',
  'rollup.config.mjs',
  'tsconfig.json',
  'tsconfig.build.json',
]
const newestInput = Math.max(...inputs.map(changed))
/** What the server reads beside itself. */
const served = [
  'sse.classic.js',
  'sse.js.map',
  'sse.d.ts',
  'monitor.html',
  'monitor.css',
  ...['outbox.js', 'outbox-store.js', 'upload.js', 'monitor.js'].flatMap((name) => [name, `${name}.map`]),
].map((name) => `dist/${name}`)
const oldestOutput = Math.min(...[...promised(), ...served].map((file) => changed(file) ?? 0))

if (oldestOutput < newestInput) {
  console.log('Building …')
  // `shell`: npm is a script on Windows.
  process.exitCode = spawnSync('npm run build --silent', { stdio: 'inherit', shell: true }).status ?? 1
}
