/** Prints what the browser downloads, and fails when the module outgrows its budget. */
import { existsSync, readFileSync } from 'node:fs'
import { brotliCompressSync, gzipSync, constants as zlib } from 'node:zlib'

/** Bytes, brotli. */
const BUDGET = {
  'dist/sse.js': 6000,
  'dist/outbox.js': Number.POSITIVE_INFINITY,
  'dist/outbox-store.js': Number.POSITIVE_INFINITY,
  'dist/upload.js': Number.POSITIVE_INFINITY,
  'dist/monitor.js': Number.POSITIVE_INFINITY,
  'dist/sse.classic.js': Number.POSITIVE_INFINITY,
}

const kB = (bytes) => `${(bytes / 1000).toFixed(2)} kB`
const brotli = (code) =>
  brotliCompressSync(code, {
    params: { [zlib.BROTLI_PARAM_QUALITY]: 11, [zlib.BROTLI_PARAM_SIZE_HINT]: code.length },
  })

for (const [file, budget] of Object.entries(BUDGET)) {
  if (!existsSync(file)) {
    console.error(`${file} is not there: run npm run build`)
    process.exitCode = 1
    continue
  }
  const code = readFileSync(file)
  const size = brotli(code).length
  console.log(
    `${file}: ${kB(code.length)} raw, ${kB(gzipSync(code, { level: 9 }).length)} gzip, ${kB(size)} brotli`,
  )
  if (size > budget) {
    console.error(`${file} is ${size - budget} bytes over its budget of ${kB(budget)} brotli`)
    process.exitCode = 1
  }
}
