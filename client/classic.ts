/** Entry of the classic script: `window.Sse`. */
export { Sse as default } from './sse'
