import type { Timers } from "./waiting.ts";

/** Calls a function at intervals until the function returns false. */
export interface Ticker {
  /** The first call is due after one interval. No effect while the ticker runs. */
  start(): void;
}

export type TickerSetup = {
  /** `monotonic`: milliseconds since some start; never goes back. */
  readonly clock: Timers & { monotonic(): number };
  readonly everyMs: number;
  /** Gets the delay of the call, in milliseconds. Returns whether the ticker continues. */
  readonly tick: (lateMs: number) => boolean;
};

export function createTicker({ clock, everyMs, tick }: TickerSetup): Ticker {
  let isRunning = false;

  function start(): void {
    if (isRunning) return;
    isRunning = true;
    const dueAt = clock.monotonic() + everyMs;
    clock.after(everyMs, () => {
      isRunning = false;
      if (tick(clock.monotonic() - dueAt)) start();
    });
  }

  return { start };
}
