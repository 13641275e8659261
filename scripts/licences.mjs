import { readdirSync, readFileSync } from 'node:fs'

/** Without the mark of a module that commonjs made. */
const LIBRARY = /^\0?(.*\/node_modules\/(?:@[^/]+\/)?[^/?]+)\//

function read(folder) {
  const { name, version, license } = JSON.parse(readFileSync(`${folder}/package.json`, 'utf8'))
  const file = readdirSync(folder).find((name) => /^licen[cs]e/i.test(name))
  if (!file) throw new Error(`${folder} has no licence: it must not be bundled.`)
  const text = readFileSync(`${folder}/${file}`, 'utf8').trim()
  const copyright = /^copyright .*$/im.exec(text)?.[0]
  return { title: `${name} ${version} (${license})`, copyright, text }
}

const librariesOf = ({ moduleIds }) => {
  const folders = new Set(moduleIds.map((id) => LIBRARY.exec(id)?.[1]).filter(Boolean))
  return [...folders].sort().map(read)
}

/**
 * A rollup plugin: each file that holds libraries says in its first lines whose they are; their licences lie beside
 * it, in `….LICENSE.txt`.
 */
export const licences = () => ({
  name: 'licences',
  banner(chunk) {
    const lines = librariesOf(chunk).map(({ title, copyright }) => ` * ${title}, ${copyright}`)
    return lines.length ? `/*!\n${lines.join('\n')}\n */` : ''
  },
  generateBundle(_options, bundle) {
    for (const chunk of Object.values(bundle)) {
      const libraries = chunk.type === 'chunk' ? librariesOf(chunk) : []
      const source = libraries.map(({ title, text }) => `${title}\n\n${text}\n`).join('\n---\n\n')
      if (source) this.emitFile({ type: 'asset', fileName: `${chunk.fileName}.LICENSE.txt`, source })
    }
  },
})
