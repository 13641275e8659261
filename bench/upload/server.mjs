/** Takes a large file: `node server.mjs <folder for its pieces> [whole]`; whole: it announces no pieces. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { pipeline } from 'node:stream/promises'
import express from 'express'
import { createSse } from '../../dist/server.js'
import { answerParent } from '../child.mjs'

/** `?options` of the client. After a reload it answers for what was kept. */
const PAGE = `<!doctype html><link rel="icon" href="data:,"><input type="file"><script type="module">
  const { default: Sse } = await import('/sse')
  const sse = new Sse({ url: '/sse', ...JSON.parse(decodeURIComponent(location.search.slice(1))) })
  window.upload = () => {
    const form = new FormData()
    form.set('file', document.querySelector('input').files[0])
    window.answer = sse.upload('large', form).then(({ status }) => status)
  }
  window.keptAnswer = async () => {
    const [kept] = await sse.pending()
    return (await kept.response).status
  }
  window.isReady = true
</script>`

/** The hash of each file that the handler got. */
const effects = []

async function onUpload(_path, _connection, _message, [file]) {
  const hash = createHash('sha256')
  await pipeline(file.stream(), hash)
  effects.push(hash.digest('hex'))
}

const sse = createSse({
  getUser: () => ({ id: 1 }),
  uploadLimit: 1e9,
  uploadFolder: process.argv[2],
  onUpload,
})
function withoutPieces(_req, res, next) {
  const { write } = res
  res.write = (bytes, ...rest) => write.call(res, String(bytes).replace(/,"uploads":\{[^}]*\}/, ''), ...rest)
  next()
}

const app = express()
if (process.argv[3] === 'whole') app.use(withoutPieces)
app.use('/sse', sse.router)
app.get('/page', (_req, res) => res.send(PAGE))
const server = createServer(app).listen(0, '127.0.0.1')
await once(server, 'listening')

answerParent({ port: () => server.address().port, effects: () => effects })
