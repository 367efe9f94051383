import { expect } from "bun:test";
import { cutTo, lightOf } from "../../../test/support/parts.ts";
import { cancel, expire, retry, settle } from "../../core/lifecycle.ts";
import type { LightTask, Parts, Task, TaskHead, TaskId } from "../../core/task.ts";
import { ANSWER_BYTES, ANSWER_LEAST_BYTES } from "../../core/text-size.ts";
import type { Cursor, Sort, TaskFilter, TaskPage } from "../store.ts";
import {
  ascending,
  asRunning,
  DONE,
  type Exam,
  type Examinee,
  FAILED,
  idsOf,
  LEASE_MS,
  only,
  RELEASED,
} from "./examinee.ts";

const MIB = 1_048_576;
const largePayload = JSON.stringify("x".repeat(MIB));

/** Tasks in every status, with and without long texts. */
async function variety(x: Examinee): Promise<Task[]> {
  const payload = '{"word":"needle"}';
  const done = await x.settled(await x.run({ payload, tags: ["a"] }), { kind: "done", result: '{"r":1}' });
  const failed = await x.ended("failed", { type: "b", payload });
  const cancelled = await x.ended("cancelled", { key: "k" });
  const running = await x.run({ type: "c", payload, tags: ["a", "b"], priority: 7 });
  await x.beat(running, x.t + 1, { progress: { percent: 40, message: "m" } });
  const pending = await x.add({ description: "d", payload: "[1]" });
  return [done, failed, cancelled, await x.see(running.id), pending];
}

type PageOf<P extends Parts> = TaskPage<
  { readonly whole: Task; readonly light: LightTask; readonly head: TaskHead }[P]
>;

/** The tasks of all pages, page by page. */
async function pages<P extends Parts>(
  { store }: Examinee,
  query: { readonly parts: P; readonly sort?: Sort; readonly filter?: TaskFilter; readonly limit?: number },
): Promise<readonly PageOf<P>["tasks"][]> {
  const found: PageOf<P>["tasks"][] = [];
  let after: Cursor | null = null;
  do {
    const page: PageOf<P> = await store.list({ filter: {}, sort: "id", limit: 1_000, ...query, after });
    found.push(page.tasks);
    after = page.next;
  } while (after !== null);
  return found;
}

