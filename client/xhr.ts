import type { UploaderModule } from './uploader'

/** [Fetch] With these a Response may have no body, not even an empty one. */
const NULL_BODY = [101, 103, 204, 205, 304]

/** What an XMLHttpRequest was answered, as `fetch` gives it. */
export function toResponse(xhr: XMLHttpRequest, body: BodyInit): Response {
  const headers = new Headers()
  for (const line of xhr.getAllResponseHeaders().split('\r\n')) {
    const colon = line.indexOf(':')
    if (colon > 0) headers.append(line.slice(0, colon), line.slice(colon + 1))
  }
  const { status, statusText } = xhr
  return new Response(NULL_BODY.includes(status) ? null : body, { status, statusText, headers })
}

/** Only XMLHttpRequest tells in every browser how much has been sent. */
export const fetchWithProgress: UploaderModule['fetchWithProgress'] = (onProgress) => async (url, init) => {
  const xhr = new XMLHttpRequest()
  const { signal } = init
  const abort = (): void => xhr.abort()
  if (signal?.aborted) throw signal.reason
  xhr.open(init.method ?? 'GET', url)
  // A Blob would bring a type of its own into a Response without one.
  xhr.responseType = 'arraybuffer'
  xhr.withCredentials = init.credentials === 'include'
  for (const [name, value] of new Headers(init.headers)) xhr.setRequestHeader(name, value)
  let last = 0
  xhr.upload.onprogress = ({ loaded, total }) => {
    // The end is told twice.
    if (loaded > last) onProgress({ loaded, total })
    last = loaded
  }
  signal?.addEventListener('abort', abort)
  try {
    await new Promise<void>((resolve, reject) => {
      xhr.onload = () => resolve()
      xhr.onerror = () => reject(new TypeError('Failed to fetch'))
      xhr.onabort = () => reject(signal?.reason)
      xhr.send(init.body as XMLHttpRequestBodyInit | null)
    })
  } finally {
    signal?.removeEventListener('abort', abort)
  }
  return toResponse(xhr, xhr.response)
}
