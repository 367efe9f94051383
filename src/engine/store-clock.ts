import type { Clock } from "../core/clock.ts";
import type { TaskStore } from "../store/store.ts";

/** The store's time without asking it: every process on a store goes by the same clock, whatever its own says. */
export interface StoreClock {
  /** Measures the offset anew; half the round trip is the error. */
  sync(): Promise<void>;
  /** Epoch milliseconds by the store's clock. */
  now(): number;
}

export function createStoreClock(store: Pick<TaskStore, "now">, clock: Clock): StoreClock {
  let offset = clock.now() - clock.monotonic(); // until the first answer

  async function sync(): Promise<void> {
    const askedAt = clock.monotonic();
    const storeNow = await store.now();
    offset = storeNow - (askedAt + clock.monotonic()) / 2;
  }

  return { sync, now: () => Math.floor(clock.monotonic() + offset) };
}
