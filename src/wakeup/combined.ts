/** A broker's wake-ups, and the store's own while the broker cannot be heard. */
import type { Bell, BrokerWakeUps, TaskQueue } from "./wake-ups.ts";

/**
 * Rings by the broker. Hears the broker while that is there, so that a task wakes one process and not all; the store's ring, which
 * sounds anyway, is let by then.
 */
export function createBrokerQueue(bells: BrokerWakeUps, store: Pick<TaskQueue, "hear">): TaskQueue {
  async function hear(types: readonly string[], signal: AbortSignal): Promise<Bell | null> {
    const either = new AbortController();
    const leave = (): void => either.abort();
    signal.addEventListener("abort", leave);
    if (signal.aborted) leave();
    const fromBroker = bells.hear(types, either.signal);
    try {
      const first = await Promise.race([fromBroker, hearStore(types, either.signal)]);
      leave();
      return (await fromBroker) ?? first; // both may ring at once, and the broker's is to be answered
    } finally {
      leave();
      signal.removeEventListener("abort", leave);
    }
  }

  async function hearStore(types: readonly string[], signal: AbortSignal): Promise<Bell | null> {
    for (;;) {
      const bell = await store.hear(types, signal);
      if (bell === null || !bells.isLive(types)) return bell;
    }
  }

  return { ring: bells.ring, hear, close: bells.close };
}
