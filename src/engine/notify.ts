import type { Clock } from "../core/clock.ts";
import { errorText, type Log } from "../lib/log.ts";
import type { WakeUps } from "../wakeup/wake-ups.ts";

/** Wakes the processes that wait for tasks of these types. A type is in the list once for each due task of it. */
export type Notify = (due: readonly string[]) => void;

/** A slow broker refuses some notifications and accepts others, hundreds of each per second: it counts as working after this time without a failure. */
const WORKS_AFTER_MS = 10_000;

/** No caller waits for a notification. A failure costs latency only, because waiting claims also poll; an outage is logged once. */
export function createNotify(setup: {
  readonly wakeUps: Pick<WakeUps, "notify">;
  readonly clock: Clock;
  readonly log: Log;
}): Notify {
  const { wakeUps, clock, log } = setup;
  let isBroken = false;
  let failedAt = 0;

  function succeeded(): void {
    if (!isBroken || clock.monotonic() < failedAt + WORKS_AFTER_MS) return;
    log.info("ring_works_again");
    isBroken = false;
  }

  function failed(error: unknown): void {
    if (!isBroken) log.warn("ring_failed", { error: errorText(error) });
    isBroken = true;
    failedAt = clock.monotonic();
  }

  return (due) => {
    if (due.length > 0) wakeUps.notify(due).then(succeeded, failed);
  };
}
