import { fileURLToPath } from 'node:url'
import terser from '@rollup/plugin-terser'
import typescript from '@rollup/plugin-typescript'
import { dts } from 'rollup-plugin-dts'

const compile = () => typescript({ tsconfig: 'tsconfig.build.json' })

/** Names that our own files use with each other and nobody else ever sees; the module is downloaded by every page that opens. */
const INTERNAL =
  /^(attempts|attemptTimeout|canRenew|failure|goodbye|isAlive|isOnline|isReady|isVisible|onLeave|onRetry|onSignal|onState|onUnknown|redial|retryAfter|setSessionDuration|storageKey|subscribe|task|onEvent|onChange|release|dispatch|extra|parsed|after|isUnderWay|greeted|passed|onLife|place|delay|finish|load|requests|connection|source|self|page|init|forget|running|head|request|start|stop|names|switchMode|isPolling)$/

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

/** One word for both kinds saves bytes: terser joins the declarations. As long as before, so that the source map stays right. */
const letForConst = { name: 'let-for-const', renderChunk: (code) => code.replace(/\bconst(?= )/g, 'let  ') }

/** What is served imports its part from the backend; the package has it in the bundle. */
const loadServed = {
  name: 'load-served',
  resolveId: (name) =>
    name === './load' ? fileURLToPath(new URL('client/load-served.ts', import.meta.url)) : null,
}

/** No sourceMappingURL comment: the module is served at `{base}` too, where a relative name would be wrong. The server sends a SourceMap header instead. */
const served = { sourcemap: 'hidden' }

export default [
  {
    input: 'client/index.ts',
    plugins: [compile()],
    output: { file: 'dist/client.js', format: 'es', sourcemap: true },
  },
  {
    input: 'client/served.ts',
    plugins: [loadServed, compile()],
    output: { ...served, file: 'dist/sse.js', format: 'es', plugins: [letForConst, minify(true)] },
  },
  {
    input: 'client/outbox.ts',
    plugins: [compile()],
    output: { ...served, file: 'dist/outbox.js', format: 'es', plugins: [letForConst, minify(true)] },
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
      plugins: [letForConst, minify(false)],
    },
  },
  {
    input: { server: 'server/index.ts', memory: 'server/stores/memory.ts' },
    external: [/^node:/, 'express', 'busboy'],
    plugins: [compile()],
    output: { dir: 'dist', format: 'es', sourcemap: true, chunkFileNames: 'shared.js' },
  },
  {
    input: {
      client: 'client/index.ts',
      server: 'server/index.ts',
      memory: 'server/stores/memory.ts',
    },
    external: [/^node:/, 'express', 'busboy'],
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
