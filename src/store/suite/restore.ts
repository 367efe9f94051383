import { expect } from "bun:test";
import { cancel, edit, retry } from "../../core/lifecycle.ts";
import { parseSearch } from "../../core/search.ts";
import type { LogLine, Task } from "../../core/task.ts";
import type { TaskRecord } from "../store.ts";
import { DONE, type Exam, type Examinee, HOUR_MS, idsOf, only, readTasks, soon, walk } from "./examinee.ts";

const LINES: readonly LogLine[] = [
  { n: 41, at: 1_000, level: "info", message: "line 41" },
  { n: 42, at: 2_000, level: "warn", message: "Ж 'quoted' \\" },
];

/** Tasks with a history in every status, as from another store: they are created here, read, and deleted again. */
async function othersTasks(x: Examinee): Promise<Task[]> {
  const running = await x.run({ key: "running", type: "job" });
  await x.beat(running, x.t + 1, { progress: { percent: 40, message: "Ж 'half' \\" } });
  const others = [
    running,
    await x.ended("done", { name: "finished" }),
    await x.ended("failed", { key: "failed" }),
    await x.ended("cancelled"),
    await x.settled(await x.run({ payload: "[1]" }), { kind: "done", result: '{"b":1,"a":"\\u0000"}' }),
  ];
  const made = [
    await x.add({ key: "pending", payload: '{"k":"Ключ"}', tags: ["a"], labels: { region: "eu" } }),
    ...others,
  ];
  const tasks = await Promise.all(made.map(({ id }) => x.see(id)));
  await x.store.remove(idsOf(made).map((id) => ({ id })));
  return tasks;
}

const records = (tasks: readonly Task[], log: readonly LogLine[] = []): TaskRecord[] =>
  tasks.map((task) => ({ task, log }));

/** The same tasks with ids that this store has not given yet. */
const elsewhere = (tasks: readonly Task[]): Task[] => tasks.map((task) => ({ ...task, id: task.id + 1_000 }));

