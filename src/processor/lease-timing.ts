/** When a lease is renewed and given up. All times are in milliseconds and are fractions of the length of the lease. */
export type LeaseTiming = {
  readonly leaseMs: number;
  /** From one heartbeat to the next. */
  readonly renewEveryMs: number;
  /** A handler is told to stop this long before the end of a lease that was not renewed. */
  readonly giveUpMs: number;
  /** A handler that has not stopped is killed this long before the end of the lease. */
  readonly cutOffMs: number;
  /** The interval between two checks of the leases that may be due. */
  readonly tickMs: number;
  /** The shortest interval between two checks of all leases. */
  readonly lookEveryMs: number;
};

/**
 * The stop and the kill may each be late by one tick and one check of all leases. So the kill happens at least 1/48 of the lease
 * before the end of the lease.
 */
export function leaseTiming(leaseMs: number): LeaseTiming {
  const tickMs = Math.min(250, leaseMs / 24);
  const lookEveryMs = leaseMs / 60;
  return {
    ...{ leaseMs, tickMs, lookEveryMs, renewEveryMs: leaseMs / 3, giveUpMs: leaseMs / 6 },
    cutOffMs: leaseMs / 48 + tickMs + lookEveryMs,
  };
}
