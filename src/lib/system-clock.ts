/** A timer set for more than 24.8 days fires at once, so longer sleeps consist of several timers. */
const LONGEST_SLEEP_MS = 30_000;

/** The clock of this machine. */
export const systemClock = {
  now: (): number => Date.now(),
  monotonic: (): number => performance.now(),
  after: (delayMs: number, run: () => void): (() => void) => {
    const dueAt = performance.now() + delayMs;
    let timer: ReturnType<typeof setTimeout>;
    const sleep = (): void => {
      const leftMs = dueAt - performance.now();
      if (leftMs > LONGEST_SLEEP_MS) timer = setTimeout(sleep, LONGEST_SLEEP_MS);
      else timer = setTimeout(run, Math.max(0, leftMs));
    };
    sleep();
    return () => clearTimeout(timer);
  },
};
