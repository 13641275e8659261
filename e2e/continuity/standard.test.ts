/** `npm run continuity`: the standard run, one event per 20 ms for 20 s. */
import { continuity } from './suite'

continuity(1000)
