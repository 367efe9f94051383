import { expect } from "bun:test";
import { cancel, edit, expire, retry } from "../../core/lifecycle.ts";
import { STATUSES, type Status, type Task } from "../../core/task.ts";
import type { TypeCount } from "../store.ts";
import { DONE, type Exam, type Examinee, FAILED, HOUR_MS, idsOf, only, RELEASED, walk } from "./examinee.ts";

/** The type counts, computed from all tasks one by one. */
async function counted(x: Examinee): Promise<TypeCount[]> {
  const tasks = await walk(x.store, { sort: "id", limit: 1_000 });
  return [...Map.groupBy(tasks, ({ type }) => type)]
    .map(([type, ofType]) => ({ type, counts: countsOf(ofType), oldestRunAt: oldestOf(ofType) }))
    .sort((a, b) => (a.type < b.type ? -1 : 1));
}

function countsOf(tasks: readonly Task[]): Record<Status, number> {
  const counts = { pending: 0, running: 0, done: 0, failed: 0, cancelled: 0 };
  for (const { status } of tasks) counts[status]++;
  return counts;
}

function oldestOf(tasks: readonly Task[]): number | null {
  const times = tasks.flatMap(({ status, runAt }) => (status === "pending" ? [runAt] : []));
  return times.length === 0 ? null : Math.min(...times);
}

const NONE = { pending: 0, running: 0, done: 0, failed: 0, cancelled: 0 };

