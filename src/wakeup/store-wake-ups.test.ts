import { describe, expect, test } from "bun:test";
import { createManualClock, settled } from "../../test/support/clock.ts";
import { create, edit, TYPE_DEFAULTS } from "../core/lifecycle.ts";
import { createMemoryStore } from "../store/memory/store.ts";
import type { CommitNotice, TaskStore, Watcher } from "../store/store.ts";
import { createStoreWakeUps } from "./store-wake-ups.ts";
import { examineWakeUps } from "./wake-ups.suite.ts";

function open() {
  const clock = createManualClock();
  const store = createMemoryStore({ clock, epoch: "one epoch" });
  const wakeUps = createStoreWakeUps(store);
  const t = clock.now();

  const insert = (types: readonly string[], delayMs: number) =>
    store.insert(
      types.map((type) => ({
        drafts: [create({ name: "a task", type, delayMs }, TYPE_DEFAULTS, t)],
        idempotency: null,
      })),
      t,
    );

  return { store, wakeUps, insert, t };
}

examineWakeUps("store", async () => {
  const { store, wakeUps, insert } = open();
  return {
    wakeUps,
    becomeDue: async (types) => void (await insert(types, 0)),
    listening: settled,
    close: async () => {
      await wakeUps.close();
      await store.close();
    },
  };
});

/** A store whose notifications the test sends, and that counts its watchers. */
function createWatchable() {
  const watchers = new Set<Watcher>();
  const watch: TaskStore["watch"] = (notify) => {
    watchers.add(notify);
    return () => watchers.delete(notify);
  };
  return {
    watch,
    count: () => watchers.size,
    notify: (due: readonly string[] | null, notice?: CommitNotice) => {
      for (const notify of watchers) notify(due, notice);
    },
  };
}

describe("the store as the source of wake-ups", () => {
  const never = new AbortController().signal;

  test("a task that is due later does not notify now", async () => {
    const { wakeUps, insert } = open();
    const abort = new AbortController();
    const waiting = wakeUps.listen(["mail"], abort.signal);
    await insert(["mail"], 60_000);
    abort.abort();
    expect(await waiting).toBeNull();
  });

  test("a task that is brought forward notifies", async () => {
    const { store, wakeUps, insert, t } = open();
    await insert(["mail"], 60_000);
    const waiting = wakeUps.listen(["mail"], never);
    const [from] = await store.get([1]);
    if (from === null || from === undefined) throw new Error("expected the task to be there");
    await store.replace([{ from, to: edit(from, { runAt: t }, t) }]);
    expect(await waiting).not.toBeNull();
  });

  test("a commit without the types of its due tasks wakes all", async () => {
    const store = createWatchable();
    const wakeUps = createStoreWakeUps(store);
    const waiting = [wakeUps.listen(["mail"], never), wakeUps.listen(["video.*"], never)];
    store.notify(null);
    expect((await Promise.all(waiting)).includes(null)).toBe(false);
  });

  test("a commit that makes nothing due wakes none", async () => {
    const store = createWatchable();
    const wakeUps = createStoreWakeUps(store);
    const waiting = wakeUps.listen(["*"], never);
    store.notify([]);
    await wakeUps.close();
    expect(await waiting).toBeNull();
  });

  test("the store is watched only while a call waits", async () => {
    const store = createWatchable();
    const wakeUps = createStoreWakeUps(store);
    expect(store.count()).toBe(0);
    const abort = new AbortController();
    const waiting = [
      wakeUps.listen(["a"], never),
      wakeUps.listen(["b"], abort.signal),
      wakeUps.listen(["c"], never),
    ];
    expect(store.count()).toBe(3);
    store.notify(["a"]);
    expect(store.count()).toBe(2);
    abort.abort();
    expect(store.count()).toBe(1);
    await wakeUps.close();
    expect(store.count()).toBe(0);
    expect((await Promise.all(waiting)).map((wakeUp) => wakeUp === null)).toEqual([false, true, true]);
    await wakeUps.listen(["a"], AbortSignal.abort());
    expect(store.count()).toBe(0);
  });

  test("notify does nothing: only a commit wakes", async () => {
    const { wakeUps } = open();
    const waiting = wakeUps.listen(["mail"], never);
    await wakeUps.notify(["mail"]);
    await wakeUps.close();
    expect(await waiting).toBeNull();
  });

  test("a process that is not chosen wakes later, or at once with the next commit", async () => {
    const store = createWatchable();
    const clock = createManualClock();
    const processes = ["process-1", "process-2"].map((name) => ({ name, types: ["*"], free: 9 }));
    const notice = { seed: "1", counts: [1], mayRevoke: false };
    const wakeUpsOf = (own: string) =>
      createStoreWakeUps(store, { timers: clock, peers: () => ({ own, processes }) });
    const woken: string[] = [];
    const listen = () =>
      processes.map(({ name }) =>
        wakeUpsOf(name)
          .listen(["mail"], never)
          .then((wakeUp) => woken.push(wakeUp?.isLate === true ? "late" : "at once")),
      );
    listen();
    store.notify(["mail"], notice);
    await settled();
    expect(woken).toEqual(["at once"]);
    await clock.advance(100);
    expect(woken).toEqual(["at once", "late"]);
    expect(store.count()).toBe(0);
    listen();
    store.notify(["mail"], notice);
    store.notify(["mail"]);
    await settled();
    expect(woken.slice(2)).toEqual(["at once", "at once"]);
  });
});
