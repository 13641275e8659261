/** What Redis says of itself, as numbers that only grow. */

/** The lines `name:value` of an INFO; of `cmdstat_…` the value is `calls=…,usec=…,…`. */
const linesOf = (info) => info.split('\r\n').map((line) => line.split(':', 2))

/** @param info the answer to `INFO all` @returns how often each command was run, also by scripts */
export const callsOf = (info) =>
  Object.fromEntries(
    linesOf(info)
      .filter(([name]) => name.startsWith('cmdstat_'))
      .map(([name, value]) => [name.slice('cmdstat_'.length), Number(/calls=(\d+)/.exec(value)[1])]),
  )

/** @param info the answer to `INFO all` */
export function figuresOf(info) {
  const value = Object.fromEntries(linesOf(info))
  return {
    /** Pieces that clients wrote, at a moderate rate one for each request. */
    reads: Number(value.total_reads_processed),
    /** With those that scripts run. */
    commands: Number(value.total_commands_processed),
    bytesIn: Number(value.total_net_input_bytes),
    bytesOut: Number(value.total_net_output_bytes),
    redisCpu: (Number(value.used_cpu_user) + Number(value.used_cpu_sys)) * 1e6,
  }
}
