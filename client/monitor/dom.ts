/** What an element may hold. */
type Child = Node | string | undefined

/**
 * Makes an element. Texts become text nodes, never markup: names of users are theirs to choose, and may be hostile.
 * @param attributes those that are `undefined` are left out
 */
export function element<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Record<string, string | number | undefined> = {},
  ...children: Child[]
): HTMLElementTagNameMap[Tag] {
  const made = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes))
    if (value !== undefined) made.setAttribute(name, String(value))
  made.append(...children.filter((child) => child !== undefined))
  return made
}

/** An element of the page. @throws Error if the page has none of this id and kind. */
export function find<Kind extends HTMLElement>(id: string, kind: new () => Kind): Kind {
  const found = document.getElementById(id)
  if (found instanceof kind) return found
  throw new Error(`The page has no ${kind.name} #${id}.`)
}

/** Gives the focus to the button of this key, if it is still there: rows are made anew again and again. */
export function focusOn(key: string): void {
  document.querySelector<HTMLElement>(`[data-key="${CSS.escape(key)}"]`)?.focus({ preventScroll: true })
}

/** A cell with a time or a number: on a phone, where the table has no head, its label stands above it. */
export function brief(label: string, ...children: Child[]): HTMLTableCellElement {
  return element('td', { 'data-brief': '', 'data-label': label }, ...children)
}

/** A text of others, as long as they like. */
export function long(text: string, title?: string): HTMLElement {
  return element('span', { class: 'long', title }, text)
}

/** A second, softer line. */
export function soft(text: string | undefined): HTMLElement | undefined {
  return text === undefined || text === '' ? undefined : element('small', {}, text)
}
