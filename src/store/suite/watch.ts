import { expect } from "bun:test";
import { cancel, edit, expire, retry } from "../../core/lifecycle.ts";
import type { TaskStore } from "../store.ts";
import { type Exam, type Examinee, FAILED, HOUR_MS, LEASE_MS, RELEASED, soon } from "./examinee.ts";

type Due = readonly string[] | null;

/** Collects a store's notifications. A null, for unknown types, may mean any type. */
function listen(store: Pick<TaskStore, "watch">) {
  const notified: Due[] = [];
  const unwatch = store.watch((due) => notified.push(due));
  return {
    notified,
    unwatch,
    notifiedAtAll: () => soon("a notification", () => notified.length > 0),
    notifiedOf: (type: string) =>
      soon(`a notification of ${type}`, () => notified.some((due) => due?.includes(type) ?? true)),
  };
}

/** The write makes a task of type `job` due, and watchers are notified of that type. */
async function expectDue(x: Examinee, write: () => Promise<unknown>): Promise<void> {
  const watcher = listen(x.store);
  await write();
  await watcher.notifiedOf("job");
  watcher.unwatch();
}

/** The write notifies watchers, but with none of the types of the prepared task. */
async function expectNothingDue<T>(
  x: Examinee,
  prepare: () => Promise<T>,
  write: (prepared: T) => Promise<unknown>,
): Promise<void> {
  const watcher = listen(x.store);
  const prepared = await prepare();
  await watcher.notifiedOf("job");
  watcher.notified.length = 0;
  await write(prepared);
  await watcher.notifiedAtAll();
  await x.add({ type: "marker" });
  await watcher.notifiedOf("marker"); // every notification of the write has arrived by now
  expect(watcher.notified.filter((due) => due?.includes("job"))).toEqual([]);
  watcher.unwatch();
}

export function examineWatch(exam: Exam): void {
  exam("a new due task notifies watchers of its type", async (x) => {
    await expectDue(x, () => x.add({ type: "job" }));
  });

  exam("a commit notifies watchers of all types that it makes due", async (x) => {
    const watcher = listen(x.store);
    await x.addAll(["a", "b", "a", "c"].map((type) => ({ type })));
    for (const type of ["a", "b", "c"]) await watcher.notifiedOf(type);
  });

  exam("a released task notifies watchers of its type", async (x) => {
    const running = await x.run({ type: "job" });
    await expectDue(x, () => x.settled(running, RELEASED));
  });

  exam("a failed attempt that may be repeated at once notifies watchers of its type", async (x) => {
    const running = await x.run({ type: "job" });
    await expectDue(x, () => x.settled(running, { ...FAILED, retryable: true, retryAfterMs: 0 }));
  });

  exam("a lost task that is pending again notifies watchers of its type", async (x) => {
    const running = await x.run({ type: "job" });
    await expectDue(x, () => x.step(running, expire(running, x.t + LEASE_MS)));
  });

  exam("a retried task notifies watchers of its type", async (x) => {
    const task = await x.ended("failed", { type: "job" });
    await expectDue(x, () => x.step(task, retry(task, x.t + 2_000)));
  });

  exam("an edit that makes a task due notifies watchers of its type", async (x) => {
    const task = await x.add({ type: "job", runAt: x.t + HOUR_MS });
    await expectDue(x, () => x.step(task, edit(task, { runAt: x.t }, x.t)));
  });

  const add = (x: Examinee) => () => x.add({ type: "job" });
  const run = (x: Examinee) => () => x.run({ type: "job" });

  exam("a claim notifies watchers and makes no task due", async (x) => {
    await expectNothingDue(x, add(x), (task) => x.start(task));
  });

  exam("an end notifies watchers and makes no task due", async (x) => {
    await expectNothingDue(x, run(x), (task) => x.settled(task, FAILED));
  });

  exam("a cancel notifies watchers and makes no task due", async (x) => {
    await expectNothingDue(x, add(x), (task) => x.step(task, cancel(task, x.t)));
  });

  exam("a cancel request notifies watchers and makes no task due", async (x) => {
    await expectNothingDue(x, run(x), (task) => x.step(task, cancel(task, x.t)));
  });

  exam("a deletion notifies watchers and makes no task due", async (x) => {
    await expectNothingDue(x, add(x), (task) => x.removed(task.id));
  });

  exam("progress notifies watchers and makes no task due", async (x) => {
    const progress = { percent: 1, message: "" };
    await expectNothingDue(x, run(x), (task) => x.beat(task, x.t + 1, { progress }));
  });

  exam("all watchers are notified", async (x) => {
    const watchers = [listen(x.store), listen(x.store), listen(x.store)];
    await x.add({ type: "job" });
    for (const watcher of watchers) await watcher.notifiedOf("job");
  });

  exam("a watcher of another process is notified as well", async (x) => {
    const watcher = listen(x.peer);
    await x.add({ type: "job" });
    await watcher.notifiedOf("job");
  });

  exam("a watcher that has stopped is no longer notified, the others are", async (x) => {
    const [gone, there] = [listen(x.store), listen(x.store)];
    gone.unwatch();
    gone.notified.length = 0;
    await x.add({ type: "job" });
    await there.notifiedOf("job");
    expect(gone.notified).toEqual([]);
  });

  exam("a second stop of a watcher has no effect", async (x) => {
    const [gone, there] = [listen(x.store), listen(x.store)];
    gone.unwatch();
    gone.unwatch();
    await x.add({ type: "job" });
    await there.notifiedOf("job");
  });

  exam(
    "a watcher that stops during a notification does not prevent the notification of others",
    async (x) => {
      let count = 0;
      const unwatch = x.store.watch(() => {
        count++;
        unwatch();
      });
      const there = listen(x.store);
      await x.add({ type: "first" });
      await there.notifiedOf("first");
      await x.add({ type: "second" });
      await there.notifiedOf("second");
      expect(count).toBeLessThanOrEqual(1);
    },
  );

  exam("a notified watcher finds the change in the change log", async (x) => {
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
    await soon("the change of the notification", () => seen.includes(id));
    unwatch();
    await Promise.all(readings);
  });
}
