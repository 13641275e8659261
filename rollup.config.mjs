import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import commonjs from '@rollup/plugin-commonjs'
import nodeResolve from '@rollup/plugin-node-resolve'
import terser from '@rollup/plugin-terser'
import typescript from '@rollup/plugin-typescript'
import { dts } from 'rollup-plugin-dts'
import { licences } from './scripts/licences.mjs'
import { ownPage } from './scripts/own-page.mjs'

const compile = (noCheck = true) => typescript({ tsconfig: 'tsconfig.build.json', noCheck })
/** Every bundle's program is all of tsconfig.build.json: its types are checked once. */
const compileAndCheck = () => compile(false)

/** Names that our own files use with each other and nobody else ever sees; the module is downloaded by every page that opens. */
const INTERNAL =
  /^(attempts|attemptTimeout|canRenew|failure|goodbye|isOnline|isReady|isVisible|onLeave|onRetry|onSignal|onState|onUnknown|redial|retryAfter|setSessionDuration|storageKey|subscribe|task|onEvent|onChange|release|dispatch|extra|parsed|after|isUnderWay|greeted|passed|onLife|place|delay|load|requests|connection|source|self|page|init|forget|running|head|request|start|stop|names|switchMode|isPolling|acknowledge|tell)$/

/** For what every page downloads. */
const minify = (module) =>
  terser({
    module,
    ecma: 2022,
    // `unsafe…`, `pure_getters`: nothing of ours is a Symbol where a string is made, and no getter has effects.
    compress: {
      passes: 3,
      arrows: false,
      inline: 1,
      hoist_funs: true,
      pure_getters: true,
      unsafe: true,
      unsafe_methods: true,
    },
    // `builtins`: also those in INTERNAL that some DOM object has; none of ours is one.
    mangle: { properties: { regex: INTERNAL, builtins: true } },
  })

/** One word for both kinds saves bytes: terser joins the declarations. As long as before, so the source map stays as it is. */
const letForConst = {
  name: 'let-for-const',
  renderChunk: (code) => ({ code: code.replace(/\bconst(?= )/g, 'let  '), map: null }),
}

/** For the parts that are loaded when used: what they call each other by stays as it is written. */
const minifyPart = () => terser({ module: true, ecma: 2022, compress: { passes: 3 } })

const client = (name) => fileURLToPath(new URL(`client/${name}.ts`, import.meta.url))

/** What is served imports its parts from the backend; the package has them in the bundle. */
const loadServed = {
  name: 'load-served',
  resolveId: (name) => (['./load', './parts'].includes(name) ? client(`${name.slice(2)}-served`) : null),
}

/** As tus-js-client was written; its main file is the same, three times as long, for browsers without classes. */
const tusAsWritten = {
  name: 'tus-as-written',
  resolveId(name, importer) {
    return name === 'tus-js-client' ? this.resolve('tus-js-client/lib/browser/index.js', importer) : null
  },
}

/** The libraries of the parts go with them; who installs the package needs none. */
const libraries = () => [tusAsWritten, nodeResolve({ browser: true }), commonjs()]

/** The monitor's page and style as they were written, behind the style of the plot. */
const monitorFiles = {
  name: 'monitor-files',
  generateBundle() {
    const read = (path) => readFileSync(fileURLToPath(new URL(path, import.meta.url)), 'utf8')
    const plot = `/* uPlot: see monitor.js.LICENSE.txt */\n${read('node_modules/uplot/dist/uPlot.min.css')}\n`
    const own = (type) => read(`client/monitor/monitor.${type}`)
    this.emitFile({ type: 'asset', fileName: 'monitor.css', source: plot + own('css') })
    this.emitFile({ type: 'asset', fileName: 'monitor.html', source: own('html') })
  },
}

/** No sourceMappingURL comment: the module is served at `{base}` too, where a relative name would be wrong. The server sends a SourceMap header instead. */
const served = { sourcemap: 'hidden' }

/** What the server half has from others. */
const installed = [
  /^node:/,
  'express',
  'busboy',
  '@tus/server',
  '@tus/file-store',
  'better-sqlite3',
  'ioredis',
  'prom-client',
]

export default [
  {
    input: { client: 'client/index.ts' },
    plugins: [compileAndCheck(), libraries()],
    output: {
      dir: 'dist',
      format: 'es',
      sourcemap: true,
      chunkFileNames: 'client-[name].js',
      plugins: [licences()],
    },
  },
  {
    input: 'client/served.ts',
    plugins: [loadServed, compile()],
    output: { ...served, file: 'dist/sse.js', format: 'es', plugins: [ownPage, letForConst, minify(true)] },
  },
  {
    input: 'client/outbox.ts',
    plugins: [loadServed, compile()],
    output: { ...served, file: 'dist/outbox.js', format: 'es', plugins: [minifyPart()] },
  },
  ...['upload', 'outbox-store'].map((name) => ({
    input: client(name),
    plugins: [compile(), libraries()],
    output: { ...served, file: `dist/${name}.js`, format: 'es', plugins: [minifyPart(), licences()] },
  })),
  {
    input: client('monitor/monitor'),
    plugins: [compile(), libraries(), monitorFiles],
    output: { ...served, file: 'dist/monitor.js', format: 'es', plugins: [minifyPart(), licences()] },
  },
  {
    input: 'client/classic.ts',
    plugins: [loadServed, compile()],
    output: {
      ...served,
      file: 'dist/sse.classic.js',
      format: 'iife',
      name: 'Sse',
      exports: 'default',
      // Not as a module: there the one variable that the script is for would count as unused.
      plugins: [ownPage, letForConst, minify(false)],
    },
  },
  {
    input: {
      server: 'server/index.ts',
      memory: 'server/stores/memory.ts',
      sqlite: 'server/stores/sqlite.ts',
      redis: 'server/stores/redis.ts',
    },
    external: installed,
    plugins: [compile()],
    output: { dir: 'dist', format: 'es', sourcemap: true, chunkFileNames: 'shared.js' },
  },
  {
    input: {
      client: 'client/index.ts',
      server: 'server/index.ts',
      memory: 'server/stores/memory.ts',
      sqlite: 'server/stores/sqlite.ts',
      redis: 'server/stores/redis.ts',
    },
    external: installed,
    plugins: [dts()],
    output: { dir: 'dist', format: 'es', chunkFileNames: 'shared.d.ts' },
  },
  // By itself: the backend serves it, and nothing beside it.
  {
    input: 'client/served.ts',
    plugins: [dts()],
    output: { file: 'dist/sse.d.ts', format: 'es' },
  },
]
