import { expect } from "bun:test";
import { cancel, edit, expire, extend, retry, settle } from "../../core/lifecycle.ts";
import { ENDED_STATUSES, type RunningTask } from "../../core/task.ts";
import { DONE, type Exam, FAILED, idsOf, LEASE_MS, nth, only, RELEASED } from "./examinee.ts";

const rename = (name: string) => ({ name });

const finish = (task: RunningTask, at: number) => settle(task, { token: task.token, outcome: DONE }, at, 0);

export function examineReplace(exam: Exam): void {
  exam("a step from the stored version is written, whole", async ({ add, write, see, t }) => {
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

  exam("a step from a version that is not there yet is stale", async ({ add, write, see, t }) => {
    const task = await add();
    const ahead = edit(task, rename("first"), t + 1);
    expect(await write(ahead, edit(ahead, rename("second"), t + 2))).toBe("stale");
    expect(await see(task.id)).toStrictEqual(task);
  });

  exam("the loser of a step reads again and wins", async ({ add, step, see, t }) => {
    const task = await add();
    await step(task, edit(task, rename("first"), t + 1));
    const current = await see(task.id);
    const second = await step(current, edit(current, rename("second"), t + 2));
    expect(await see(task.id)).toStrictEqual(second);
  });

  exam("a step that has been written is stale when it comes again", async ({ add, step, write, t }) => {
    const task = await add();
    const edited = await step(task, edit(task, rename("new"), t + 1));
    expect(await write(task, edited)).toBe("stale");
  });

  exam("a step from before a claim is stale", async ({ add, start, write, see, t }) => {
    const task = await add();
    const running = await start(task);
    expect(await write(task, cancel(task, t + 1))).toBe("stale");
    expect(await see(task.id)).toStrictEqual(running);
  });

  exam(
    "a step from before a beat is stale, though the version is the same",
    async ({ run, beat, write, see, t }) => {
      const running = await run();
      await beat(running, t + 1);
      expect(await write(running, expire(running, t + LEASE_MS))).toBe("stale");
      const extended = extend(running, { token: running.token, progress: null }, t + 1);
      expect(await see(running.id)).toStrictEqual(extended);
    },
  );

  exam(
    "a step from behind a beat is written with what the beat brought",
    async ({ run, beat, step, see, t }) => {
      const running = await run();
      const progress = { percent: 50, message: "half" };
      await beat(running, t + 1, { progress });
      const extended = extend(running, { token: running.token, progress }, t + 1);
      const asked = await step(extended, cancel(extended, t + 2));
      expect(await see(running.id)).toStrictEqual(asked);
    },
  );

  exam("an edit of a running task leaves its lease good", async ({ run, beat, step, see, t }) => {
    const running = await run();
    const edited = await step(running, edit(running, rename("new"), t + 1));
    expect(await beat(running, t + 2)).toBe("ok");
    expect(await see(running.id)).toStrictEqual(
      extend(edited, { token: running.token, progress: null }, t + 2),
    );
  });

  exam(
    "a step of a deleted task and of one that never was is stale",
    async ({ add, removed, write, store, t }) => {
      const task = await add();
      await removed(task.id);
      expect(await write(task, edit(task, rename("new"), t + 1))).toBe("stale");
      const unknown = { ...task, id: 999 };
      expect(await write(unknown, edit(unknown, rename("new"), t + 1))).toBe("stale");
      expect(await store.get([task.id, 999])).toEqual([null, null]);
    },
  );

  exam("each step of a call stands for itself and is answered in its place", async (x) => {
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

  exam("no steps, no answers", async ({ store }) => {
    expect(await store.replace([])).toEqual([]);
  });

  exam("hundreds of different steps are one call", async (x) => {
    await x.addAll(Array.from({ length: 400 }, (_, n) => ({ payload: `${n}` })));
    const running = await x.take(["*"]);
    const steps = running.map((from, n) => {
      const said = { token: from.token, outcome: nth([DONE, FAILED, RELEASED], n % 3) };
      return { from, to: n % 4 === 3 ? cancel(from, x.t + 1) : settle(from, said, x.t + 1, 0) };
    });
    expect(await x.store.replace(steps)).toEqual(steps.map(() => "ok"));
    expect(await x.store.get(idsOf(running))).toEqual(steps.map(({ to }) => to));
  });

  exam("a repeated settle finds what the first has left", async ({ run, step, see, t }) => {
    const running = await run();
    const done = await step(running, finish(running, t + 1));
    const again = settle(await see(running.id), { token: running.token, outcome: DONE }, t + 2, 0);
    expect(again).toStrictEqual(done);
  });

  // ---- keys

  for (const status of ENDED_STATUSES) {
    exam(`a ${status} task is not retried while a live one holds its key`, async (x) => {
      const ended = await x.ended(status, { key: "k" });
      await x.add({ key: "k" });
      expect(await x.write(ended, retry(ended, x.t + 2_000))).toBe("key_taken");
      expect(await x.see(ended.id)).toStrictEqual(ended);
    });
  }

  exam("a running task holds its key against a retry, too", async (x) => {
    const ended = await x.ended("failed", { key: "k" });
    await x.run({ key: "k" });
    expect(await x.write(ended, retry(ended, x.t + 2_000))).toBe("key_taken");
  });

  exam("a refused retry goes through once the holder of the key has ended", async (x) => {
    const ended = await x.ended("failed", { key: "k" });
    const holder = await x.run({ key: "k" });
    expect(await x.write(ended, retry(ended, x.t))).toBe("key_taken");
    await x.settled(holder, DONE);
    expect(await x.write(ended, retry(ended, x.t + 2_000))).toBe("ok");
  });

  exam("a refused retry goes through once the holder of the key is deleted", async (x) => {
    const ended = await x.ended("failed", { key: "k" });
    const holder = await x.add({ key: "k" });
    expect(await x.write(ended, retry(ended, x.t))).toBe("key_taken");
    await x.removed(holder.id);
    expect(await x.write(ended, retry(ended, x.t))).toBe("ok");
  });

  exam("a retry is free where others live with other keys or none", async (x) => {
    const withKey = await x.ended("failed", { key: "k" });
    const without = await x.ended("failed");
    await x.addAll([{ key: "K" }, { key: "k2" }, {}]);
    expect(await x.write(withKey, retry(withKey, x.t))).toBe("ok");
    expect(await x.write(without, retry(without, x.t))).toBe("ok");
  });

  exam("of two retries with one key in a call one goes through", async (x) => {
    const a = await x.ended("failed", { key: "k" });
    const b = await x.ended("done", { key: "k" });
    const steps = [a, b].map((from) => ({ from, to: retry(from, x.t + 2_000) }));
    const answers = await x.store.replace(steps);
    expect(answers.toSorted()).toEqual(["key_taken", "ok"]);
    expect(await x.store.count({ statuses: ["pending"] })).toBe(1);
  });

  exam("steps count in their order: what one frees the next may take, but none before it", async (x) => {
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
  });

  exam("a task never stands in the way of its own key", async (x) => {
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
