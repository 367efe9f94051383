import { describe, expect, test } from "bun:test";
import { openEngine } from "../../test/support/engine.ts";
import { claim, codeOf, create, DONE, FAILED, NEVER } from "../../test/support/verbs.ts";
import { TaskError } from "../core/error.ts";
import type { Task } from "../core/task.ts";
import type { TaskStore } from "../store/store.ts";

const MINUTE_MS = 60_000;

/** Counts reads and watchers of the store, and can make it unavailable. */
function counted() {
  const seen = { gets: 0, changes: 0, watchers: 0, isAway: false, notifies: true };
  const away = (): Promise<never> =>
    Promise.reject(new TaskError("store_unavailable", "The store does not answer"));
  const around = (store: TaskStore): TaskStore => ({
    ...store,
    get: (ids) => {
      seen.gets++;
      return seen.isAway ? away() : store.get(ids);
    },
    changes: (...args) => {
      seen.changes++;
      return seen.isAway ? away() : store.changes(...args);
    },
    watch: (watcher) => {
      seen.watchers++;
      const unwatch = store.watch((due) => {
        if (seen.notifies) watcher(due);
      });
      return () => {
        seen.watchers--;
        unwatch();
      };
    },
  });
  return { seen, around };
}

/** The outcome of a wait; undefined until it has one. */
function watch(wait: Promise<Task>) {
  const said: { status: string | null } = { status: null };
  wait.then(
    (task) => {
      said.status = task.status;
    },
    (error: unknown) => {
      said.status = error instanceof TaskError ? error.code : String(error);
    },
  );
  return said;
}

