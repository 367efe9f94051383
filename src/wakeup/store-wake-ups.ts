import { takesType } from "../core/task.ts";
import { onAbort } from "../lib/waiting.ts";
import type { TaskStore } from "../store/store.ts";
import type { WakeUp, WakeUps } from "./wake-ups.ts";

/** The store as the source of wake-ups: it notifies its watchers of each commit, so `notify` has nothing to do. */
export function createStoreWakeUps(store: Pick<TaskStore, "watch">): WakeUps {
  const closing = new AbortController();

  function listen(types: readonly string[], signal: AbortSignal): Promise<WakeUp | null> {
    if (signal.aborted || closing.signal.aborted) return Promise.resolve(null);
    return new Promise((resolve) => {
      const end = (wakeUp: WakeUp | null): void => {
        for (const remove of listeners) remove();
        resolve(wakeUp);
      };
      const listeners = [
        store.watch((due) => {
          if (due === null || due.some((type) => types.some((pattern) => takesType(pattern, type))))
            end(WAKE_UP);
        }),
        onAbort(signal, () => end(null)),
        onAbort(closing.signal, () => end(null)),
      ];
    });
  }

  return {
    notify: async () => undefined,
    listen,
    close: async () => closing.abort(),
  };
}

/** The wake-up comes from no broker, so there is nothing to acknowledge. */
const WAKE_UP: WakeUp = { ack: async () => undefined };