export function examineTypeCounts(exam: Exam): void {
  exam("an empty store has no counts", async ({ store }) => {
    expect(await store.typeCounts()).toEqual([]);
  });

  exam("every type is counted by status, in the order of the types", async (x) => {
    const types = ["b", "a.b", "a", "a_b", "B", "a-b", "a1"];
    for (const type of types) await x.add({ type, runAt: x.t + 7 }); // later than the tasks that end
    await x.ended("done", { type: "b" });
    await x.ended("failed", { type: "a" });
    await x.ended("cancelled", { type: "a" });
    const typeCounts = await x.store.typeCounts();
    expect(typeCounts).toStrictEqual(await counted(x));
    expect(typeCounts.map(({ type }) => type)).toEqual(types.toSorted());
    expect(await x.peer.typeCounts()).toStrictEqual(typeCounts);
  });

  exam("each change of a task's status moves it from one count to another", async (x) => {
    const see = async (status: Status) => {
      const oldestRunAt = status === "pending" ? (await x.see(id)).runAt : null;
      const all = [{ type: "job", counts: { ...NONE, [status]: 1 }, oldestRunAt }];
      expect(await x.store.typeCounts()).toStrictEqual(all);
    };
    const { id } = await x.add({ type: "job", maxAttempts: 1 });
    await see("pending");
    const first = only(await x.take(["job"]));
    await see("running");
    const released = await x.settled(first, RELEASED, x.t + 1);
    await see("pending");
    await x.step(released, edit(released, { priority: 3, runAt: x.t - 9 }, x.t + 1));
    await see("pending");
    const second = only(await x.take(["job"], { at: x.t + 2 }));
    const lost = await x.step(second, expire(second, x.t + HOUR_MS));
    await see("pending");
    const third = await x.start(lost, { at: x.t + HOUR_MS });
    const failed = await x.settled(third, FAILED, x.t + HOUR_MS + 1);
    await see("failed");
    const revived = await x.step(failed, retry(failed, x.t + HOUR_MS + 2));
    await see("pending");
    const cancelled = await x.step(revived, cancel(revived, x.t + HOUR_MS + 3));
    await see("cancelled");
    const again = await x.step(cancelled, retry(cancelled, x.t + HOUR_MS + 4));
    const done = await x.settled(await x.start(again, { at: x.t + HOUR_MS + 5 }), DONE, x.t + HOUR_MS + 6);
    await see("done");
    await x.step(done, edit(done, { name: "new" }, x.t + HOUR_MS + 7));
    await see("done");
    await x.removed(id);
    expect(await x.store.typeCounts()).toEqual([]);
  });

  exam("a refused step does not change the counts", async (x) => {
    const task = await x.add({ key: "k" });
    await x.store.insert([{ drafts: [x.draft({ key: "k" })], idempotency: null }], x.t);
    const stale = { ...task, version: task.version + 1 };
    expect(await x.write(stale, cancel(stale, x.t))).toBe("stale");
    expect(await x.removed(task.id, 9)).toBe(false);
    await x.step(task, cancel(task, x.t));
    const cancelled = await x.see(task.id);
    await x.add({ key: "k" });
    expect(await x.write(cancelled, retry(cancelled, x.t))).toBe("key_taken");
    expect(await x.store.typeCounts()).toStrictEqual([
      { type: "simulate", counts: { ...NONE, pending: 1, cancelled: 1 }, oldestRunAt: x.t },
    ]);
  });

  exam("a heartbeat does not change the counts", async (x) => {
    const running = await x.run();
    await x.beat(running, x.t + 1, { progress: { percent: 1, message: "" } });
    await x.beat(running, x.t + 2);
    expect(await x.store.typeCounts()).toStrictEqual(await counted(x));
  });

  exam("the counts are correct after one call of each method with many tasks of many types", async (x) => {
    await x.addAll(
      Array.from({ length: 600 }, (_, n) => ({ type: `t${n % 7}`, priority: n % 3, runAt: x.t - n })),
    );
    expect(await x.store.typeCounts()).toStrictEqual(await counted(x));
    const asks = [["t0", "t1"], ["t*"], ["t5"]].map((types) => ({
      worker: "w",
      types,
      max: 100,
      leaseMs: 9_000,
    }));
    const running = (await x.store.claim(asks, { now: x.t, nonce: "n" })).flat();
    expect(await x.store.typeCounts()).toStrictEqual(await counted(x));
    const cancelled = running.slice(0, 50).map((from) => ({ from, to: cancel(from, x.t + 1) }));
    expect(await x.store.replace(cancelled)).toEqual(cancelled.map(() => "ok" as const));
    for (const [at, task] of running.slice(50, 80).entries())
      await x.settled(task, at % 2 === 0 ? DONE : FAILED);
    expect(await x.store.typeCounts()).toStrictEqual(await counted(x));
    await x.store.remove(idsOf(running.slice(40, 70)).map((id) => ({ id })));
    expect(await x.store.typeCounts()).toStrictEqual(await counted(x));
  });

  exam("restored tasks are counted", async (x) => {
    const made = [
      await x.ended("done", { type: "a" }),
      await x.ended("failed", { type: "a" }),
      await x.add({ type: "b" }),
    ];
    await x.store.remove(idsOf(made).map((id) => ({ id })));
    const records = made.map((task) => ({ task, log: [] }));
    await x.store.restore(records);
    await x.store.restore(records); // the tasks exist already, so they are not counted again
    expect(await x.store.typeCounts()).toStrictEqual([
      { type: "a", counts: { ...NONE, done: 1, failed: 1 }, oldestRunAt: null },
      { type: "b", counts: { ...NONE, pending: 1 }, oldestRunAt: x.t },
    ]);
  });

  exam("the earliest time is over all lanes of the type, due or not", async (x) => {
    await x.add({ priority: 5, runAt: x.t + 100 });
    await x.add({ priority: -5, runAt: x.t + 50 });
    await x.add({ priority: 0, runAt: x.t + 200 });
    const oldest = async () => only(await x.store.typeCounts()).oldestRunAt;
    expect(await oldest()).toBe(x.t + 50);
    await x.take(["*"], { at: x.t + 50 });
    expect(await oldest()).toBe(x.t + 100);
    await x.take(["*"], { at: x.t + HOUR_MS });
    expect(await oldest()).toBeNull();
  });

  exam("counts by status and type agree with lists", async (x) => {
    for (const type of ["a", "a.b", "b"]) {
      for (const status of ["done", "failed", "cancelled"] as const) await x.ended(status, { type });
      await x.add({ type });
    }
    const types = [undefined, [], ["a"], ["a*"], ["a*", "a"], ["*"], ["a.*", "b"], ["none"]];
    const statuses = [undefined, [], ["done"], ["pending", "failed"], STATUSES] as const;
    for (const filter of types.flatMap((t) =>
      statuses.map((s) => ({ ...(t && { types: t }), ...(s && { statuses: s }) })),
    )) {
      const listed = await walk(x.store, { filter, sort: "id", limit: 100 });
      expect({ filter, count: await x.store.count(filter) }).toEqual({ filter, count: listed.length });
    }
  });

  exam("no task is missed or counted twice when many write at the same time", async (x) => {
    const work = async (connection: typeof x.store, n: number) => {
      const type = `t${n % 3}`;
      const requests = Array.from({ length: 5 }, () => ({ drafts: [x.draft({ type })], idempotency: null }));
      await connection.insert(requests, x.t);
      const ask = { worker: `w${n}`, types: [type], max: 4, leaseMs: 9_000 };
      const running = (await connection.claim([ask], { now: x.t, nonce: `n${n}` })).flat();
      const half = running.slice(0, 2);
      await connection.replace(half.map((from) => ({ from, to: expire(from, x.t + HOUR_MS) })));
      await connection.remove(running.slice(3).map(({ id }) => ({ id })));
    };
    await Promise.all(Array.from({ length: 24 }, (_, n) => work(n % 2 === 0 ? x.store : x.peer, n)));
    expect(await x.store.typeCounts()).toStrictEqual(await counted(x));
  });
}
