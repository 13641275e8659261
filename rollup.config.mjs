import terser from '@rollup/plugin-terser'
import typescript from '@rollup/plugin-typescript'
import { dts } from 'rollup-plugin-dts'

const compile = () => typescript({ tsconfig: 'tsconfig.build.json' })

/** Names that our own files use with each other and nobody else ever sees; the module is downloaded by every page that opens. */
const INTERNAL =
  /^(attempts|attemptTimeout|canRenew|createdAt|failure|goodbye|isAlive|isOnline|isReady|isVisible|onLeave|onRetry|onSignal|onState|onUnknown|redial|retryAfter|setSessionDuration|storageKey|subscribe|task|onEvent|onChange|release|dispatch|extra|parsed|after|isUnderWay)$/

const minify = (module) =>
  terser({
    module,
    ecma: 2022,
    compress: { passes: 3, unsafe_arrows: true, inline: 1 },
    mangle: { properties: { regex: INTERNAL } },
  })

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
    plugins: [compile()],
    output: { ...served, file: 'dist/sse.js', format: 'es', plugins: [minify(true)] },
  },
  {
    input: 'client/classic.ts',
    plugins: [compile()],
    output: {
      ...served,
      file: 'dist/sse.classic.js',
      format: 'iife',
      name: 'Sse',
      exports: 'default',
      // Not as a module: there the one variable that the script is for would count as unused.
      plugins: [minify(false)],
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
      sse: 'client/served.ts',
      server: 'server/index.ts',
      memory: 'server/stores/memory.ts',
    },
    external: [/^node:/, 'express', 'busboy'],
    plugins: [dts()],
    output: { dir: 'dist', format: 'es', chunkFileNames: 'shared.d.ts' },
  },
]
