import type { KeptRequest } from './kept'

type Check = (value: unknown) => boolean

const isText: Check = (value) => typeof value === 'string'
/** `Infinity` is one: what never expires. */
const isTime: Check = (value) => typeof value === 'number' && !Number.isNaN(value)
const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null

const isListOfPairs = (value: unknown, isSecond: Check): boolean =>
  Array.isArray(value) &&
  value.every((pair) => Array.isArray(pair) && pair.length === 2 && isText(pair[0]) && isSecond(pair[1]))

const CHECKS: Readonly<Record<keyof KeptRequest, Check>> = {
  key: isText,
  path: isText,
  body: (value) => isText(value) || isListOfPairs(value, (field) => isText(field) || field instanceof File),
  query: isText,
  headers: (value) => isListOfPairs(value, isText),
  lane: isText,
  createTime: isTime,
  expiryTime: isTime,
  upload: (value) =>
    value === undefined ||
    (isRecord(value) &&
      isText(value['id']) &&
      isText(value['boundary']) &&
      typeof value['isWhole'] === 'boolean'),
}

/**
 * What is wrong with a request that was read, to be read after "request 7: ". Members that we do not know are fine:
 * newer code wrote them.
 */
export function faultOf(request: Readonly<Record<string, unknown>>): string | undefined {
  const wrong = Object.entries(CHECKS).find(([name, isValid]) => !isValid(request[name]))
  return wrong && `wrong ${wrong[0]}`
}
