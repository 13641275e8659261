import type { Figures } from '../protocol'
import { element, find } from './dom'
import type { Rates } from './rates'
import { number } from './words'

const KINDS = {
  connections: 'Connections',
  users: 'Users',
  sent: 'Sent / s',
  delivered: 'Delivered / s',
  received: 'Received / s',
  pending: 'Waiting',
} as const

/** The numbers of now, as tiles. @returns what shows other ones; `undefined`: not known. */
export function createTiles(): (now: Figures | undefined, rates: Rates | undefined) => void {
  const values = new Map<string, HTMLElement>()
  for (const [kind, label] of Object.entries(KINDS)) {
    const value = element('dd', {}, '–')
    values.set(kind, value)
    find('figures', HTMLElement).append(element('div', {}, element('dt', {}, label), value))
  }
  return (now, rates) => {
    const shown: Record<string, number | undefined> = {
      ...now,
      sent: undefined,
      delivered: undefined,
      received: undefined,
      ...rates,
    }
    for (const [kind, value] of values) {
      const figure = shown[kind]
      value.textContent = figure === undefined ? '–' : number(figure)
    }
  }
}
