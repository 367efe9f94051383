import { expect } from "bun:test";
import { edit, extend } from "../../core/lifecycle.ts";
import type { Task } from "../../core/task.ts";
import { DONE, type Exam, type Examinee, FAILED, HOUR_MS, idsOf, walk } from "./examinee.ts";

const STAGES: Record<string, (x: Examinee) => Promise<Task>> = {
  pending: (x) => x.add(),
  "not yet due": (x) => x.add({ runAt: x.t + HOUR_MS }),
  running: (x) => x.run(),
  done: (x) => x.ended("done"),
  failed: (x) => x.ended("failed"),
  cancelled: (x) => x.ended("cancelled"),
};

export function examineRemove(exam: Exam): void {
  for (const [stage, make] of Object.entries(STAGES)) {
    exam(`a task that is ${stage} is not found by any call after its deletion`, async (x) => {
      const task = await make(x);
      expect(await x.removed(task.id)).toBe(true);
      expect(await x.store.get([task.id])).toEqual([null]);
      for (const sort of ["id", "-id", "finished_at", "-finished_at"] as const) {
        expect(await walk(x.store, { sort, limit: 10 })).toEqual([]);
      }
      expect(await x.store.count({})).toBe(0);
      expect(await x.store.count({ statuses: [task.status] })).toBe(0);
      expect(await x.store.count({ expiredAt: x.t + 2 * HOUR_MS })).toBe(0);
      expect(await x.take(["*"], { at: x.t + 2 * HOUR_MS })).toEqual([]);
    });
  }

  exam("a task is deleted once", async ({ add, removed }) => {
    const { id } = await add();
    expect(await removed(id)).toBe(true);
    expect(await removed(id)).toBe(false);
  });

  exam("a task that never existed cannot be deleted", async ({ removed }) => {
    expect(await removed(1)).toBe(false);
    expect(await removed(Number.MAX_SAFE_INTEGER)).toBe(false);
  });

  exam("a task with the given version is deleted", async ({ add, step, removed, store, t }) => {
    const task = await add();
    const edited = await step(task, edit(task, { name: "new" }, t));
    expect(await removed(task.id, edited.version)).toBe(true);
    expect(await store.get([task.id])).toEqual([null]);
  });

  exam(
    "a task with another version than the given one is not deleted",
    async ({ add, step, removed, see, t }) => {
      const task = await add();
      const edited = await step(task, edit(task, { name: "new" }, t));
      expect(await removed(task.id, task.version)).toBe(false);
      expect(await removed(task.id, edited.version + 1)).toBe(false);
      expect(await see(task.id)).toStrictEqual(edited);
    },
  );

  exam("a task can still be deleted by its version after a heartbeat", async ({ run, beat, removed, t }) => {
    const running = await run();
    await beat(running, t + 1);
    expect(await removed(running.id, running.version)).toBe(true);
  });

  exam(
    "each deletion of a call is carried out on its own and answered in its place",
    async ({ addAll, store }) => {
      await addAll([{}, {}, {}, {}]);
      const refs = [{ id: 4 }, { id: 9 }, { id: 2, version: 7 }, { id: 1, version: 1 }];
      expect(await store.remove(refs)).toEqual([true, false, false, true]);
      expect((await store.get([1, 2, 3, 4])).map((task) => task?.id ?? null)).toEqual([null, 2, 3, null]);
    },
  );

  exam("a task that a call names twice is deleted once", async ({ add, store }) => {
    const { id } = await add();
    expect((await store.remove([{ id }, { id }])).toSorted()).toEqual([false, true]);
  });

  exam("a call without deletions has no answers", async ({ add, store }) => {
    await add();
    expect(await store.remove([])).toEqual([]);
    expect(await store.count({})).toBe(1);
  });

  exam("a thousand tasks are deleted in one call, the others stay", async ({ draft, store, t }) => {
    const drafts = Array.from({ length: 1_010 }, () => draft());
    await store.insert([{ drafts, idempotency: null }], t);
    const refs = Array.from({ length: 1_000 }, (_, n) => ({ id: n + 6 }));
    expect(await store.remove(refs)).toEqual(refs.map(() => true));
    expect(idsOf(await walk(store, { sort: "id", limit: 100 }))).toEqual([
      1, 2, 3, 4, 5, 1006, 1007, 1008, 1009, 1010,
    ]);
  });

  exam("a worker whose task was deleted can write nothing", async (x) => {
    const running = await x.run();
    await x.removed(running.id);
    expect(await x.beat(running, x.t + 1, { log: [{ level: "info", message: "late" }] })).toBe("lost");
    expect(await x.write(running, extend(running, { token: running.token, progress: null }, x.t + 1))).toBe(
      "stale",
    );
    expect(await x.store.readLog(running.id, 0)).toEqual([]);
  });

  exam("the deletion of one of several equal tasks does not affect the others", async (x) => {
    const [a, b, c] = [await x.ended("done"), await x.ended("done"), await x.ended("failed")];
    await x.settled(await x.run(), DONE);
    await x.settled(await x.run(), FAILED);
    expect(await x.removed(b.id)).toBe(true);
    expect(idsOf(await walk(x.store, { sort: "finished_at", limit: 2 }))).toEqual([a.id, c.id, 4, 5]);
  });
}
