import { takesType } from "../core/task.ts";
import type { TaskStore } from "../store/store.ts";
import type { Bell, TaskQueue } from "./wake-ups.ts";

/** The store as its own doorbell: each commit rings already, so ringing is nothing and hearing is watching. */
export function createStoreQueue(store: Pick<TaskStore, "watch">): TaskQueue {
  let closed = false;
  const hearing = new Set<() => void>();

  function hear(types: readonly string[], signal: AbortSignal): Promise<Bell | null> {
    return new Promise((resolve) => {
      const finish = (bell: Bell | null): void => {
        unwatch();
        hearing.delete(hush);
        signal.removeEventListener("abort", hush);
        resolve(bell);
      };
      const hush = (): void => finish(null);
      const unwatch = store.watch((due) => {
        if (due === null || due.some((type) => types.some((pattern) => takesType(pattern, type))))
          finish(BELL);
      });
      hearing.add(hush);
      signal.addEventListener("abort", hush);
      if (signal.aborted || closed) hush();
    });
  }

  return {
    ring: async () => undefined,
    hear,
    close: async () => {
      closed = true;
      for (const hush of [...hearing]) hush();
    },
  };
}

/** Nothing was taken from anywhere, so there is nothing to acknowledge. */
const BELL: Bell = { ack: async () => undefined };
