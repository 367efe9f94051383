import { linkedAbort } from "../lib/waiting.ts";
import type { Bell, BrokerWakeUps, TaskQueue } from "./wake-ups.ts";

/**
 * Notifies by the broker. Listens to the broker, so that a task wakes one process and not all, and to the store, which notifies
 * every process of each commit; the store's wake-ups are ignored while those of the broker arrive.
 */
export function createBrokerQueue(broker: BrokerWakeUps, store: Pick<TaskQueue, "hear">): TaskQueue {
  async function hear(types: readonly string[], signal: AbortSignal): Promise<Bell | null> {
    const either = linkedAbort(signal);
    const fromBroker = broker.hear(types, either.signal);
    try {
      const first = await Promise.race([fromBroker, hearStore(types, either.signal)]);
      either.abort();
      return (await fromBroker) ?? first; // if both came at once, the broker's is to be acknowledged
    } finally {
      either.abort();
      either.unlink();
    }
  }

  async function hearStore(types: readonly string[], signal: AbortSignal): Promise<Bell | null> {
    for (;;) {
      const wakeUp = await store.hear(types, signal);
      if (wakeUp === null || !broker.isLive(types)) return wakeUp;
    }
  }

  return { ring: broker.ring, hear, close: broker.close };
}
