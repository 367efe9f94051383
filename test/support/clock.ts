import type { Clock } from "../../src/core/clock.ts";

/** A clock that the test moves; timers fire in order while it does. */
export interface ManualClock extends Clock {
  /** Advances the time, fires the due timers in order, and runs everything that follows from them. */
  advance(ms: number): Promise<void>;
  /** Simulates a process that is frozen for this time: no timer fires meanwhile, and all due timers fire at the end. */
  stall(ms: number): Promise<void>;
  /** Sets the wall clock forward or back; the monotonic clock is not affected. */
  set(byMs: number): void;
}

export function createManualClock(startAt = Date.UTC(2026, 0, 1)): ManualClock {
  let elapsed = 0;
  let setBy = 0;
  let sequence = 0;
  const timers = new Map<number, { dueAt: number; run: () => void }>();

  const nextDue = (until: number): [number, { dueAt: number; run: () => void }] | undefined =>
    [...timers]
      .filter(([, timer]) => timer.dueAt <= until)
      .sort(([a, x], [b, y]) => x.dueAt - y.dueAt || a - b)[0];

  async function advance(ms: number): Promise<void> {
    const until = elapsed + ms;
    await settled();
    for (let next = nextDue(until); next !== undefined; next = nextDue(until)) {
      const [id, timer] = next;
      timers.delete(id);
      elapsed = Math.max(elapsed, timer.dueAt);
      timer.run();
      await settled();
    }
    elapsed = until;
  }

  return {
    now: () => startAt + elapsed + setBy,
    monotonic: () => elapsed,
    after: (delayMs, run) => {
      const id = sequence++;
      timers.set(id, { dueAt: elapsed + Math.max(0, delayMs), run });
      return () => timers.delete(id);
    },
    advance,
    stall: async (ms) => {
      elapsed += ms;
      await advance(0);
    },
    set: (byMs) => {
      setBy += byMs;
    },
  };
}

/** Runs every promise reaction that can run: a turn of the event loop comes after all microtasks. */
export const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
