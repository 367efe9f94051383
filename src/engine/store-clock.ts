import type { Clock } from "../core/clock.ts";
import type { TaskStore } from "../store/store.ts";

/** The store's time without a call for each use: every process on a store uses the store's clock instead of its own. */
export interface StoreClock {
  /**
   * Measures the offset again, with `read` if it is given: a call of the store that answers the time of its clock. A slow
   * answer is less exact than the known offset, and changes the offset only if the two contradict each other. Returns by how many
   * milliseconds the store's clock was set since the last measurement: negative if it was set back, 0 if it was not set.
   */
  sync(read?: () => Promise<number>): Promise<number>;
  /** Epoch milliseconds by the store's clock. */
  now(): number;
  /**
   * The time by which old tasks are deleted, epoch milliseconds: `now`, but a step forward counts only an hour after it, and not at
   * all if the clock is set back before. Deleted tasks cannot be restored after the
   * clock is corrected.
   */
  retentionNow(): number;
}

const BELIEVED_AFTER_MS = 3_600_000;

/** The store rounds to a millisecond. */
const ROUNDING_MS = 1;
/** The highest drift between the clocks of two machines in each millisecond: an old measurement is less exact by this. */
const DRIFT = 0.001;

export function createStoreClock(store: Pick<TaskStore, "now">, clock: Clock): StoreClock {
  let offset = clock.now() - clock.monotonic(); // until the first answer
  let error = Number.POSITIVE_INFINITY;
  let measuredAt = clock.monotonic();
  let stepsForward: readonly StepForward[] = [];

  /** The store read its clock at some moment of the round trip, so the error is at most half of the round trip. */
  async function sync(read = store.now): Promise<number> {
    const askedAt = clock.monotonic();
    const storeNow = await read();
    const answeredAt = clock.monotonic();
    return take(storeNow - (askedAt + answeredAt) / 2, (answeredAt - askedAt) / 2 + ROUNDING_MS);
  }

  /** A lease may be one second long, and an answer may take five: a late answer must not make every lease seem lost. */
  function take(measured: number, measuredError: number): number {
    const now = clock.monotonic();
    const knownError = error + (now - measuredAt) * DRIFT;
    const movedBy = measured - offset;
    const wasSet = Math.abs(movedBy) > measuredError + knownError;
    if (measuredError > knownError && !wasSet) return 0;
    offset = measured;
    error = measuredError;
    measuredAt = now;
    if (!wasSet) return 0;
    stepsForward = afterStep(recentOf(stepsForward, now), { byMs: movedBy, at: now });
    return movedBy;
  }

  const now = (): number => Math.floor(clock.monotonic() + offset);

  function retentionNow(): number {
    stepsForward = recentOf(stepsForward, clock.monotonic());
    return now() - stepsForward.reduce((sum, { byMs }) => sum + byMs, 0);
  }

  return { sync, now, retentionNow };
}

/** `byMs` is above 0; `at` is monotonic. */
type StepForward = { readonly byMs: number; readonly at: number };

const recentOf = (steps: readonly StepForward[], now: number): readonly StepForward[] =>
  steps.filter(({ at }) => now - at < BELIEVED_AFTER_MS);

/** A step back first undoes the newest steps forward. */
function afterStep(steps: readonly StepForward[], step: StepForward): readonly StepForward[] {
  if (step.byMs >= 0) return [...steps, step];
  const newest = steps.at(-1);
  if (newest === undefined) return steps;
  const byMs = newest.byMs + step.byMs;
  const older = steps.slice(0, -1);
  return byMs > 0 ? [...older, { ...newest, byMs }] : afterStep(older, { ...step, byMs });
}
