import assert from 'node:assert/strict'
import { finished } from 'node:stream/promises'
import { describe, it } from 'node:test'
import busboy from 'busboy'
import fc from 'fast-check'
import { toFormBody } from '../upload'
import type { Field } from '../uploader'

const BOUNDARY = 'b0123456789abcdef'

const textOf = (fields: Field[]): Promise<string> => toFormBody(fields, BOUNDARY).blob.text()

/** What a server reads: fields and files in their order. */
async function parse(fields: Field[]): Promise<unknown[]> {
  const { blob, type } = toFormBody(fields, BOUNDARY)
  const parser = busboy({ headers: { 'content-type': type }, defParamCharset: 'utf8', preservePath: true })
  const read: unknown[] = []
  const files: Promise<void>[] = []
  parser.on('field', (name, value) => read.push([name, value]))
  parser.on('file', (name, stream, { filename, mimeType }) => {
    const place = read.push(undefined) - 1
    const whole = stream.toArray().then((pieces) => {
      read[place] = [name, filename, mimeType, Buffer.concat(pieces).toString('base64')]
    })
    files.push(whole)
  })
  await finished(parser.end(Buffer.from(await blob.arrayBuffer())))
  await Promise.all(files)
  return read
}

describe('a form as bytes', () => {
  it('is what RFC 7578 shows', async () => {
    const file = new File(['<p>\n'], 'a.html', { type: 'text/html' })
    const expected = [
      `--${BOUNDARY}`,
      'Content-Disposition: form-data; name="n"',
      '',
      '1',
      `--${BOUNDARY}`,
      'Content-Disposition: form-data; name="file"; filename="a.html"',
      'Content-Type: text/html',
      '',
      '<p>\n',
      `--${BOUNDARY}--`,
      '',
    ]
    const fields: Field[] = [
      ['n', '1'],
      ['file', file],
    ]
    assert.equal(await textOf(fields), expected.join('\r\n'))
    assert.equal(toFormBody(fields, BOUNDARY).type, `multipart/form-data; boundary=${BOUNDARY}`)
  })

  it('keeps a quote or a line end in a name from being one of the form', async () => {
    const text = await textOf([
      ['a"b\nc\rd%22', 'x'],
      ['f', new File([], '"\r\n.txt')],
    ])
    assert.match(text, / name="a%22b%0D%0Ac%0D%0Ad%22"\r\n/)
    assert.match(text, / filename="%22%0D%0A.txt"\r\n/)
  })

  it('has CRLF at the ends of lines of text, and leaves files alone', async () => {
    const text = await textOf([
      ['t', 'a\nb\rc\r\nd\n\r'],
      ['f', new File(['a\nb\rc'], 'f')],
    ])
    assert.match(text, /\r\n\r\na\r\nb\r\nc\r\nd\r\n\r\n\r\n--/)
    assert.match(text, /\r\n\r\na\nb\rc\r\n--/)
  })

  it('is the same bytes every time', async () => {
    const fields: Field[] = [
      ['ä', '😀'],
      ['f', new File(['x'], 'é.bin', { type: 'image/png' })],
      ['ä', ''],
    ]
    assert.equal(await textOf(fields), await textOf(fields))
  })

  it('takes a file in without reading it', () => {
    const file = new File(['x'], 'f')
    const unread = (): never => assert.fail('read')
    file.arrayBuffer = unread
    file.text = unread
    file.stream = unread
    assert.ok(toFormBody([['f', file]], BOUNDARY).blob.size > 1)
  })

  it('is read by a server as what it was made of, whatever that was', async () => {
    // A quote comes back as it is written, and busboy has no empty names.
    const plain = fc
      .string({ unit: 'grapheme', minLength: 1, maxLength: 20 })
      .filter((text) => !/["\\\r\n\0]/.test(text))
    const bytes = fc.uint8Array({ maxLength: 300 })
    const field = fc.oneof(
      fc.tuple(plain, fc.string({ unit: 'grapheme', maxLength: 300 })),
      fc.tuple(plain, plain, bytes).map(([name, fileName, content]): Field => {
        return [name, new File([new Uint8Array(content)], `f${fileName}`, { type: 'image/png' })]
      }),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(field, { maxLength: 6 }), async (fields) => {
        const expected = fields.map(async ([name, value]) =>
          typeof value === 'string'
            ? [name, value.replace(/\r\n?|\n/g, '\r\n')]
            : [name, value.name, value.type, Buffer.from(await value.arrayBuffer()).toString('base64')],
        )
        assert.deepEqual(await parse(fields), await Promise.all(expected))
      }),
      { numRuns: Number(process.env['FC_RUNS'] ?? 200) },
    )
  })
})
