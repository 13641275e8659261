/**
 * For what the backend serves. The sources ask all of `env`, so that tests can hand in another page; the served module
 * asks its own: `env.fetch` is `fetch` there, and no function takes an `env` or hands one on. So `env` as the first
 * argument must be for a parameter of that name; elsewhere it is the page itself.
 */
export const ownPage = {
  name: 'own-page',
  renderChunk(code) {
    const asked = new Set()
    const declared = new Set()
    /** New text by its start; as long as before where it can be, so that the source map stays as it is. */
    const edits = new Map()
    const replace = (start, end, text) => edits.set(start, { end, text })
    const blank = (start, end) => replace(start, end, code.slice(start, end).replace(/[^\n]/g, ' '))

    const visit = (node) => {
      for (const pattern of patternsOf(node)) for (const name of namesIn(pattern)) declared.add(name)
      const handed = isEnv(node.arguments?.[0]) ? node.arguments[0] : node.params?.find(isParameter)
      const [next] = (node.arguments ?? node.params ?? []).filter(({ start }) => start > handed?.start)
      if (handed) blank(handed.start, next?.start ?? handed.end)
      for (const child of childrenOf(node)) {
        if (child === handed || isName(node, child)) continue
        if (!isEnv(child)) visit(child)
        else if (node.type === 'MemberExpression' && !node.computed) {
          asked.add(node.property.name)
          blank(child.start, node.property.start)
        } else replace(child.start, child.end, node.shorthand ? 'env: self' : 'self')
      }
    }
    visit(this.parse(code))

    for (const name of asked)
      if (declared.has(name))
        this.error(`A variable "${name}" would hide "env.${name}": give it another name.`)
    return { code: apply(code, edits), map: null }
  },
}

const isEnv = (node) => node?.type === 'Identifier' && node.name === 'env'
const isParameter = (node) => isEnv(node) || isEnv(node.left)

/** The name of a property, which is no variable. */
const isName = (node, child) =>
  !node.computed && (child === node.property || (child === node.key && !node.shorthand))

const childrenOf = (node) =>
  Object.values(node)
    .flat()
    .filter((child) => typeof child?.type === 'string')

/** What a node declares. */
const patternsOf = ({ type, id, params = [], param }) =>
  [...params, param, /Declarator|^Class|^Function/.test(type) && id].filter(Boolean)

const namesIn = (pattern) =>
  pattern.type === 'Identifier'
    ? [pattern.name]
    : pattern.type === 'AssignmentPattern'
      ? namesIn(pattern.left)
      : childrenOf(pattern.type === 'Property' ? { value: pattern.value } : pattern).flatMap(namesIn)

function apply(code, edits) {
  let changed = ''
  let at = 0
  for (const [start, { end, text }] of [...edits].sort(([a], [b]) => a - b)) {
    changed += code.slice(at, start) + text
    at = end
  }
  return changed + code.slice(at)
}