describe("a wait for the end of a task", () => {
  test.each([
    ["done", DONE],
    ["failed", { ...FAILED, retryable: false }],
  ] as const)("is answered when it ends: %s", async (status, outcome) => {
    const { engine, clock } = openEngine();
    const id = await create(engine);
    const said = watch(engine.wait(id, MINUTE_MS, NEVER));
    await clock.advance(1_000);
    const { token } = await claim(engine);
    await clock.advance(1_000);
    expect(said.status).toBeNull();
    await engine.settle(id, token, outcome);
    await clock.advance(20);
    expect(said.status).toBe(status);
  });

  test("is answered when the task is cancelled", async () => {
    const { engine, clock } = openEngine();
    const id = await create(engine);
    const said = watch(engine.wait(id, MINUTE_MS, NEVER));
    await clock.advance(1_000);
    await engine.cancel(id);
    await clock.advance(20);
    expect(said.status).toBe("cancelled");
  });

  test("rejects when the task is deleted, and at once if it does not exist", async () => {
    const { engine, clock } = openEngine();
    expect(await codeOf(engine.wait(9, MINUTE_MS, NEVER))).toBe("not_found");
    const id = await create(engine);
    const said = watch(engine.wait(id, MINUTE_MS, NEVER));
    await clock.advance(1_000);
    await engine.remove(id);
    await clock.advance(20);
    expect(said.status).toBe("not_found");
  });

  test("is answered at once if the task has ended already", async () => {
    const { engine } = openEngine();
    const id = await create(engine);
    await engine.cancel(id);
    expect((await engine.wait(id, MINUTE_MS, NEVER)).status).toBe("cancelled");
  });

  test("is answered with the present task when the time is up, and not earlier", async () => {
    const { engine, clock } = openEngine();
    const id = await create(engine);
    const said = watch(engine.wait(id, 5_000, NEVER));
    await claim(engine);
    await clock.advance(4_999);
    expect(said.status).toBeNull();
    await clock.advance(1);
    expect(said.status).toBe("running");
    expect((await engine.wait(id, 0, NEVER)).status).toBe("running");
  });

  test("continues if the ended task is already pending again", async () => {
    const { engine, clock } = openEngine();
    const id = await create(engine);
    const said = watch(engine.wait(id, MINUTE_MS, NEVER));
    await clock.advance(1_000);
    await engine.cancel(id);
    await engine.retry(id);
    await clock.advance(1_000);
    expect(said.status).toBeNull();
    await engine.cancel(id);
    await clock.advance(20);
    expect(said.status).toBe("cancelled");
  });

  test("does not miss an end between the first read of the task and the first read of the change log", async () => {
    const calls = counted();
    const { engine, clock } = openEngine(calls);
    const id = await create(engine);
    calls.seen.isAway = false;
    const said = watch(engine.wait(id, MINUTE_MS, NEVER));
    await Promise.resolve();
    await engine.cancel(id); // the change feed has not begun yet
    await clock.advance(0);
    await clock.advance(20);
    expect(said.status).toBe("cancelled");
  });

  test("is answered within a second of the end if the store does not notify", async () => {
    const calls = counted();
    const { engine, clock } = openEngine(calls);
    calls.seen.notifies = false;
    const id = await create(engine);
    const said = watch(engine.wait(id, MINUTE_MS, NEVER));
    await clock.advance(1_500);
    await engine.cancel(id);
    await clock.advance(1_000);
    expect(said.status).toBe("cancelled");
  });

  test("costs the store one read at the end, with a thousand others", async () => {
    const calls = counted();
    const { engine, clock } = openEngine(calls);
    const id = await create(engine);
    const other = await create(engine);
    const said = Array.from({ length: 1_000 }, () => watch(engine.wait(id, MINUTE_MS, NEVER)));
    const bystander = watch(engine.wait(other, MINUTE_MS, NEVER));
    await clock.advance(30_000);
    calls.seen.gets = 0;
    calls.seen.changes = 0;
    await clock.advance(10_000);
    expect(calls.seen.gets).toBe(0);
    expect(calls.seen.changes).toBe(10);
    await engine.cancel(id);
    calls.seen.gets = 0; // without the reads of the cancel
    await clock.advance(20);
    expect(new Set(said.map(({ status }) => status))).toEqual(new Set(["cancelled"]));
    expect(calls.seen.gets).toBe(1);
    expect(bystander.status).toBeNull();
  });

  test("leaves no watcher and no timer after an answer, a rejection or an abort", async () => {
    const calls = counted();
    const { engine, clock } = openEngine(calls);
    const id = await create(engine);
    const abort = new AbortController();
    const gone = watch(engine.wait(id, MINUTE_MS, abort.signal));
    const refused = codeOf(engine.wait(99, MINUTE_MS, NEVER));
    await clock.advance(1_000);
    expect([calls.seen.watchers, await refused]).toEqual([1, "not_found"]);
    abort.abort();
    await clock.advance(0);
    expect([calls.seen.watchers, gone.status]).toEqual([0, "pending"]);
    const answered = watch(engine.wait(id, MINUTE_MS, NEVER));
    await clock.advance(1_000);
    await engine.cancel(id);
    await clock.advance(1_000);
    expect([calls.seen.watchers, answered.status]).toEqual([0, "cancelled"]);
    calls.seen.changes = 0;
    await clock.advance(MINUTE_MS);
    expect(calls.seen.changes).toBe(0);
  });

  test("is answered at once after the release, also if it begins later", async () => {
    const { engine, clock } = openEngine();
    const id = await create(engine);
    const said = watch(engine.wait(id, MINUTE_MS, NEVER));
    await clock.advance(1_000);
    engine.releaseWaits();
    await clock.advance(0);
    expect(said.status).toBe("pending");
    expect((await engine.wait(id, MINUTE_MS, NEVER)).status).toBe("pending");
  });

  test("survives an outage of the store, and rejects if the store is away at the end", async () => {
    const calls = counted();
    const { engine, clock } = openEngine(calls);
    const id = await create(engine);
    const said = watch(engine.wait(id, MINUTE_MS, NEVER));
    const late = watch(engine.wait(id, 10_000, NEVER));
    await clock.advance(5_000);
    calls.seen.isAway = true;
    await clock.advance(10_000);
    expect([said.status, late.status]).toEqual([null, "store_unavailable"]);
    calls.seen.isAway = false;
    await clock.advance(2_000);
    await engine.cancel(id);
    await clock.advance(1_000);
    expect(said.status).toBe("cancelled");
    calls.seen.isAway = true;
    expect(await codeOf(engine.wait(id, MINUTE_MS, NEVER))).toBe("store_unavailable");
  });
});
