import { TaskError } from "../../src/core/error.ts";
import { createEngine } from "../../src/engine/engine.ts";
import { systemClock } from "../../src/lib/system-clock.ts";
import { createMemoryStore } from "../../src/store/memory/store.ts";
import type { TaskStore } from "../../src/store/store.ts";
import { createStoreWakeUps } from "../../src/wakeup/store-wake-ups.ts";
import { createTestLog } from "./engine.ts";
import { openHttpServer } from "./http-server.ts";

/** HTTP with an engine whose store the test can make unavailable and whose watchers it counts. */
export function openMemoryServer(
  setup: Parameters<typeof openHttpServer>[1] & { readonly clock?: typeof systemClock } = {},
) {
  const clock = setup.clock ?? systemClock;
  const stored = createMemoryStore({ clock, epoch: "memory" });
  const state = { isAway: false, watchers: 0 };
  const guarded =
    <Args extends unknown[], Answer>(call: (...args: Args) => Promise<Answer>) =>
    (...args: Args): Promise<Answer> =>
      state.isAway
        ? Promise.reject(new TaskError("store_unavailable", "The store does not answer"))
        : call(...args);
  const store: TaskStore = {
    ...stored,
    changes: guarded(stored.changes),
    get: guarded(stored.get),
    watch: (notify) => {
      state.watchers++;
      const unwatch = stored.watch(notify);
      return () => {
        state.watchers--;
        unwatch();
      };
    },
  };
  const engine = createEngine({
    ...{ store, wakeUps: createStoreWakeUps(stored), clock, log: createTestLog() },
    random: () => 0.5,
    nonce: () => "n",
    types: new Map(),
    pollMs: 1_000,
    retentions: [],
  });
  const httpServer = openHttpServer(engine, setup);
  return {
    ...{ engine, httpServer, url: httpServer.url, state },
    close: async () => {
      await httpServer.close();
      await engine.close();
    },
  };
}
