import { describe, expect, test } from "bun:test";
import { createManualClock, settled } from "../../test/support/clock.ts";
import { LEASE_MS, openEngine } from "../../test/support/engine.ts";
import {
  ask,
  claim,
  codeOf,
  counting,
  create,
  createMany,
  DONE,
  FAILED,
  HOUR_MS,
  ids,
  NEVER,
  RELEASED,
} from "../../test/support/verbs.ts";
import { TaskError } from "../core/error.ts";
import { CANCEL_GRACE_MS } from "../core/lease.ts";
import type { RunningTask } from "../core/task.ts";
import type { Engine } from "./engine.ts";
import { FAILURES_A_ROUND, FIRST_BATCH, REFUSED_FOR_MS } from "./task-deletion.ts";

describe("a sweep", () => {
  const beat = (task: RunningTask) => ({ id: task.id, token: task.token, progress: null, log: [] });

  test("finds a lease that ran out and logs its worker", async () => {
    const { engine, clock, log } = openEngine();
    const id = await create(engine);
    await claim(engine);
    await clock.advance(LEASE_MS - 1);
    expect(await engine.sweep()).toEqual({ expired: 0, removed: 0 });
    await clock.advance(1);
    expect(await engine.sweep()).toEqual({ expired: 1, removed: 0 });
    expect(await engine.get(id)).toMatchObject({ status: "pending", losses: 1, runAt: engine.now() });
    expect(log.logged).toContainEqual({
      level: "warn",
      event: "worker_lost",
      fields: { task_id: id, worker: "worker-1", losses: 1 },
    });
  });

  test("continues after short and empty pages", async () => {
    const { engine, clock } = openEngine({
      around: (store) => ({
        ...store,
        // Each page of this store looks at one task.
        list: async (query) => {
          const page = await store.list({ filter: {}, sort: query.sort, after: query.after, limit: 1 });
          const found = await store.list(query);
          const ids = new Set(found.tasks.map(({ id }) => id));
          return { tasks: page.tasks.filter(({ id }) => ids.has(id)), next: page.next };
        },
      }),
    });
    await createMany(engine, 5);
    for (const leaseMs of [LEASE_MS, 10, LEASE_MS, LEASE_MS, 10]) {
      await engine.claim(ask({ leaseMs }), NEVER);
    }
    await clock.advance(LEASE_MS / 2);
    expect((await engine.sweep()).expired).toBe(2);
  });

  test("finds a lease that ran out although the search for overlong leases fails", async () => {
    const { engine, clock } = openEngine({
      around: (store) => ({
        ...store,
        list: (query) =>
          query.filter.overlongAt === undefined
            ? store.list(query)
            : Promise.reject(new TaskError("store_unavailable", "Too slow")),
      }),
    });
    const id = await create(engine);
    await claim(engine);
    await clock.advance(LEASE_MS);
    expect(await codeOf(engine.sweep())).toBe("store_unavailable");
    expect((await engine.get(id)).losses).toBe(1);
  });

  test("does not end a lease that is renewed", async () => {
    const { engine, clock } = openEngine();
    await create(engine);
    const task = await claim(engine);
    for (let i = 0; i < 10; i++) {
      await clock.advance(LEASE_MS / 2);
      expect(await engine.extend([beat(task)])).toEqual(["ok"]);
      expect((await engine.sweep()).expired).toBe(0);
    }
  });

  test("fails a task at its third loss, and rejects the lost worker's outcome", async () => {
    const { engine, clock } = openEngine();
    const id = await create(engine, { maxAttempts: 1 });
    let token = "";
    for (let loss = 1; loss <= 3; loss++) {
      ({ token } = await claim(engine));
      await clock.advance(LEASE_MS);
      await engine.sweep();
      expect(await engine.get(id)).toMatchObject({ losses: loss, status: loss < 3 ? "pending" : "failed" });
    }
    expect(await engine.get(id)).toMatchObject({ error: { code: "worker_lost" }, failures: 0 });
    expect(await codeOf(engine.settle(id, token, DONE))).toBe("lease_lost");
  });

  test("wakes claims that wait for a task that it releases", async () => {
    const { engine, clock } = openEngine({ pollMs: HOUR_MS });
    const id = await create(engine);
    await claim(engine);
    await clock.advance(LEASE_MS);
    const claimed = engine.claim(ask({ worker: "worker-2" }), NEVER);
    await settled();
    await engine.sweep();
    expect(ids(await claimed)).toEqual([id]);
  });

  test("judges no lease for half a lease after its engine's start", async () => {
    const { engine: before, clock, store } = openEngine();
    const id = await create(before);
    const task = await claim(before);
    await clock.advance(2 * LEASE_MS);

    const { engine } = openEngine({ store, clock });
    expect((await engine.sweep()).expired).toBe(0);
    await clock.advance(LEASE_MS / 2 - 1);
    expect((await engine.sweep()).expired).toBe(0);
    expect((await engine.get(id)).status).toBe("running");
    await clock.advance(1);
    expect((await engine.sweep()).expired).toBe(1);
    expect(await engine.extend([beat(task)])).toEqual(["lost"]);
  });

  test.each([
    ["a heartbeat", "running"],
    ["a result", "done"],
  ])("accepts %s after the end of the lease, as long as the lease was not judged", async (_what, status) => {
    const { engine: before, clock, store } = openEngine();
    const id = await create(before);
    const task = await claim(before);
    await clock.advance(2 * LEASE_MS);
    const { engine } = openEngine({ store, clock });
    if (status === "done") await engine.settle(id, task.token, DONE);
    else expect(await engine.extend([beat(task)])).toEqual(["ok"]);
    await clock.advance(LEASE_MS - 1);
    await engine.sweep();
    expect(await engine.get(id)).toMatchObject({ status, losses: 0 });
  });

  test("judges no lease for half a lease after the store was away", async () => {
    let away = false;
    const { engine, clock } = openEngine({
      around: (store) => ({
        ...store,
        now: () => (away ? Promise.reject(new TaskError("store_unavailable", "Away")) : store.now()),
      }),
    });
    await engine.start();
    const id = await create(engine);
    await claim(engine);
    away = true;
    await clock.advance(LEASE_MS + 5_000);
    away = false;
    await clock.advance(LEASE_MS / 2 - 2_000);
    expect((await engine.get(id)).status).toBe("running");
    await clock.advance(4_000);
    expect(await engine.get(id)).toMatchObject({ status: "pending", losses: 1 });
    await engine.close();
  });

  test("revokes the lease after the grace of a cancel request, although the worker sends heartbeats", async () => {
    const { engine, clock } = openEngine();
    const id = await create(engine);
    const task = await claim(engine);
    await engine.cancel(id);
    await clock.advance(CANCEL_GRACE_MS / 2);
    expect(await engine.extend([beat(task)])).toEqual(["cancel"]);
    await clock.advance(CANCEL_GRACE_MS / 2 - 1);
    expect(await engine.extend([beat(task)])).toEqual(["cancel"]);
    expect((await engine.sweep()).expired).toBe(0);
    await clock.advance(1);
    expect((await engine.sweep()).expired).toBe(1);
    expect(await engine.get(id)).toMatchObject({ status: "cancelled", losses: 0, finishedAt: engine.now() });
    expect(await engine.extend([beat(task)])).toEqual(["lost"]);
    expect(await codeOf(engine.settle(id, task.token, DONE))).toBe("lease_lost");
  });

  test("counts a loss once, although many processes sweep at the same time", async () => {
    const { engine, clock, store } = openEngine();
    const others = Array.from({ length: 4 }, () => openEngine({ store, clock }).engine);
    const id = await create(engine);
    await claim(engine);
    await clock.advance(LEASE_MS);
    await Promise.all([engine, ...others].map((each) => each.sweep()));
    expect(await engine.get(id)).toMatchObject({ losses: 1, version: 3 });
  });

  test("skips a task that is deleted or renewed during the sweep", async () => {
    let meanwhile = async (): Promise<unknown> => undefined;
    const { engine, clock, store } = openEngine({
      around: (store) => ({
        ...store,
        list: async (query) => {
          const page = await store.list(query);
          await meanwhile();
          return page;
        },
      }),
    });
    await createMany(engine, 2);
    const { tasks } = await engine.claim(ask({ max: 2 }), NEVER);
    await clock.advance(LEASE_MS);
    const now = engine.now();
    const [first, second] = tasks as [RunningTask, RunningTask];
    meanwhile = () => Promise.all([store.remove([first]), store.extend([beat(second)], now - 1)]);
    await engine.sweep();
    meanwhile = async () => undefined;
    expect(await codeOf(engine.get(first.id))).toBe("not_found");
    expect(await engine.get(second.id)).toMatchObject({ status: "running", losses: 0 });
  });

  test("ends a thousand lost leases at a time, and the next round follows at once while there are more", async () => {
    const { engine, clock } = openEngine();
    await createMany(engine, 2_500);
    for (const max of [1_000, 1_000, 500]) await engine.claim(ask({ max }), NEVER);
    await clock.advance(LEASE_MS);
    expect((await engine.sweep()).expired).toBe(1_000);
    await engine.start();
    await clock.advance(0);
    expect(await engine.count({ statuses: ["running"] })).toBe(0);
    await engine.close();
  });

  describe("deletes", () => {
    const retentions = [
      { statuses: ["done"], keepMs: 60_000 },
      { statuses: ["failed", "cancelled"], keepMs: 120_000 },
    ] as const;

    /** One task for each status, with the status for its name. */
    async function fillWithEvery(engine: Engine): Promise<void> {
      const end: Record<string, (task: RunningTask) => Promise<unknown>> = {
        done: ({ id, token }) => engine.settle(id, token, DONE),
        failed: ({ id, token }) => engine.settle(id, token, { ...FAILED, retryable: false }),
        cancelled: ({ id, token }) => engine.cancel(id).then(() => engine.settle(id, token, RELEASED)),
        running: async () => undefined,
      };
      for (const [name, run] of Object.entries(end)) {
        await create(engine, { name });
        await run(await claim(engine));
      }
      await create(engine, { name: "pending" });
    }

    const names = async (engine: Engine): Promise<string[]> => {
      const page = await engine.list({ filter: {}, sort: "id", after: null, limit: 100 });
      return page.tasks.map(({ name }) => name);
    };

    test("done tasks and other ended tasks, each after their own time", async () => {
      const { engine, clock } = openEngine({ retentions });
      await fillWithEvery(engine);
      await engine.remove(4); // the running one would be lost
      await clock.advance(60_000);
      await engine.sweep();
      expect(await names(engine)).toEqual(["done", "failed", "cancelled", "pending"]);
      await clock.advance(1);
      expect((await engine.sweep()).removed).toBe(1);
      expect(await names(engine)).toEqual(["failed", "cancelled", "pending"]);
      await clock.advance(59_999);
      await engine.sweep();
      expect(await names(engine)).toEqual(["failed", "cancelled", "pending"]);
      await clock.advance(1);
      expect((await engine.sweep()).removed).toBe(2);
      expect(await names(engine)).toEqual(["pending"]);
    });

    test("no tasks of a retention of 0, which keeps them without limit", async () => {
      const { engine, clock } = openEngine({
        retentions: [
          { statuses: ["done"], keepMs: 0 },
          { statuses: ["failed", "cancelled"], keepMs: 1 },
        ],
      });
      await fillWithEvery(engine);
      await engine.remove(4);
      await clock.advance(365 * 24 * HOUR_MS);
      await engine.sweep();
      expect(await names(engine)).toEqual(["done", "pending"]);
    });

    test("no task that was retried during the sweep", async () => {
      let meanwhile = async (): Promise<unknown> => undefined;
      const { engine, clock } = openEngine({
        retentions,
        around: (store) => ({
          ...store,
          remove: async (refs) => {
            await meanwhile();
            return store.remove(refs);
          },
        }),
      });
      const id = await create(engine);
      await engine.cancel(id);
      await clock.advance(HOUR_MS);
      meanwhile = () => engine.retry(id);
      await engine.sweep();
      expect((await engine.get(id)).status).toBe("pending");
    });

    test("a thousand tasks at a time, the oldest first, and the next round follows at once while there are more", async () => {
      const { engine, clock } = openEngine({ retentions });
      await createMany(engine, 2_500);
      await Promise.all(Array.from({ length: 2_500 }, (_, at) => engine.cancel(at + 1)));
      await clock.advance(HOUR_MS);
      expect(await engine.sweep()).toEqual({ expired: 0, removed: 1_000 });
      expect(await codeOf(engine.get(1_000))).toBe("not_found");
      expect(await codeOf(engine.get(1_001))).toBe("ok");
      await engine.start();
      await clock.advance(0);
      expect(await engine.count({})).toBe(0);
      await engine.close();
    });
  });

  describe("if the clock is set forward by a year", () => {
    const YEAR_MS = 365 * 24 * HOUR_MS;
    const retentions = [{ statuses: ["done", "failed", "cancelled"] as const, keepMs: 2 * HOUR_MS }];

    /** An engine whose rounds run, with one task that has just ended. */
    async function openWithEnded() {
      const opened = openEngine({ retentions });
      await opened.engine.start();
      const id = await create(opened.engine);
      await opened.engine.cancel(id);
      await opened.clock.advance(10_000);
      return { ...opened, code: () => codeOf(opened.engine.get(id)) };
    }

    test("keeps tasks that have just ended for an hour, then uses the clock", async () => {
      const { engine, clock, code } = await openWithEnded();
      clock.set(YEAR_MS);
      await clock.advance(HOUR_MS - 10_000);
      expect(await code()).toBe("ok");
      await clock.advance(20_000);
      expect(await code()).toBe("not_found");
      await engine.close();
    });

    test("deletes no task too early if the clock is set back within the hour", async () => {
      const { engine, clock, code } = await openWithEnded();
      clock.set(YEAR_MS);
      await clock.advance(10_000);
      clock.set(60_000);
      await clock.advance(10_000);
      clock.set(-YEAR_MS - 60_000);
      await clock.advance(HOUR_MS);
      expect(await code()).toBe("ok");
      await clock.advance(2 * HOUR_MS);
      expect(await code()).toBe("not_found");
      await engine.close();
    });

    test("still deletes tasks that are old by the clock before and after", async () => {
      const { engine, clock, code } = await openWithEnded();
      await clock.advance(2 * HOUR_MS - 20_000);
      expect(await code()).toBe("ok");
      clock.set(YEAR_MS);
      await clock.advance(30_000);
      expect(await code()).toBe("not_found");
      await engine.close();
    });
  });

  describe("whose retention fails", () => {
    const retentions = [
      { statuses: ["done"], keepMs: 60_000 },
      { statuses: ["failed", "cancelled"], keepMs: 60_000 },
    ] as const;

    /** `refusal` gives the error of a removal of these ids; null if the store carries the removal out. */
    function openRefusing(refusal: (ids: readonly number[]) => TaskError | null) {
      const pieces: number[][] = [];
      const opened = openEngine({
        retentions,
        around: (store) => ({
          ...store,
          remove: async (refs) => {
            const ids = refs.map(({ id }) => id);
            pieces.push(ids);
            const error = refusal(ids);
            if (error !== null) throw error;
            return store.remove(refs);
          },
        }),
      });
      return { ...opened, pieces };
    }

    const rejected = new TaskError("store_rejected", "canceling statement due to statement timeout");

    async function cancelMany(engine: Engine, count: number): Promise<void> {
      await createMany(engine, count);
      await Promise.all(Array.from({ length: count }, (_, at) => engine.cancel(at + 1)));
    }

    test.each([
      ["the store refuses to delete anything", rejected],
      ["the store is unavailable for deletions only", new TaskError("store_unavailable", "Away")],
    ])("still judges leases: %s", async (_how, error) => {
      const { engine, clock, log } = openRefusing(() => error);
      await cancelMany(engine, 3);
      await clock.advance(HOUR_MS);
      await engine.start();
      await clock.advance(LEASE_MS);
      expect(log.events).toContain("retention_failed");
      const id = await create(engine);
      await engine.claim(ask({ leaseMs: 1_000 }), NEVER);
      await clock.advance(3_000);
      expect(await engine.get(id)).toMatchObject({ status: "pending", losses: 1 });
      await engine.close();
    });

    test("deletes all but the task that cannot be deleted, and tries that one again a minute later", async () => {
      let isLocked = true;
      const { engine, clock, pieces } = openRefusing((ids) =>
        isLocked && ids.includes(7) ? rejected : null,
      );
      await cancelMany(engine, 30);
      await clock.advance(60_001);
      expect((await engine.sweep()).removed).toBe(29);
      expect(await engine.count({})).toBe(1);
      pieces.length = 0;
      await clock.advance(REFUSED_FOR_MS - 1);
      expect((await engine.sweep()).removed).toBe(0);
      expect(pieces).toEqual([]); // each attempt delays the other removals by a statement timeout
      isLocked = false;
      await clock.advance(1);
      expect((await engine.sweep()).removed).toBe(1);
    });

    test("calls a store that is unavailable only a few times a round", async () => {
      const { engine, clock, pieces } = openRefusing(() => new TaskError("store_unavailable", "Away"));
      await cancelMany(engine, 500);
      await clock.advance(60_001);
      expect((await engine.sweep()).removed).toBe(0);
      expect(pieces).toHaveLength(FAILURES_A_ROUND);
    });

    test("still deletes the tasks of other retentions", async () => {
      const { engine, clock } = openRefusing((ids) =>
        ids.includes(1) ? new TaskError("store_unavailable", "Away") : null,
      );
      await create(engine);
      await engine.settle(1, (await claim(engine)).token, DONE);
      await create(engine);
      await engine.cancel(2);
      await clock.advance(60_001);
      expect((await engine.sweep()).removed).toBe(1);
      expect(await codeOf(engine.get(1))).toBe("ok");
      expect(await codeOf(engine.get(2))).toBe("not_found");
    });

    test("deletes no further batch once the engine closes", async () => {
      const { engine, clock, pieces } = openRefusing(() => {
        void engine.close();
        return rejected;
      });
      await cancelMany(engine, 3 * FIRST_BATCH);
      await clock.advance(60_001);
      await engine.sweep();
      expect(pieces).toHaveLength(1);
    });
  });

  test("deletes in batches whose size follows the speed of the store", async () => {
    const sizes: number[] = [];
    let tookMs = 0;
    const clock = createManualClock();
    const { engine } = openEngine({
      clock,
      retentions: [{ statuses: ["cancelled"], keepMs: 60_000 }],
      around: (store) => ({
        ...store,
        remove: async (refs) => {
          sizes.push(refs.length);
          await clock.advance(tookMs);
          return store.remove(refs);
        },
      }),
    });
    await createMany(engine, 2_000);
    await Promise.all(Array.from({ length: 2_000 }, (_, at) => engine.cancel(at + 1)));
    await clock.advance(60_001);
    tookMs = 2_000;
    await engine.sweep();
    expect(sizes.splice(0).slice(0, 5)).toEqual([100, 50, 25, 12, 6]);
    tookMs = 10;
    await engine.sweep();
    expect(sizes.slice(0, 5)).toEqual([1, 2, 4, 8, 16]);
  });

  test("continues with the other leases when one loss cannot be written", async () => {
    const { engine, clock, log } = openEngine({
      around: (store) => ({
        ...store,
        replace: async (steps) => {
          if (steps.some(({ from }) => from.id === 2)) throw new TaskError("store_rejected", "Locked");
          return store.replace(steps);
        },
      }),
    });
    await createMany(engine, 3);
    await engine.claim(ask({ max: 3 }), NEVER);
    await clock.advance(LEASE_MS);
    expect((await engine.sweep()).expired).toBe(2);
    expect(await engine.count({ statuses: ["pending"] })).toBe(2);
    expect(log.events.filter((event) => event !== "worker_lost")).toEqual(["expire_failed"]);
  });

  describe("as a service", () => {
    test.each([
      [0, 846],
      [0.5, 900],
      [0.999, 953.892],
    ])("with the random number %d runs again after %d ms", async (random, afterMs) => {
      const calls = counting();
      const { engine, clock } = openEngine({ ...calls, random: () => random });
      await engine.start();
      await settled();
      calls.take("now");
      await clock.advance(afterMs - 1);
      expect(calls.take("now")).toBe(0);
      await clock.advance(1);
      expect(calls.take("now")).toBe(1);
      await engine.close();
    });

    test("runs again after a failure", async () => {
      let away = false;
      const calls = counting();
      const { engine, clock, log } = openEngine({
        around: (store) =>
          calls.around({
            ...store,
            list: (query) => (away ? Promise.reject(new Error("away")) : store.list(query)),
          }),
      });
      await engine.start();
      await clock.advance(LEASE_MS);
      away = true;
      await clock.advance(2_000);
      away = false;
      calls.take("now");
      await clock.advance(2_000);
      expect(calls.take("now")).toBe(2);
      expect(log.events).toContain("sweep_failed");
      await engine.close();
    });

    test("does not run after the close, which may be called twice", async () => {
      const calls = counting();
      const { engine, clock } = openEngine(calls);
      await engine.start();
      await engine.close();
      await engine.close();
      calls.take("now");
      await clock.advance(HOUR_MS);
      expect(calls.take("now")).toBe(0);
    });
  });
});
