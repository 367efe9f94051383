import type { Clock } from "../core/clock.ts";
import type { TaskStore } from "../store/store.ts";

/** The store's time without asking it: every process on a store goes by the same clock, whatever its own says. */
export interface StoreClock {
  /**
   * Measures the offset again. A slow answer is less exact than the known offset, and changes the offset only if the two
   * contradict each other. Returns by how many milliseconds the store's clock was set since the last measurement: negative where
   * it was set back, 0 where it was not set.
   */
  sync(): Promise<number>;
  /** Epoch milliseconds by the store's clock. */
  now(): number;
}

/** The store rounds to a millisecond. */
const ROUNDING_MS = 1;
/** How far two machines' clocks part in a millisecond at most; so much is lost of what an old measurement says. */
const DRIFT = 0.001;

export function createStoreClock(store: Pick<TaskStore, "now">, clock: Clock): StoreClock {
  let offset = clock.now() - clock.monotonic(); // until the first answer
  let error = Number.POSITIVE_INFINITY;
  let measuredAt = clock.monotonic();

  /** The store read its clock at some moment of the round trip, so half of that is the error. */
  async function sync(): Promise<number> {
    const askedAt = clock.monotonic();
    const storeNow = await store.now();
    const answeredAt = clock.monotonic();
    return take(storeNow - (askedAt + answeredAt) / 2, (answeredAt - askedAt) / 2 + ROUNDING_MS);
  }

  /** A lease may be one second long and an answer take five: one that is late must not make every lease look lost. */
  function take(measured: number, measuredError: number): number {
    const now = clock.monotonic();
    const knownError = error + (now - measuredAt) * DRIFT;
    const movedBy = measured - offset;
    const wasSet = Math.abs(movedBy) > measuredError + knownError;
    if (measuredError > knownError && !wasSet) return 0;
    offset = measured;
    error = measuredError;
    measuredAt = now;
    return wasSet ? movedBy : 0;
  }

  return { sync, now: () => Math.floor(clock.monotonic() + offset) };
}
