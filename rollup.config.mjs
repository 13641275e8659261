import terser from '@rollup/plugin-terser'
import typescript from '@rollup/plugin-typescript'
import { dts } from 'rollup-plugin-dts'

const compile = () =>
  typescript({
    include: ['client/*.ts', 'server/**/*.ts'],
    noEmit: false,
    sourceMap: true,
    allowImportingTsExtensions: false,
    rewriteRelativeImportExtensions: true,
  })
// Three passes pay: the module is downloaded by every page that opens.
const minify = () => terser({ module: true, ecma: 2020, compress: { passes: 3 } })

/** No sourceMappingURL comment: the module is served at `{base}` too, where a relative name would be wrong. The server sends a SourceMap header instead. */
const served = { sourcemap: 'hidden', plugins: [minify()] }

export default [
  {
    input: 'client/index.ts',
    plugins: [compile()],
    output: [
      { file: 'dist/sse.js', format: 'es', ...served },
      { file: 'dist/client.js', format: 'es', sourcemap: true },
    ],
  },
  {
    input: 'client/classic.ts',
    plugins: [compile()],
    output: { file: 'dist/sse.classic.js', format: 'iife', name: 'Sse', exports: 'default', ...served },
  },
  {
    input: { server: 'server/index.ts', memory: 'server/stores/memory.ts' },
    external: [/^node:/, 'express', 'multer'],
    plugins: [compile()],
    output: { dir: 'dist', format: 'es', sourcemap: true, chunkFileNames: 'shared.js' },
  },
  {
    input: { sse: 'client/index.ts', server: 'server/index.ts', memory: 'server/stores/memory.ts' },
    external: [/^node:/, 'express', 'multer'],
    plugins: [dts()],
    output: { dir: 'dist', format: 'es', chunkFileNames: 'shared.d.ts' },
  },
]
