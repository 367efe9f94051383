/** Watches the leases of the runs: sends heartbeats when they are due, and gives up leases that were not renewed. */
import type { Clock } from "../core/clock.ts";
import { createTicker } from "../lib/ticker.ts";
import type { Heartbeats } from "./heartbeats.ts";
import type { LeaseTiming } from "./lease-timing.ts";
import type { Run, StopRun } from "./run.ts";
import { order } from "./stop.ts";

export interface LeaseWatch {
  /** The run has begun. The watch continues as long as there are runs. */
  add(run: Run): void;
}

export function createLeaseWatch(setup: {
  readonly runs: ReadonlySet<Run>;
  readonly heartbeats: Heartbeats;
  readonly timing: LeaseTiming;
  readonly stopRun: StopRun;
  readonly clock: Clock;
}): LeaseWatch {
  const { runs, heartbeats, timing, stopRun, clock } = setup;
  let lookDueAt = 0;

  const ticker = createTicker({
    clock,
    everyMs: timing.tickMs,
    tick: (lateMs) => {
      const now = clock.monotonic();
      if (lateMs > timing.giveUpMs) afterSuspension(now);
      look(now);
      return runs.size > 0;
    },
  });

  /**
   * Gives up expired leases, even while the source does not answer, and sends the heartbeats that are due without waiting for the
   * answer. All runs are checked when one of them may be due, but not at every tick, because a hundred thousand runs take
   * milliseconds.
   */
  function look(now: number): void {
    const all = now >= lookDueAt;
    const due: Run[] = [];
    let nextDueAt = Number.POSITIVE_INFINITY;
    for (const run of all ? runs : heartbeats.unsent) {
      if (now >= run.leaseEndsAt - timing.giveUpMs) nextDueAt = Math.min(nextDueAt, giveUp(run, now));
      else if (run.heartbeatDueAt <= now && !run.isSending) due.push(run);
      else nextDueAt = Math.min(nextDueAt, run.leaseEndsAt - timing.giveUpMs, run.heartbeatDueAt);
    }
    if (all) lookDueAt = Math.max(now + timing.lookEveryMs, Math.min(nextDueAt, now + timing.renewEveryMs));
    if (due.length > 0) void heartbeats.sendAll(due);
  }

  /** Tells the handler to stop, and kills it shortly before the end of the lease. Returns the time of the next check. */
  function giveUp(run: Run, now: number): number {
    stopRun(run, "lost");
    const cutOffAt = run.leaseEndsAt - timing.cutOffMs;
    if (now < cutOffAt) return cutOffAt;
    order(run.over, "lost");
    return Number.POSITIVE_INFINITY;
  }

  /**
   * This process was suspended, or its event loop was blocked. The server may not have ended these leases yet, and a server
   * that was suspended too has ended none of them. So a heartbeat is sent for each lease that seems over. If no answer comes soon,
   * the task is given up.
   */
  function afterSuspension(now: number): void {
    for (const run of runs) {
      if (run.lost || run.isAsking || now < run.leaseEndsAt - timing.giveUpMs) continue;
      run.isAsking = true;
      run.leaseEndsAt = now + 2 * timing.giveUpMs;
      run.heartbeatDueAt = now;
    }
    lookDueAt = now;
  }

  return {
    add: (run) => {
      lookDueAt = Math.min(lookDueAt, run.heartbeatSentAt + timing.renewEveryMs);
      ticker.start();
    },
  };
}
