import { expect } from "bun:test";
import { cancel, edit, expire, retry } from "../../core/lifecycle.ts";
import type { TaskStore } from "../store.ts";
import { type Exam, type Examinee, FAILED, HOUR_MS, LEASE_MS, RELEASED, soon } from "./examinee.ts";

type Ring = readonly string[] | null;

/** Hears a store's rings. Who cannot tell what is due (null) may mean any type. */
function listen(store: Pick<TaskStore, "watch">) {
  const rings: Ring[] = [];
  const unwatch = store.watch((due) => rings.push(due));
  return {
    rings,
    unwatch,
    heard: () => soon("a ring", () => rings.length > 0),
    heardOf: (type: string) =>
      soon(`a ring for ${type}`, () => rings.some((due) => due?.includes(type) ?? true)),
  };
}

/** The deed makes a task of type `job` due, and whoever watches is told of it. */
async function expectDue(x: Examinee, deed: () => Promise<unknown>): Promise<void> {
  const ear = listen(x.store);
  await deed();
  await ear.heardOf("job");
  ear.unwatch();
}

/** The deed is a commit that rings, but none of its rings names the type of the task that was prepared. */
async function expectNothingDue<T>(
  x: Examinee,
  prepare: () => Promise<T>,
  deed: (prepared: T) => Promise<unknown>,
): Promise<void> {
  const ear = listen(x.store);
  const prepared = await prepare();
  await ear.heardOf("job");
  ear.rings.length = 0;
  await deed(prepared);
  await ear.heard();
  await x.add({ type: "marker" });
  await ear.heardOf("marker"); // whatever the deed has rung has come by now
  expect(ear.rings.filter((due) => due?.includes("job"))).toEqual([]);
  ear.unwatch();
}

export function examineWatch(exam: Exam): void {
  exam("a new due task rings with its type", async (x) => {
    await expectDue(x, () => x.add({ type: "job" }));
  });

  exam("a commit rings with all types that it makes due", async (x) => {
    const ear = listen(x.store);
    await x.addAll(["a", "b", "a", "c"].map((type) => ({ type })));
    for (const type of ["a", "b", "c"]) await ear.heardOf(type);
  });

  exam("a released task rings with its type", async (x) => {
    const running = await x.run({ type: "job" });
    await expectDue(x, () => x.settled(running, RELEASED));
  });

  exam("a failed attempt that may be repeated at once rings with its type", async (x) => {
    const running = await x.run({ type: "job" });
    await expectDue(x, () => x.settled(running, { ...FAILED, retryable: true, retryAfterMs: 0 }));
  });

  exam("a lost task that waits again rings with its type", async (x) => {
    const running = await x.run({ type: "job" });
    await expectDue(x, () => x.step(running, expire(running, x.t + LEASE_MS)));
  });

  exam("a retried task rings with its type", async (x) => {
    const task = await x.ended("failed", { type: "job" });
    await expectDue(x, () => x.step(task, retry(task, x.t + 2_000)));
  });

  exam("an edit that brings a task forward rings with its type", async (x) => {
    const task = await x.add({ type: "job", runAt: x.t + HOUR_MS });
    await expectDue(x, () => x.step(task, edit(task, { runAt: x.t }, x.t)));
  });

  const add = (x: Examinee) => () => x.add({ type: "job" });
  const run = (x: Examinee) => () => x.run({ type: "job" });

  exam("a claim rings and makes nothing due", async (x) => {
    await expectNothingDue(x, add(x), (task) => x.start(task));
  });

  exam("an end rings and makes nothing due", async (x) => {
    await expectNothingDue(x, run(x), (task) => x.settled(task, FAILED));
  });

  exam("a cancel rings and makes nothing due", async (x) => {
    await expectNothingDue(x, add(x), (task) => x.step(task, cancel(task, x.t)));
  });

  exam("a cancel request rings and makes nothing due", async (x) => {
    await expectNothingDue(x, run(x), (task) => x.step(task, cancel(task, x.t)));
  });

  exam("a deletion rings and makes nothing due", async (x) => {
    await expectNothingDue(x, add(x), (task) => x.removed(task.id));
  });

  exam("progress rings and makes nothing due", async (x) => {
    const progress = { percent: 1, message: "" };
    await expectNothingDue(x, run(x), (task) => x.beat(task, x.t + 1, { progress }));
  });

  exam("all who watch are told", async (x) => {
    const ears = [listen(x.store), listen(x.store), listen(x.store)];
    await x.add({ type: "job" });
    for (const ear of ears) await ear.heardOf("job");
  });

  exam("who comes through another door is told as well", async (x) => {
    const ear = listen(x.peer);
    await x.add({ type: "job" });
    await ear.heardOf("job");
  });

  exam("who has stopped watching is told nothing more, the others are", async (x) => {
    const [gone, there] = [listen(x.store), listen(x.store)];
    gone.unwatch();
    gone.rings.length = 0;
    await x.add({ type: "job" });
    await there.heardOf("job");
    expect(gone.rings).toEqual([]);
  });

  exam("to stop watching twice is to stop once", async (x) => {
    const [gone, there] = [listen(x.store), listen(x.store)];
    gone.unwatch();
    gone.unwatch();
    await x.add({ type: "job" });
    await there.heardOf("job");
  });

  exam("who stops in the middle of a ring keeps nobody else from it", async (x) => {
    let count = 0;
    const unwatch = x.store.watch(() => {
      count++;
      unwatch();
    });
    const there = listen(x.store);
    await x.add({ type: "first" });
    await there.heardOf("first");
    await x.add({ type: "second" });
    await there.heardOf("second");
    expect(count).toBeLessThanOrEqual(1);
  });

  exam("who is rung reads in the change log why", async (x) => {
    const from = await x.end();
    const seen: number[] = [];
    const readings: Promise<void>[] = [];
    let position = from;
    const read = async (): Promise<void> => {
      const page = await x.store.changes(position, 100);
      if (page.kind === "changes") seen.push(...page.changes.map(({ id }) => id));
      position = page.position;
    };
    const unwatch = x.store.watch(() => readings.push(read()));
    const { id } = await x.add();
    await soon("the change behind the ring", () => seen.includes(id));
    unwatch();
    await Promise.all(readings);
  });
}