export function examineParts(exam: Exam): void {
  // ---- which parts

  exam("a read of light tasks or heads returns those parts of the same tasks", async (x) => {
    const tasks = await variety(x);
    const ids = [...idsOf(tasks), 99, idsOf(tasks)[0] ?? 0];
    for (const parts of ["light", "head"] as const) {
      const expected = [...tasks.map((task) => cutTo(parts, task)), null, cutTo(parts, tasks[0] as Task)];
      const got = await x.store.get(ids, parts);
      expect(got.map((task) => (task === null ? null : cutTo(parts, task)))).toStrictEqual(expected);
      const listed = await x.store.list({ filter: {}, sort: "id", after: null, limit: 100, parts });
      expect(listed.tasks.map((task) => cutTo(parts, task))).toStrictEqual(
        expected.slice(0, tasks.length) as TaskHead[],
      );
    }
    expect(await x.store.get(ids, "whole")).toStrictEqual([...tasks, null, tasks[0] as Task]);
    expect(
      (await x.store.list({ filter: {}, sort: "id", after: null, limit: 100, parts: "whole" })).tasks,
    ).toStrictEqual(tasks);
  });

  exam("a filter finds the same tasks for all requested parts", async (x) => {
    await variety(x);
    const filters: TaskFilter[] = [
      { tags: ["a"] },
      { types: ["simul*", "b"] },
      { search: { words: ["needle"], fields: [] } },
      { search: { words: [], fields: [{ path: ["word"], text: "need" }] } },
      { finishedBefore: x.t + 5_000 },
      { expiredAt: x.t + 10 * LEASE_MS },
      { statuses: ["done", "running"], tags: ["a"] },
    ];
    for (const filter of filters) {
      for (const sort of ["id", "-id", "finished_at", "-finished_at"] as const) {
        const [whole, light, head] = await Promise.all([
          pages(x, { parts: "whole", filter, sort, limit: 2 }),
          pages(x, { parts: "light", filter, sort, limit: 2 }),
          pages(x, { parts: "head", filter, sort, limit: 2 }),
        ]);
        const ids = idsOf(whole.flat());
        expect({ filter, sort, light: idsOf(light.flat()), head: idsOf(head.flat()) }).toEqual({
          ...{ filter, sort, light: ids, head: ids },
        });
      }
    }
  });

  // ---- the size of an answer

  exam("a read of many tasks ends at about 8 MiB, and a second read returns the rest", async (x) => {
    await x.addAll(Array.from({ length: 12 }, () => ({ payload: largePayload })));
    await x.removed(3);
    const ids = Array.from({ length: 14 }, (_, n) => n + 1);
    const found: (TaskId | null)[] = [];
    while (found.length < ids.length) {
      const tasks = await x.store.get(ids.slice(found.length));
      expect(tasks.length).toBeGreaterThan(0);
      expect(tasks.filter((task) => task !== null).length).toBeLessThanOrEqual(ANSWER_BYTES / MIB + 1);
      for (const task of tasks) {
        if (task !== null) expect(task.payload).toBe(largePayload);
        found.push(task?.id ?? null);
      }
    }
    expect(found).toEqual(ids.map((id) => (id === 3 || id > 12 ? null : id)));
  });

  exam("a page ends at about 8 MiB, and all pages together have every task once", async (x) => {
    // Ten is the lowest number that needs two pages; each read of all pages moves a megabyte a task.
    await x.addAll(
      Array.from({ length: 11 }, (_, n) => ({ payload: largePayload, tags: n === 5 ? [] : ["most"] })),
    );
    for (const { id } of (await pages(x, { parts: "light" })).flat().slice(0, 10)) {
      const task = await x.see(id);
      await x.step(task, cancel(task, x.t + id));
    }
    const walks = [
      { sort: "id", filter: {}, count: 11 },
      { sort: "-id", filter: {}, count: 11 },
      { sort: "id", filter: { tags: ["most"] }, count: 10 },
      { sort: "finished_at", filter: {}, count: 10 },
      { sort: "-finished_at", filter: {}, count: 10 },
      { sort: "id", filter: { search: { words: ["xxx"], fields: [] } }, count: 11 },
    ] as const;
    for (const { sort, filter, count } of walks) {
      const found = await pages(x, { parts: "whole", sort, filter });
      for (const page of found) expect(page.length).toBeLessThanOrEqual(ANSWER_BYTES / MIB + 1);
      expect(found.length).toBeGreaterThan(1);
      expect(new Set(idsOf(found.flat())).size).toBe(count);
      expect(found.flat().length).toBe(count);
      for (const { payload } of found.flat()) expect(payload).toBe(largePayload);
    }
  });

  exam("a task of any size is read and listed", async (x) => {
    const payload = JSON.stringify("x".repeat(ANSWER_BYTES + 1));
    await x.addAll([{ payload }, { payload }, {}]);
    expect((await x.store.get([1, 2, 3])).map((task) => task?.payload)).toEqual([payload]);
    expect((await pages(x, { parts: "whole" })).flat().map((task) => task.payload)).toEqual([
      payload,
      payload,
      null,
    ]);
  });

  exam("payloads do not shorten an answer that does not contain them", async (x) => {
    const payload = JSON.stringify("x".repeat(MIB / 2));
    await x.addAll(Array.from({ length: 30 }, () => ({ payload })));
    const ids = Array.from({ length: 30 }, (_, n) => n + 1);
    for (const parts of ["light", "head"] as const) {
      expect((await x.store.get(ids, parts)).length).toBe(30);
      expect((await pages(x, { parts, limit: 30 })).map(({ length }) => length)).toEqual([30]);
    }
  });

  exam("tasks with fewer characters than the lowest bound of an answer are read together", async (x) => {
    const count = 100;
    const payload = JSON.stringify("x".repeat(ANSWER_LEAST_BYTES / count - 2_000));
    await x.addAll(Array.from({ length: count }, () => ({ payload })));
    expect((await x.store.get(Array.from({ length: count }, (_, n) => n + 1))).length).toBe(count);
  });

  // ---- steps of light tasks

  /** A step of a light task must store the same task as the rule gives for the whole task. */
  const stepsAlike = async (x: Examinee, task: Task, rule: (task: LightTask) => LightTask): Promise<Task> => {
    const light = lightOf(task);
    expect(await x.store.replace([{ from: light, to: rule(light) }])).toEqual(["ok"]);
    const expected = rule(task) as Task; // the rule returns a whole task for a whole task
    expect(await x.see(task.id)).toStrictEqual(expected);
    return expected;
  };

  exam("a step of a light task does not change payload and result", async (x) => {
    const payload = '{"k":"needle"}';
    const lost = await x.run({ payload });
    await stepsAlike(x, lost, (task) => expire(task, x.t + LEASE_MS));
    const asked = await x.run({ payload, type: "asked" });
    const stopping = await stepsAlike(x, asked, (task) => cancel(task, x.t + 1));
    await stepsAlike(x, stopping, (task) => expire(task, x.t + 2 * LEASE_MS));
    await stepsAlike(x, await x.add({ payload }), (task) => cancel(task, x.t + 1));
    for (const [n, outcome] of [FAILED, { ...FAILED, retryable: true }, RELEASED].entries()) {
      const running = await x.run({ payload, type: `t${n}`, maxAttempts: 3 });
      await stepsAlike(x, running, (task) => settle(task, { token: running.token, outcome }, x.t + 5, 0.5));
    }
    expect(await x.store.count({ search: { words: ["needle"], fields: [] } })).toBe(6);
  });

  exam("a step of a light task writes the result that it sets, or clears", async (x) => {
    const running = await x.run({ payload: "[1]" });
    const outcome = { kind: "done", result: '{"r":1}' } as const;
    const done = await stepsAlike(x, running, (task) =>
      settle(task, { token: running.token, outcome }, x.t + 5, 0.5),
    );
    expect(done.result).toBe('{"r":1}');
    const again = await stepsAlike(x, done, (task) => retry(task, x.t + 6));
    expect(again).toMatchObject({ payload: "[1]", result: null });
    const second = asRunning(await x.start(again, { at: x.t + 6 }));
    await stepsAlike(x, second, (task) => settle(task, { token: second.token, outcome: DONE }, x.t + 7, 0.5));
  });

  exam("a call may have steps of light and of whole tasks", async (x) => {
    const payload = "[1]";
    const tasks = await x.addAll(Array.from({ length: 6 }, () => ({ payload })));
    const steps = tasks.map((task, n) => {
      const from = n % 2 === 0 ? lightOf(task) : task;
      return { from, to: cancel(from, x.t + 1) };
    });
    expect(await x.store.replace(steps)).toEqual(steps.map(() => "ok" as const));
    expect(await x.store.get(idsOf(tasks))).toStrictEqual(tasks.map((task) => cancel(task, x.t + 1)));
  });

  exam("after a step of a light task later claims still count its size", async (x) => {
    await x.addAll(Array.from({ length: 12 }, () => ({ payload: largePayload })));
    const given: TaskId[] = [];
    while (given.length < 12) {
      const claimed = await x.take(["*"]);
      for (const task of claimed) {
        const light = lightOf(task) as LightTask;
        const to = settle(
          light,
          { token: task.token, outcome: { kind: "released", delayMs: 1_000 } },
          x.t,
          0,
        );
        expect(await x.store.replace([{ from: light, to }])).toEqual(["ok"]);
      }
      given.push(...idsOf(claimed));
    }
    expect(ascending(given)).toEqual(Array.from({ length: 12 }, (_, n) => n + 1));
    const page = await x.store.list({ filter: {}, sort: "id", after: null, limit: 1_000 });
    expect(page.tasks.length).toBeLessThanOrEqual(ANSWER_BYTES / MIB + 1);
    expect(only((await x.store.get([12])).filter((task) => task !== null)).payload).toBe(largePayload);
  });
}
