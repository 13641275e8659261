/** What only those need who send large forms, or want to see how far they are: UploaderModule of uploader.ts. */
export { toFormBody } from './form-body'
export { sendPieces } from './pieces'
export { fetchWithProgress } from './xhr'
