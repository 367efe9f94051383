/** A round that is run again and again until stopped, one at a time. */
export interface Loop {
  start(): void;
  /** Waits for the round under way. May be called twice. */
  stop(): Promise<void>;
}

/**
 * Runs `round` now or after `firstAfterMs`, and again after the delay that it returns. A round that rejects is reported and run
 * again after the delay of `onError`: one failure never ends a loop.
 */
export function createLoop(setup: {
  /** Calls `run` after `delayMs`; the returned function cancels that. */
  readonly after: (delayMs: number, run: () => void) => () => void;
  /** The delay before the first round, in milliseconds; without it the first round runs at once. */
  readonly firstAfterMs?: number;
  readonly round: () => Promise<number>;
  /** Reports the error; returns the delay before the next round, in milliseconds. */
  readonly onError: (error: unknown) => number;
}): Loop {
  let state: "new" | "running" | "stopped" = "new";
  let current: Promise<void> = Promise.resolve();
  let cancelTimer = (): void => undefined;

  async function turn(): Promise<void> {
    const delayMs = await Promise.try(setup.round).catch(setup.onError);
    if (state === "running") cancelTimer = setup.after(delayMs, begin);
  }

  const begin = (): void => {
    current = turn();
  };

  return {
    start: () => {
      if (state !== "new") return;
      state = "running";
      if (setup.firstAfterMs === undefined) begin();
      else cancelTimer = setup.after(setup.firstAfterMs, begin);
    },
    stop: () => {
      state = "stopped";
      cancelTimer();
      return current;
    },
  };
}
