/** µs that this process has run, all its threads, in itself and in the kernel: finer than the hundredths of `/proc`. */
export function cpuTime() {
  const { user, system } = process.cpuUsage()
  return user + system
}
