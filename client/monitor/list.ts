import type { ListPage } from '../protocol'
import { ask } from './api'
import { element, find, focusOn } from './dom'
import { number } from './words'

/** ms between two looks at the server, at least. */
const PAUSE = 2000

/** What a list shows. */
export interface ListParts<Item> {
  /** Of its table; `{id}-fault` and `{id}-pager` are beside it. */
  readonly id: string
  readonly path: string
  readonly pageSize: number
  /** What stands there when there is nothing. */
  empty(): string
  /** One group of rows. A button in it that has a `data-key` keeps the focus when the rows are made anew. */
  show(item: Item): HTMLTableSectionElement
  /** What the server is asked for, besides the page. */
  params(): Record<string, string>
}

/** A table of what the server has, page by page. */
export class List<Item> {
  readonly #parts: ListParts<Item>
  readonly #table: HTMLTableElement
  readonly #fault: HTMLElement
  readonly #pager: HTMLElement
  #pageNum = 1
  #asked = 0
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(parts: ListParts<Item>) {
    this.#parts = parts
    this.#table = find(parts.id, HTMLTableElement)
    this.#fault = find(`${parts.id}-fault`, HTMLElement)
    this.#pager = find(`${parts.id}-pager`, HTMLElement)
  }

  /** Something may have changed; many changes in a row are looked at once. */
  refreshSoon(): void {
    this.#timer ??= setTimeout(() => void this.refresh(), PAUSE)
  }

  /** @param pageNum Default: where it is. */
  async refresh(pageNum = this.#pageNum): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#pageNum = pageNum
    const { path, pageSize, params } = this.#parts
    const asked = ++this.#asked
    try {
      const page = await ask<Item>(path, { ...params(), pageNum, pageSize })
      // A later question may be answered sooner.
      if (asked === this.#asked) this.#show(page)
    } catch (error) {
      if (asked === this.#asked) this.complain(error)
    }
  }

  /** Something could not be done. */
  complain(error: unknown): void {
    this.#fault.hidden = false
    this.#fault.textContent = `Not up to date: ${error instanceof Error ? error.message : error}`
  }

  #show(page: ListPage<Item>): void {
    const { pageSize, empty, show } = this.#parts
    const pages = Math.max(1, Math.ceil(page.total / pageSize))
    // Its last ones have gone.
    if (this.#pageNum > pages) return void this.refresh(pages)
    this.#fault.hidden = true
    const focused = document.activeElement?.getAttribute('data-key')
    for (const body of [...this.#table.tBodies]) body.remove()
    this.#table.append(...page.list.map(show))
    this.#table.hidden = page.total === 0
    this.#pager.replaceChildren(...this.#pagerOf(page, pages, empty()))
    if (focused) focusOn(focused)
  }

  #pagerOf({ total, pageNum, pageSize, list }: ListPage<Item>, pages: number, empty: string): HTMLElement[] {
    if (total === 0) return [element('span', {}, empty)]
    const first = (pageNum - 1) * pageSize + 1
    const range = `${number(first)}–${number(first + list.length - 1)} of ${number(total)}`
    const text = element('span', {}, range)
    if (pages === 1) return [text]
    return [
      text,
      this.#turn('Previous', pageNum - 1, pageNum > 1),
      this.#turn('Next', pageNum + 1, pageNum < pages),
    ]
  }

  #turn(label: string, to: number, isPossible: boolean): HTMLElement {
    const button = element(
      'button',
      { class: 'quiet', type: 'button', 'data-key': this.#parts.id + label },
      label,
    )
    button.disabled = !isPossible
    button.onclick = () => void this.refresh(to)
    return button
  }
}
