import type { Field, FormBody } from './uploader'

/** [HTML 4.10.22.8] CR and LF alone become CRLF, in names and texts; not in the names of files. */
const normalise = (text: string): string => text.replace(/\r\n?|\n/g, '\r\n')

/** [HTML 4.10.22.8] All else stays as it is, also `%`. */
const escapeName = (name: string): string =>
  name.replaceAll('\n', '%0A').replaceAll('\r', '%0D').replaceAll('"', '%22')

export function toFormBody(fields: readonly Field[], boundary: string): FormBody {
  const parts: BlobPart[] = []
  for (const [name, value] of fields) {
    parts.push(`--${boundary}\r\nContent-Disposition: form-data; name="${escapeName(normalise(name))}"`)
    if (typeof value === 'string') parts.push(`\r\n\r\n${normalise(value)}`)
    else {
      const type = value.type || 'application/octet-stream'
      parts.push(`; filename="${escapeName(value.name)}"\r\nContent-Type: ${type}\r\n\r\n`, value)
    }
    parts.push('\r\n')
  }
  // Without a type: a Blob would put the boundary into lower case.
  return {
    blob: new Blob([...parts, `--${boundary}--\r\n`]),
    type: `multipart/form-data; boundary=${boundary}`,
  }
}
