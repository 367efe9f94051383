/** When a lease is renewed and given up, in milliseconds: parts of its length. */
export type LeaseTiming = {
  readonly leaseMs: number;
  /** From one heartbeat to the next. */
  readonly renewEveryMs: number;
  /** A handler is told to stop so long before the end of a lease that was not renewed. */
  readonly giveUpMs: number;
  /** A handler that has not stopped is killed so long before the end of the lease. */
  readonly cutOffMs: number;
  /** How often the leases that may be due are looked at. */
  readonly tickMs: number;
  /** How often all leases are looked at, at most. */
  readonly lookEveryMs: number;
};

/**
 * To give up and to kill may each be late by one tick and one look, so the kill happens at the latest a forty-eighth of the lease before
 * its end.
 */
export function leaseTiming(leaseMs: number): LeaseTiming {
  const tickMs = Math.min(250, leaseMs / 24);
  const lookEveryMs = leaseMs / 60;
  return {
    ...{ leaseMs, tickMs, lookEveryMs, renewEveryMs: leaseMs / 3, giveUpMs: leaseMs / 6 },
    cutOffMs: leaseMs / 48 + tickMs + lookEveryMs,
  };
}
