/**
 * The shape of the house: short files, short functions, arrows that point down only. The functions in a function (a
 * factory and its methods) are measured each by itself.
 * `--list` prints every file with its longest functions and what it imports; otherwise only problems are told.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path/posix'
import ts from 'typescript'

/**
 * From top to bottom. A file may import from rows below its own, and from its own row as long as that makes no circle.
 * A file that is not listed here is a problem: give it a place.
 */
const LAYERS = {
  client: [
    ['monitor/monitor'],
    ['monitor/people', 'monitor/pending', 'monitor/figures', 'monitor/plot'],
    ['monitor/list', 'monitor/rates'],
    ['monitor/api', 'monitor/words'],
    ['monitor/dom'],
    ['index', 'classic'],
    ['served'],
    ['sse'],
    ['load', 'load-served'],
    ['sender', 'outbox'],
    ['lanes', 'shelf'],
    ['exchange', 'receipts'],
    ['request', 'batch', 'farewell', 'unauthorized', 'owner', 'expiry', 'pauses', 'parts', 'parts-served'],
    ['outbox-store', 'upload', 'entry'],
    [
      'connection',
      'listeners',
      'identity',
      'pieces',
      'form-body',
      'xhr',
      'adoption',
      'outbox-database',
      'tab-lock',
    ],
    ['uploader'],
    ['stream', 'page', 'place', 'activity', 'part'],
    ['options', 'timer'],
    ['parser', 'backoff', 'judge'],
    ['event', 'kept', 'kept-fault'],
    ['env', 'errors', 'protocol'],
  ],
  server: [
    ['index'],
    ['sse', 'publisher'],
    ['routes', 'publisher-of'],
    ['connect-route', 'request-routes', 'uploads-route', 'admin-routes', 'parts'],
    ['access', 'admin', 'watchers', 'metrics', 'inbox', 'uploads', 'acts', 'service'],
    ['lifecycle', 'listening', 'figures'],
    ['recovery', 'presence', 'notices', 'durations'],
    ['delivery', 'sdk', 'answer', 'cors', 'batch'],
    ['qos'],
    ['nodes', 'acknowledgements', 'sent'],
    ['options'],
    ['remote-connection', 'summaries', 'departed', 'upload', 'body', 'tus'],
    ['stores/memory', 'stores/sqlite', 'stores/redis'],
    ['open-connection', 'hooks', 'patience', 'upload-folder', 'upload-lock'],
    ['known-connection', 'poll-stream'],
    [
      'stores/memory-log',
      'stores/memory-answers',
      'stores/memory-durations',
      'stores/memory-pending',
      'stores/sqlite-log',
      'stores/sqlite-answers',
      'stores/sqlite-durations',
      'stores/sqlite-pending',
    ],
    ['stores/redis-service'],
    ['stores/redis-node'],
    ['stores/redis-ear'],
    ['stores/redis-presence'],
    ['stores/redis-log', 'stores/redis-pending', 'stores/redis-answers', 'stores/redis-durations'],
    ['stores/redis-node-scripts'],
    ['stores/redis-log-scripts', 'stores/redis-presence-scripts'],
    ['stores/redis-settling', 'stores/redis-link'],
    [
      'stores/redis-place',
      'stores/topic-history',
      'stores/expiries',
      'stores/sqlite-file',
      'stores/local-store',
    ],
    [
      'stores/redis-script',
      'stores/local-peers',
      'stores/latch',
      'stores/own-connections',
      'stores/rotation',
      'stores/limits',
      'stores/sqlite-schema',
    ],
    ['stores/memory-absences', 'stores/cost'],
    ['handshake', 'draft', 'replay', 'end', 'absence', 'connections'],
    ['store'],
    [
      'connection',
      'stream',
      'topic',
      'cursor',
      'turn',
      'pace',
      'encode',
      'identity',
      'listeners',
      'params',
      'errors',
      'key',
      'audit',
      'counters',
    ],
  ],
}
/** What one side may know of the other. */
const SHARED = ['client/protocol']
const MAX_FILE = 300
const MAX_FUNCTION = 40

const rowOf = new Map(
  Object.entries(LAYERS).flatMap(([side, rows]) =>
    rows.flatMap((names, row) => names.map((name) => [`${side}/${name}`, { side, row }])),
  ),
)

const sourceFiles = (side) =>
  readdirSync(side, { recursive: true })
    .map((name) => name.replaceAll('\\', '/'))
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts') && !name.endsWith('.test.ts'))
    .filter((name) => !name.startsWith('test/'))
    .map((name) => `${side}/${name.slice(0, -'.ts'.length)}`)
    .sort()

