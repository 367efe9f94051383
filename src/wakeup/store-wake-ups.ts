import { takesType } from "../core/task.ts";
import { onAbort } from "../lib/waiting.ts";
import type { TaskStore } from "../store/store.ts";
import type { Bell, TaskQueue } from "./wake-ups.ts";

/** The store as the source of wake-ups: it notifies its watchers of each commit, so `ring` has nothing to do. */
export function createStoreQueue(store: Pick<TaskStore, "watch">): TaskQueue {
  const closing = new AbortController();

  function hear(types: readonly string[], signal: AbortSignal): Promise<Bell | null> {
    if (signal.aborted || closing.signal.aborted) return Promise.resolve(null);
    return new Promise((resolve) => {
      const end = (wakeUp: Bell | null): void => {
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
    ring: async () => undefined,
    hear,
    close: async () => closing.abort(),
  };
}

/** Comes from no broker, so there is nothing to acknowledge. */
const WAKE_UP: Bell = { ack: async () => undefined };
