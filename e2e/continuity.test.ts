import { continuity } from './continuity/suite'

// Short, but with faults as close together as in the standard run.
continuity(300)
