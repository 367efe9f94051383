import { expect } from "bun:test";
import { cancel, edit } from "../../core/lifecycle.ts";
import { claimOrder, type PendingTask, type TaskId } from "../../core/task.ts";
import { type Exam, type Examinee, HOUR_MS, nth } from "./examinee.ts";

const MOST = 1_000;

const positionOf = (x: Examinee, id: TaskId, at = x.t, atMost = MOST) => x.store.positionOf(id, at, atMost);

/** Tasks of other types are never before one of this type. */
const SPECS = [
  { priority: 0 },
  { priority: 1 },
  { priority: 0, runAt: -10 },
  { priority: -1, runAt: -20 },
  { priority: 1, runAt: -5 },
  { priority: 2, runAt: 50 },
  { priority: 0 },
  { priority: 0, runAt: 40 },
  { priority: 0, runAt: -10 },
  { priority: 0, type: "simulate.b" },
  { priority: 5, type: "b" },
];

const addSome = (x: Examinee): Promise<PendingTask[]> =>
  x.addAll(SPECS.map((spec) => ({ ...spec, runAt: x.t + (spec.runAt ?? 0) })));

export function examinePositionOf(exam: Exam): void {
  for (const [when, later] of Object.entries({ now: 0, between: 45, later: 100 })) {
    exam(`due tasks before the task are counted (${when})`, async (x) => {
      const tasks = await addSome(x);
      const at = x.t + later;
      for (const task of tasks) {
        const before = tasks.filter(
          (other) => other.type === task.type && other.runAt <= at && claimOrder(other, task) < 0,
        );
        expect({ task: task.id, position: await positionOf(x, task.id, at) }).toEqual({
          task: task.id,
          position: before.length,
        });
      }
    });
  }

  exam("the position is the number of tasks that are claimed before the task", async (x) => {
    const tasks = await addSome(x);
    const of = tasks.filter(({ type, runAt }) => type === "simulate" && runAt <= x.t).toSorted(claimOrder);
    for (const [place, { id }] of of.entries()) expect(await positionOf(x, id)).toBe(place);
    await x.take(["simulate"], { max: 2 });
    for (const [place, { id }] of of.slice(2).entries()) expect(await positionOf(x, id)).toBe(place);
  });

  exam("the position is at most the requested limit", async (x) => {
    const tasks = await x.addAll(Array.from({ length: 30 }, (_, n) => ({ priority: n % 3 })));
    const last = tasks.toSorted(claimOrder).at(-1)?.id ?? 0;
    expect(await positionOf(x, last)).toBe(29);
    for (const atMost of [0, 1, 9, 10, 11, 20, 28, 29, 30]) {
      expect(await positionOf(x, last, x.t, atMost)).toBe(Math.min(atMost, 29));
    }
  });

  exam("a thousand tasks in many lanes are counted exactly", async (x) => {
    const tasks = await x.addAll(
      Array.from({ length: 1_050 }, (_, n) => ({ priority: n % 50, runAt: x.t - (n % 7) })),
    );
    const inOrder = tasks.toSorted(claimOrder);
    for (const place of [0, 1, 20, 21, 500, 999, 1_000, 1_049]) {
      expect(await positionOf(x, nth(inOrder, place).id)).toBe(Math.min(place, MOST));
    }
  });

  exam("a task that is not pending has no position", async (x) => {
    await x.add({ priority: 3 });
    const done = await x.ended("done", { type: "a" });
    const running = await x.run({ type: "b" });
    const cancelled = await x.ended("cancelled");
    for (const { id } of [done, running, cancelled]) expect(await positionOf(x, id)).toBeNull();
    expect(await positionOf(x, 4_711)).toBeNull();
    expect(await positionOf(x, Number.MAX_SAFE_INTEGER)).toBeNull();
  });

  exam("the position changes when tasks are edited, cancelled and deleted", async (x) => {
    const [first, second, third] = (await x.addAll([{}, {}, {}])) as [PendingTask, PendingTask, PendingTask]; // one task for each draft
    expect(await positionOf(x, third.id)).toBe(2);
    const later = await x.step(first, edit(first, { runAt: x.t + HOUR_MS }, x.t));
    expect(await positionOf(x, third.id)).toBe(1);
    expect(await positionOf(x, third.id, x.t + HOUR_MS)).toBe(1);
    expect(await positionOf(x, first.id, x.t)).toBe(2);
    await x.step(later, edit(later, { priority: 1 }, x.t));
    expect(await positionOf(x, third.id, x.t + HOUR_MS)).toBe(2);
    await x.step(second, cancel(second, x.t));
    expect(await positionOf(x, third.id)).toBe(0);
    await x.removed(first.id);
    expect(await positionOf(x, third.id, x.t + HOUR_MS)).toBe(0);
  });
}