/** Imports, re-exports, `import()`, and those of types alike; as `client/name`, packages left out. */
function importsOf(path, text) {
  const { importedFiles } = ts.preProcessFile(text, true, true)
  const own = importedFiles.map(({ fileName }) => fileName).filter((name) => name.startsWith('.'))
  return [...new Set(own.map((name) => join(dirname(path), name).replace(/\.[jt]s$/, '')))]
}

function nameOf(node) {
  if (ts.isConstructorDeclaration(node)) return 'constructor'
  const named = node.name ?? node.parent.name ?? node.parent.left
  return named ? named.getText() : '(anonymous)'
}

/** A function, method or arrow that has a name of its own: one to be read by itself. A callback is part of who passes it. */
const isNamedFunction = (node) =>
  ts.isFunctionLike(node) && node.body && (node.name ?? node.parent.name ?? node.parent.left) !== undefined

/** `lines` is from the first to the last; `own` is without the named functions in it, of which a factory is made. */
function functionsOf(source) {
  const found = []
  const line = (position) => source.getLineAndCharacterOfPosition(position).line
  const visit = (node, outer) => {
    let here = outer
    if (isNamedFunction(node) || (ts.isConstructorDeclaration(node) && node.body)) {
      const lines = line(node.end) - line(node.getStart(source)) + 1
      here = { name: nameOf(node), lines, own: lines }
      if (outer) outer.own -= lines
      found.push(here)
    }
    ts.forEachChild(node, (child) => visit(child, here))
  }
  visit(source)
  return found
}

const longestOf = (functions, measure) =>
  functions.reduce((a, b) => (b[measure] > a[measure] ? b : a), { name: '–', lines: 0, own: 0 })

function read(path) {
  const text = readFileSync(`${path}.ts`, 'utf8')
  const source = ts.createSourceFile(`${path}.ts`, text, ts.ScriptTarget.Latest, true)
  return {
    path,
    lines: text.trimEnd().split('\n').length,
    functions: functionsOf(source),
    imports: importsOf(path, text),
  }
}

function problemOfImport(from, to) {
  const [above, below] = [rowOf.get(from), rowOf.get(to)]
  if (!above || !below || SHARED.includes(to)) return
  if (above.side !== below.side) return `${from}.ts imports ${to}.ts: only ${SHARED} is shared`
  if (below.row < above.row) return `${from}.ts imports ${to}.ts, which is above it`
}

function problemsOf({ path, lines, functions, imports }) {
  const found = imports.map((to) => problemOfImport(path, to))
  if (!rowOf.has(path)) found.push(`${path}.ts has no place in LAYERS of scripts/shape.mjs`)
  if (lines > MAX_FILE) found.push(`${path}.ts has ${lines} lines (at most ${MAX_FILE})`)
  const tooLong = functions.filter(({ own }) => own > MAX_FUNCTION)
  for (const { name, own } of tooLong)
    found.push(`${path}.ts: ${name} has ${own} lines of its own (at most ${MAX_FUNCTION})`)
  return found.filter(Boolean)
}

/** Each circle once, as the path that closes it. */
function circles(files) {
  const importsFrom = new Map(files.map(({ path, imports }) => [path, imports]))
  const done = new Set()
  const found = []
  const walk = (path, trail) => {
    if (trail.includes(path)) return void found.push([...trail.slice(trail.indexOf(path)), path])
    if (done.has(path)) return
    for (const to of importsFrom.get(path) ?? []) walk(to, [...trail, path])
    done.add(path)
  }
  for (const { path } of files) walk(path, [])
  return found.map((circle) => `circle: ${circle.join(' → ')}`)
}

function list(files) {
  const row = (...cells) =>
    console.log(
      cells
        .map((text, i) => String(text).padEnd(WIDTHS[i]))
        .join(' ')
        .trimEnd(),
    )
  row('file', 'lines', 'longest function', 'longest without its inner functions', 'imports')
  for (const { path, lines, functions, imports } of files) {
    const [whole, own] = [longestOf(functions, 'lines'), longestOf(functions, 'own')]
    const below = imports.map((to) => to.replace(`${dirname(path)}/`, '')).join(' ')
    row(`${path}.ts`, lines, `${whole.name} ${whole.lines}`, `${own.name} ${own.own}`, below || '–')
  }
}
const WIDTHS = [24, 5, 24, 36, 0]

const files = Object.keys(LAYERS).flatMap(sourceFiles).map(read)
if (process.argv.includes('--list')) list(files)
const problems = [...files.flatMap(problemsOf), ...circles(files)]
for (const problem of problems) console.error(problem)
process.exitCode = problems.length ? 1 : 0