export function examineRestore(exam: Exam): void {
  exam("tasks are restored unchanged, with their logs", async (x) => {
    const tasks = elsewhere(await othersTasks(x));
    expect(await x.store.restore(records(tasks, LINES))).toBe(tasks.length);
    expect(await x.store.get(idsOf(tasks))).toStrictEqual(tasks);
    for (const { id } of tasks) expect(await x.store.readLog(id, 0)).toEqual([...LINES]);
    expect(await x.store.count({})).toBe(tasks.length);
  });

  exam("restored tasks are claimed, extended, settled, found and listed like others", async (x) => {
    const [pending, running, done, failed] = elsewhere(await othersTasks(x));
    if (pending === undefined || running === undefined || done === undefined || failed === undefined)
      throw new Error("expected six tasks");
    await x.store.restore(records([pending, running, done, failed], LINES));
    const claimed = only(await x.take(["simulate"], { at: x.t + HOUR_MS, nonce: "n9" }));
    expect(claimed).toMatchObject({ id: pending.id, claims: pending.claims + 1 });
    const line = { level: "info", message: "next" } as const;
    const beat = { id: running.id, token: running.token ?? "", progress: null, log: [line] };
    expect(await x.store.extend([beat], x.t + 5)).toEqual(["ok"]);
    expect((await x.store.readLog(running.id, 42)).map(({ n }) => n)).toEqual([43]);
    await x.settled(claimed, DONE, x.t + HOUR_MS + 1);
    await x.step(failed, retry(failed, x.t + HOUR_MS));
    const found = await walk(x.store, { filter: { search: parseSearch("ключ") }, sort: "id", limit: 10 });
    expect(idsOf(found)).toEqual([pending.id]);
    const ended = await walk(x.store, { filter: { statuses: ["done"] }, sort: "finished_at", limit: 10 });
    expect(idsOf(ended)).toEqual([done.id, pending.id]);
    expect(await x.store.count({ expiredAt: x.t + 10 * HOUR_MS })).toBe(1);
  });

  exam("later ids are higher", async (x) => {
    const tasks = elsewhere(await othersTasks(x));
    await x.store.restore(records(tasks));
    const highest = Math.max(...idsOf(tasks));
    expect((await x.add()).id).toBe(highest + 1);
    await x.store.restore(records([{ ...(await x.see(highest)), id: 900, key: null }]));
    expect((await x.add()).id).toBe(highest + 2);
  });

  exam("a task that already exists is not changed, so that a copy can be continued", async (x) => {
    const tasks = elsewhere(await othersTasks(x));
    const [first] = tasks;
    if (first === undefined) throw new Error("expected six tasks");
    expect(await x.store.restore(records([first], LINES))).toBe(1);
    const edited = await x.step(first, edit(first, { name: "changed here" }, x.t + 1));
    expect(await x.store.restore(records(tasks, LINES))).toBe(tasks.length - 1);
    expect(await x.see(first.id)).toStrictEqual(edited);
    expect((await x.store.readLog(first.id, 0)).length).toBe(LINES.length);
  });

  exam("a task that was deleted here gets only the restored log lines", async (x) => {
    const running = await x.run();
    const log = ["old 1", "old 2"].map((message) => ({ level: "info", message }) as const);
    await x.beat(running, x.t + 1, { log });
    const task = await x.see(running.id);
    const lines = await x.store.readLog(task.id, 0);
    for (const kept of [lines.slice(1), []]) {
      await x.removed(task.id);
      expect(await x.store.restore(records([task], kept))).toBe(1);
      expect(await x.store.readLog(task.id, 0)).toEqual(kept);
    }
    expect(await x.see(task.id)).toStrictEqual(task);
  });

  exam("one call can restore hundreds of tasks with long logs and large texts", async (x) => {
    const [pending, , , , , done] = elsewhere(await othersTasks(x));
    if (pending === undefined || done === undefined) throw new Error("expected six tasks");
    const log = Array.from(
      { length: 100 },
      (_, n) => ({ n: n + 7, at: n, level: "info", message: `line ${n}` }) as const,
    );
    const large = JSON.stringify("ü".repeat(200_000));
    const many = Array.from({ length: 300 }, (_, n): TaskRecord => {
      const text = n % 30 === 0 ? large : null;
      const task = n % 2 === 0 ? { ...done, result: text } : { ...pending, key: `key ${n}`, payload: text };
      return { task: { ...task, id: 2_000 + n }, log: n % 3 === 0 ? log : [] };
    });
    expect(await x.store.restore(many)).toBe(many.length);
    const ids = many.map(({ task }) => task.id);
    expect(await readTasks(x.store, ids)).toStrictEqual(many.map(({ task }) => task));
    for (const { task, log } of many) expect(await x.store.readLog(task.id, 0)).toEqual([...log]);
  });

  exam("due tasks notify watchers of their types", async (x) => {
    const [pending] = elsewhere(await othersTasks(x));
    if (pending === undefined) throw new Error("expected six tasks");
    const notified = new Set<string>();
    const unwatch = x.store.watch((due) => {
      for (const type of due ?? ["due"]) notified.add(type);
    });
    await x.store.restore(records([{ ...pending, type: "due" }]));
    await soon("a notification", () => notified.has("due"));
    unwatch();
  });

  exam("nothing is restored if two live tasks of the call have one key", async (x) => {
    const [pending] = elsewhere(await othersTasks(x));
    if (pending === undefined) throw new Error("expected six tasks");
    const twins = records([pending, { ...pending, id: pending.id + 1 }]);
    const refused = await x.store.restore(twins).catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: "key_taken" });
    expect(await x.store.count({})).toBe(0);
  });

  exam("nothing is restored if a live task of this store has a key of the call", async (x) => {
    const [pending, running] = elsewhere(await othersTasks(x));
    if (pending === undefined || running === undefined) throw new Error("expected six tasks");
    const holder = await x.add({ key: "pending" });
    const refused = await x.store.restore(records([running, pending])).catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: "key_taken" });
    expect(await x.store.get([running.id, pending.id])).toEqual([null, null]);
    await x.step(holder, cancel(holder, x.t));
    expect(await x.store.restore(records([running, pending]))).toBe(2);
  });

  exam("each restored task is in the change log, in any order", async (x) => {
    const tasks = elsewhere(await othersTasks(x));
    const changes = await x.changesOf(() => x.store.restore(records(tasks)));
    const byId = changes.map(({ rev: _, ...change }) => change).toSorted((a, b) => a.id - b.id);
    expect(byId).toEqual(
      tasks
        .toSorted((a, b) => a.id - b.id)
        .map(({ id, version, status }) => ({ id, version, status, kind: "created" })),
    );
  });

  exam("a call without tasks restores nothing", async ({ store }) => {
    expect(await store.restore([])).toBe(0);
    expect(await store.count({})).toBe(0);
  });
}
