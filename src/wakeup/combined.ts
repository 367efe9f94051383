import { linkedAbort } from "../lib/waiting.ts";
import type { BrokerWakeUps, WakeUp, WakeUps } from "./wake-ups.ts";

/**
 * Notifies by the broker. Listens to the broker, so that a task wakes one process and not all, and to the store, which notifies
 * every process of each commit; the store's wake-ups are ignored while those of the broker arrive.
 */
export function createCombinedWakeUps(broker: BrokerWakeUps, store: Pick<WakeUps, "listen">): WakeUps {
  async function listen(types: readonly string[], signal: AbortSignal): Promise<WakeUp | null> {
    const either = linkedAbort(signal);
    const fromBroker = broker.listen(types, either.signal);
    try {
      const first = await Promise.race([fromBroker, listenToStore(types, either.signal)]);
      either.abort();
      return (await fromBroker) ?? first; // if both came at once, the broker's wake-up must be acknowledged
    } finally {
      either.abort();
      either.unlink();
    }
  }

  async function listenToStore(types: readonly string[], signal: AbortSignal): Promise<WakeUp | null> {
    for (;;) {
      const wakeUp = await store.listen(types, signal);
      if (wakeUp === null || !broker.isLive(types)) return wakeUp;
    }
  }

  return { notify: broker.notify, listen, close: broker.close };
}
