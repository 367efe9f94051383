import { expect } from "bun:test";
import { cancel, edit, expire, extend, retry, settle } from "../../core/lifecycle.ts";
import { ENDED_STATUSES, type RunningTask } from "../../core/task.ts";
import { DONE, type Exam, FAILED, idsOf, LEASE_MS, nth, only, RELEASED } from "./examinee.ts";

const rename = (name: string) => ({ name });

const finish = (task: RunningTask, at: number) => settle(task, { token: task.token, outcome: DONE }, at, 0);

export function examineReplace(exam: Exam): void {
  exam("a step from the stored version is written completely", async ({ add, write, see, t }) => {
    const task = await add();
    const edited = edit(task, { name: "new", tags: ["x"] }, t + 1);
    expect(await write(task, edited)).toBe("ok");
    expect(await see(task.id)).toStrictEqual(edited);
  });

  exam("a step from an older version is stale and changes nothing", async ({ add, step, write, see, t }) => {
    const task = await add();
    const edited = await step(task, edit(task, rename("first"), t + 1));
    expect(await write(task, edit(task, rename("second"), t + 2))).toBe("stale");
    expect(await see(task.id)).toStrictEqual(edited);
  });

  exam("a step from a version that does not exist yet is stale", async ({ add, write, see, t }) => {
    const task = await add();
    const ahead = edit(task, rename("first"), t + 1);
    expect(await write(ahead, edit(ahead, rename("second"), t + 2))).toBe("stale");
    expect(await see(task.id)).toStrictEqual(task);
  });

  exam("a stale step is written after another read", async ({ add, step, see, t }) => {
    const task = await add();
    await step(task, edit(task, rename("first"), t + 1));
    const current = await see(task.id);
    const second = await step(current, edit(current, rename("second"), t + 2));
    expect(await see(task.id)).toStrictEqual(second);
  });

  exam("a step that has been written is stale when it is repeated", async ({ add, step, write, t }) => {
    const task = await add();
    const edited = await step(task, edit(task, rename("new"), t + 1));
    expect(await write(task, edited)).toBe("stale");
  });

  exam("a step that was made before a claim is stale", async ({ add, start, write, see, t }) => {
    const task = await add();
    const running = await start(task);
    expect(await write(task, cancel(task, t + 1))).toBe("stale");
    expect(await see(task.id)).toStrictEqual(running);
  });

  exam(
    "a step that was made before a heartbeat is stale, although the version is the same",
    async ({ run, beat, write, see, t }) => {
      const running = await run();
      await beat(running, t + 1);
      expect(await write(running, expire(running, t + LEASE_MS))).toBe("stale");
      const extended = extend(running, { token: running.token, progress: null }, t + 1);
      expect(await see(running.id)).toStrictEqual(extended);
    },
  );

  exam(
    "a step that was made after a heartbeat is written and keeps the progress",
    async ({ run, beat, step, see, t }) => {
      const running = await run();
      const progress = { percent: 50, message: "half" };
      await beat(running, t + 1, { progress });
      const extended = extend(running, { token: running.token, progress }, t + 1);
      const asked = await step(extended, cancel(extended, t + 2));
      expect(await see(running.id)).toStrictEqual(asked);
    },
  );

  exam("an edit of a running task does not end its lease", async ({ run, beat, step, see, t }) => {
    const running = await run();
    const edited = await step(running, edit(running, rename("new"), t + 1));
    expect(await beat(running, t + 2)).toBe("ok");
    expect(await see(running.id)).toStrictEqual(
      extend(edited, { token: running.token, progress: null }, t + 2),
    );
  });

  exam(
    "a step of a deleted task and of one that never existed is stale",
    async ({ add, removed, write, store, t }) => {
      const task = await add();
      await removed(task.id);
      expect(await write(task, edit(task, rename("new"), t + 1))).toBe("stale");
      const unknown = { ...task, id: 999 };
      expect(await write(unknown, edit(unknown, rename("new"), t + 1))).toBe("stale");
      expect(await store.get([task.id, 999])).toEqual([null, null]);
    },
  );

  exam("each step of a call is carried out on its own and answered in its place", async (x) => {
    const tasks = await x.addAll([{}, {}, {}, {}, {}]);
    await x.step(nth(tasks, 1), edit(nth(tasks, 1), rename("moved"), x.t));
    await x.removed(nth(tasks, 3).id);
    const steps = tasks
      .toReversed()
      .map((from) => ({ from, to: edit(from, rename(`new ${from.id}`), x.t + 1) }));
    expect(await x.store.replace(steps)).toEqual(["ok", "stale", "ok", "stale", "ok"]);
    const names = (await x.store.get(idsOf(tasks))).map((task) => task?.name ?? null);
    expect(names).toEqual(["new 1", "moved", "new 3", null, "new 5"]);
  });

  exam("a call without steps has no answers", async ({ store }) => {
    expect(await store.replace([])).toEqual([]);
  });

  exam("one call can have hundreds of different steps", async (x) => {
    await x.addAll(Array.from({ length: 400 }, (_, n) => ({ payload: `${n}` })));
    const running = await x.take(["*"]);
    const steps = running.map((from, n) => {
      const said = { token: from.token, outcome: nth([DONE, FAILED, RELEASED], n % 3) };
      return { from, to: n % 4 === 3 ? cancel(from, x.t + 1) : settle(from, said, x.t + 1, 0) };
    });
    expect(await x.store.replace(steps)).toEqual(steps.map(() => "ok"));
    expect(await x.store.get(idsOf(running))).toEqual(steps.map(({ to }) => to));
  });

  exam("a repeated settle finds the state after the first", async ({ run, step, see, t }) => {
    const running = await run();
    const done = await step(running, finish(running, t + 1));
    const again = settle(await see(running.id), { token: running.token, outcome: DONE }, t + 2, 0);
    expect(again).toStrictEqual(done);
  });

  // ---- keys

  for (const status of ENDED_STATUSES) {
    exam(`a ${status} task is not retried while a live task has its key`, async (x) => {
      const ended = await x.ended(status, { key: "k" });
      await x.add({ key: "k" });
      expect(await x.write(ended, retry(ended, x.t + 2_000))).toBe("key_taken");
      expect(await x.see(ended.id)).toStrictEqual(ended);
    });
  }

  exam("a retry is also refused while a running task has the key", async (x) => {
    const ended = await x.ended("failed", { key: "k" });
    await x.run({ key: "k" });
    expect(await x.write(ended, retry(ended, x.t + 2_000))).toBe("key_taken");
  });

  exam("a refused retry succeeds after the task with the key has ended", async (x) => {
    const ended = await x.ended("failed", { key: "k" });
    const holder = await x.run({ key: "k" });
    expect(await x.write(ended, retry(ended, x.t))).toBe("key_taken");
    await x.settled(holder, DONE);
    expect(await x.write(ended, retry(ended, x.t + 2_000))).toBe("ok");
  });

  exam("a refused retry succeeds after the task with the key was deleted", async (x) => {
    const ended = await x.ended("failed", { key: "k" });
    const holder = await x.add({ key: "k" });
    expect(await x.write(ended, retry(ended, x.t))).toBe("key_taken");
    await x.removed(holder.id);
    expect(await x.write(ended, retry(ended, x.t))).toBe("ok");
  });

  exam("live tasks with other keys or without a key do not prevent a retry", async (x) => {
    const withKey = await x.ended("failed", { key: "k" });
    const without = await x.ended("failed");
    await x.addAll([{ key: "K" }, { key: "k2" }, {}]);
    expect(await x.write(withKey, retry(withKey, x.t))).toBe("ok");
    expect(await x.write(without, retry(without, x.t))).toBe("ok");
  });

  exam("of two retries with one key in a call one succeeds", async (x) => {
    const a = await x.ended("failed", { key: "k" });
    const b = await x.ended("done", { key: "k" });
    const steps = [a, b].map((from) => ({ from, to: retry(from, x.t + 2_000) }));
    const answers = await x.store.replace(steps);
    expect(answers.toSorted()).toEqual(["key_taken", "ok"]);
    expect(await x.store.count({ statuses: ["pending"] })).toBe(1);
  });

  exam(
    "steps are carried out in their order: a later step may take a key that an earlier one frees",
    async (x) => {
      const ended = await x.ended("failed", { key: "k" });
      const holder = await x.run({ key: "k" });
      const revive = { from: ended, to: retry(ended, x.t + 2_000) };
      const free = { from: holder, to: finish(holder, x.t + 2_000) };
      expect(await x.store.replace([revive, free])).toEqual(["key_taken", "ok"]);
      const next = await x.run({ key: "k" });
      expect(await x.store.replace([{ from: next, to: finish(next, x.t + 2_000) }, revive])).toEqual([
        "ok",
        "ok",
      ]);
    },
  );

  exam("the key of a task does not prevent steps of the same task", async (x) => {
    const running = await x.run({ key: "k" });
    const waiting = await x.settled(running, RELEASED, x.t + 1);
    const edited = await x.step(waiting, edit(waiting, rename("new"), x.t + 2));
    const cancelled = await x.step(edited, cancel(edited, x.t + 3));
    await x.step(cancelled, retry(cancelled, x.t + 4));
    expect((await x.see(running.id)).status).toBe("pending");
  });

  exam("an ended task with a taken key can still be edited", async (x) => {
    const ended = await x.ended("done", { key: "k" });
    await x.add({ key: "k" });
    expect(await x.write(ended, edit(ended, rename("new"), x.t + 1))).toBe("ok");
    const answer = only(await x.store.insert([{ drafts: [x.draft({ key: "k" })], idempotency: null }], x.t));
    expect(answer).toMatchObject({ tasks: [{ existing: true, id: ended.id + 1 }] });
  });
}
