/** What Linux says of a process. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'

/** The kernel counts in hundredths of a second, whatever its own clock does (USER_HZ). */
const US_PER_TICK = 10_000

export const hasProcfs = existsSync('/proc/self/stat')

/** The fields after the name, which stands in brackets and may hold anything. */
function fieldsOf(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
}

/** µs that all threads of the process have run, in itself and in the kernel. */
export function cpuOf(pid) {
  const [utime, stime] = fieldsOf(pid).slice(11, 13).map(Number)
  return (utime + stime) * US_PER_TICK
}

/** Bytes that the process holds in memory. */
export function rssOf(pid) {
  const [, kB] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
  return Number(kB) * 1024
}

export function childrenOf(pid) {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  return pids.map(Number).filter((candidate) => parentOf(candidate) === pid)
}

function parentOf(pid) {
  try {
    return Number(fieldsOf(pid)[1])
  } catch {
    // It ended since the list was made.
  }
}
