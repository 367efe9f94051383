import { expect } from "bun:test";
import fc from "fast-check";
import { cancel, edit, expire, retry, settle, type TaskPatch } from "../../core/lifecycle.ts";
import { claimOrder, type PendingTask, type Task, takesType } from "../../core/task.ts";
import { ANSWER_BYTES } from "../../core/text-size.ts";
import type { Ask } from "../store.ts";
import {
  ascending,
  claimedAs,
  type Exam,
  type Examinee,
  FAILED,
  HOUR_MS,
  idsOf,
  LEASE_MS,
  nth,
  only,
  RELEASED,
  type Spec,
} from "./examinee.ts";

const ask = (types: readonly string[], max: number, more: Partial<Ask> = {}): Ask => ({
  worker: "w1",
  types,
  max,
  leaseMs: LEASE_MS,
  ...more,
});

/** The ids that each ask gets. */
const share = async ({ store, t }: Examinee, asks: readonly Ask[], now = t): Promise<number[][]> =>
  (await store.claim(asks, { now, nonce: "n1" })).map(idsOf);

/** The names of the tasks in the order in which a claim returns them. */
async function orderOf({ addAll, take }: Examinee, specs: readonly Spec[]): Promise<string[]> {
  await addAll(specs);
  return (await take(["*"])).map(({ name }) => name);
}

/** The ids that each ask must get, computed with one sorted list. */
function served(tasks: readonly PendingTask[], asks: readonly Ask[], now: number): number[][] {
  const left = tasks.filter((task) => task.runAt <= now).toSorted(claimOrder);
  return asks.map(({ types, max }) => {
    const given = left.filter((task) => types.some((type) => takesType(type, task.type))).slice(0, max);
    for (const task of given) left.splice(left.indexOf(task), 1);
    return idsOf(given);
  });
}

export function examineClaim(exam: Exam): void {
  exam("a claim may name two thousand types, for a process with that many handlers", async (x) => {
    const types = Array.from({ length: 2_000 }, (_, n) => `type-${n}`);
    const [first, last] = await x.addAll([{ type: "type-0" }, { type: "type-1999" }, { type: "other" }]);
    const claimed = await x.take(types);
    expect(idsOf(claimed)).toEqual([first?.id ?? 0, last?.id ?? 0]);
  });

  // ---- the claimed task

  exam("a claimed task equals the result of lifecycle.claim, in the answer and in the store", async (x) => {
    const pending = await x.add({ key: "k", payload: "[1]", tags: ["a"], timeoutMs: 5_000 });
    const expected = claimedAs(pending, { at: x.t + 5, leaseMs: 12_345, worker: "w9", nonce: "abc" });
    const claimed = await x.take(["simulate"], { at: x.t + 5, leaseMs: 12_345, worker: "w9", nonce: "abc" });
    expect(claimed).toStrictEqual([expected]);
    expect(await x.see(pending.id)).toStrictEqual(expected);
  });

  exam("a second claim equals the result of lifecycle.claim for a task with a history", async (x) => {
    const running = await x.run();
    await x.beat(running, x.t + 1, { progress: { percent: 40, message: "m" } });
    const beaten = await x.see(running.id);
    const outcome = { ...FAILED, retryable: true, retryAfterMs: 10 } as const;
    const waiting = settle(beaten, { token: running.token, outcome }, x.t + 2, 0);
    await x.step(beaten, waiting);
    const claimed = await x.start(waiting, { at: x.t + 12, nonce: "n2" });
    expect(claimed).toStrictEqual(claimedAs(waiting, { at: x.t + 12, nonce: "n2" }));
    expect(claimed).toMatchObject({ claims: 2, attempt: 2, failures: 1, progress: null });
    expect(await x.see(running.id)).toStrictEqual(claimed);
  });

  exam("the tasks of each ask have its worker and its lease", async (x) => {
    await x.addAll([{}, {}]);
    const asks = [
      ask(["*"], 1, { worker: "short", leaseMs: 1_000 }),
      ask(["*"], 1, { worker: "long", leaseMs: 600_000 }),
    ];
    const given = (await x.store.claim(asks, { now: x.t, nonce: "n1" })).flat();
    expect(given.map(({ lease }) => lease)).toEqual([
      { worker: "short", until: x.t + 1_000, leaseMs: 1_000, revokeAt: null },
      { worker: "long", until: x.t + 600_000, leaseMs: 600_000, revokeAt: null },
    ]);
    expect(await x.store.get(idsOf(given))).toEqual(given);
  });

  exam("a claimed task is not claimed again", async ({ add, take, t }) => {
    await add();
    expect((await take(["*"])).length).toBe(1);
    expect(await take(["*"])).toEqual([]);
    expect(await take(["*"], { at: t + HOUR_MS })).toEqual([]);
  });

  exam("the numbers of claims and tokens rise through releases, failures, losses and retries", async (x) => {
    const tokens: string[] = [];
    let task: Task = await x.add({ maxAttempts: 2 });
    let at = x.t;
    for (const outcome of [
      RELEASED,
      { ...FAILED, retryable: true, retryAfterMs: 0 },
      null,
      FAILED,
      RELEASED,
    ]) {
      if (task.status === "failed") task = await x.step(task, retry(task, at));
      const running = await x.start(task, { at, nonce: "same" });
      tokens.push(running.token);
      at += LEASE_MS;
      const report = { token: running.token, outcome: outcome ?? RELEASED };
      task = await x.step(
        running,
        outcome === null ? expire(running, at) : settle(running, report, at - 1, 0),
      );
    }
    expect(tokens).toEqual(["1.same", "2.same", "3.same", "4.same", "5.same"]);
  });

  exam("a token carries the nonce of its claim", async ({ run }) => {
    expect((await run({}, { nonce: "abc-123" })).token).toBe("1.abc-123");
    expect((await run({}, { nonce: "def-456" })).token).toBe("1.def-456");
  });

  // ---- order

  exam("higher priority goes first", async (x) => {
    const specs = [-1_000, 5, 0, 1_000, -5].map((priority) => ({ name: `${priority}`, priority }));
    expect(await orderOf(x, specs)).toEqual(["1000", "5", "0", "-5", "-1000"]);
  });

  exam("among equal priorities the task that was due first goes first", async (x) => {
    const specs = [-10, -30, 0, -20].map((due) => ({ name: `${due}`, runAt: x.t + due }));
    expect(await orderOf(x, specs)).toEqual(["-30", "-20", "-10", "0"]);
  });

  exam("among equal priorities and due times the older task goes first", async (x) => {
    const names = ["a", "b", "c", "d", "e"];
    expect(
      await orderOf(
        x,
        names.map((name) => ({ name })),
      ),
    ).toEqual(names);
  });

  exam("priority counts before due time, and due time before age", async (x) => {
    expect(
      await orderOf(x, [
        { name: "third", runAt: x.t - 1 },
        { name: "fourth", runAt: x.t },
        { name: "first", priority: 1, runAt: x.t - 5 },
        { name: "second", priority: 1, runAt: x.t - 4 },
        { name: "fifth", runAt: x.t },
      ]),
    ).toEqual(["first", "second", "third", "fourth", "fifth"]);
  });

  exam("the order is over all requested types together, not type by type", async (x) => {
    expect(
      await orderOf(x, [
        { name: "4", type: "a", runAt: x.t - 1 },
        { name: "2", type: "b", runAt: x.t - 3 },
        { name: "3", type: "a", runAt: x.t - 2 },
        { name: "1", type: "c", runAt: x.t - 4 },
        { name: "0", type: "d", priority: 1 },
      ]),
    ).toEqual(["0", "1", "2", "3", "4"]);
  });

  exam("a later task with a higher priority goes before the backlog", async (x) => {
    await x.addAll(Array.from({ length: 50 }, () => ({})));
    const urgent = await x.add({ priority: 1 }, x.t + 1);
    expect(idsOf(await x.take(["*"], { at: x.t + 1, max: 3 }))).toEqual([urgent.id, 1, 2]);
  });

  // ---- due

  exam("a task is due at its exact time, not a millisecond before", async ({ add, take, t }) => {
    const { id } = await add({ runAt: t + 1_000 });
    expect(await take(["*"], { at: t + 999 })).toEqual([]);
    expect(idsOf(await take(["*"], { at: t + 1_000 }))).toEqual([id]);
  });

  exam("a task that is not due yet does not delay others, with any priority", async ({ addAll, take, t }) => {
    await addAll([
      { priority: 9, runAt: t + 1 },
      { priority: 0, runAt: t + 1 },
      { priority: 0 },
      { type: "b" },
    ]);
    expect(idsOf(await take(["*"]))).toEqual([3, 4]);
    expect(idsOf(await take(["*"], { at: t + 1 }))).toEqual([1, 2]);
  });

  exam("a failed attempt is due again after its delay", async ({ run, settled, take, t }) => {
    const running = await run();
    await settled(running, { ...FAILED, retryable: true, retryAfterMs: 500 }, t + 100);
    expect(await take(["*"], { at: t + 599 })).toEqual([]);
    expect(idsOf(await take(["*"], { at: t + 600 }))).toEqual([running.id]);
  });

  exam(
    "a lost task is due again after the sweep has found it, not before",
    async ({ run, step, take, t }) => {
      const running = await run();
      const at = t + LEASE_MS;
      expect(await take(["*"], { at })).toEqual([]);
      await step(running, expire(running, at));
      expect(idsOf(await take(["*"], { at }))).toEqual([running.id]);
    },
  );

  exam("a retried task is due at once", async ({ ended, step, take, t }) => {
    const failed = await ended("failed");
    await step(failed, retry(failed, t + 2_000));
    expect(idsOf(await take(["*"], { at: t + 2_000 }))).toEqual([failed.id]);
  });

  exam("an edit moves a task to its new place in the order", async ({ addAll, step, take, t }) => {
    const tasks = await addAll([
      { runAt: t - 9 },
      { runAt: t - 8 },
      { runAt: t - 7 },
      { runAt: t + HOUR_MS },
    ]);
    const patches: (TaskPatch | null)[] = [{ runAt: t - 1 }, null, { priority: 3 }, { runAt: t - 2 }];
    for (const [n, patch] of patches.entries()) {
      if (patch !== null) await step(nth(tasks, n), edit(nth(tasks, n), patch, t));
    }
    expect(idsOf(await take(["*"]))).toEqual([3, 2, 4, 1]);
  });

  exam("a task that an edit has delayed is not claimed", async ({ add, step, take, t }) => {
    const task = await add();
    await step(task, edit(task, { runAt: t + 100 }, t));
    expect(await take(["*"], { at: t + 99 })).toEqual([]);
    expect(idsOf(await take(["*"], { at: t + 100 }))).toEqual([task.id]);
  });

  exam("cancelled, ended and deleted tasks are not claimed", async (x) => {
    await x.ended("done");
    await x.ended("failed");
    await x.ended("cancelled");
    const running = await x.run();
    await x.step(running, cancel(running, x.t));
    await x.removed((await x.add()).id);
    expect(await x.take(["*"], { at: x.t + HOUR_MS })).toEqual([]);
  });

  // ---- types

  exam("only tasks of the requested types are claimed", async ({ addAll, take }) => {
    await addAll([{ type: "a" }, { type: "b" }, { type: "c" }, { type: "a" }]);
    expect(idsOf(await take(["a"]))).toEqual([1, 4]);
    expect(idsOf(await take(["x", "c", "b"]))).toEqual([2, 3]);
  });

  exam("a prefix takes the types that begin with it, and no others", async ({ addAll, take }) => {
    const types = ["video.encode", "video", "videos.x", "video.", "Video.x", "xvideo.y", "video.thumb.small"];
    await addAll(types.map((type) => ({ type })));
    expect((await take(["video.*"])).map(({ type }) => type)).toEqual([
      "video.encode",
      "video.",
      "video.thumb.small",
    ]);
  });

  exam(
    "characters that are special in a query language have no meaning in a prefix",
    async ({ addAll, take }) => {
      await addAll(["a_b.1", "axb.1", "a-b.1", "a.b.1", "a.b_1"].map((type) => ({ type })));
      expect(idsOf(await take(["a_b.*"]))).toEqual([1]);
      expect(idsOf(await take(["a.b.*"]))).toEqual([4]);
    },
  );

  exam("a bare star takes every type", async ({ addAll, take }) => {
    await addAll([{ type: "a" }, { type: "B.c" }, { type: "_" }, {}]);
    expect(idsOf(await take(["*"]))).toEqual([1, 2, 3, 4]);
  });

  exam("patterns that overlap return each task once", async ({ addAll, take }) => {
    await addAll([{ type: "video.a" }, { type: "video.b" }, { type: "mail" }]);
    expect(idsOf(await take(["video.*", "video.a", "*", "vid*", "video.a"]))).toEqual([1, 2, 3]);
  });

  exam("types without tasks and an ask without types return no tasks", async ({ add, take }) => {
    await add();
    expect(await take(["unknown", "unknown.*"])).toEqual([]);
    expect(await take([])).toEqual([]);
  });

  exam("later tasks of a type are claimed after its last task was claimed", async ({ add, take }) => {
    for (let round = 0; round < 3; round++) {
      const { id } = await add({ type: "rare", priority: 5 });
      expect(idsOf(await take(["rare"]))).toEqual([id]);
      expect(await take(["rare"])).toEqual([]);
    }
  });

  // ---- several asks, and the number of tasks

  exam("a claim returns the best tasks, and at most the requested number", async ({ addAll, take }) => {
    await addAll(Array.from({ length: 5 }, (_, n) => ({ priority: n })));
    expect(idsOf(await take(["*"], { max: 2 }))).toEqual([5, 4]);
    expect(idsOf(await take(["*"], { max: 100 }))).toEqual([3, 2, 1]);
  });

  exam("an ask for no tasks gets none", async (x) => {
    await x.addAll([{}, {}]);
    expect(await share(x, [ask(["*"], 0), ask(["*"], 1), ask(["*"], 0)])).toEqual([[], [1], []]);
  });

  exam("a claim without asks returns no answers", async ({ add, store, t }) => {
    await add();
    expect(await store.claim([], { now: t, nonce: "n1" })).toEqual([]);
  });

  exam("an earlier ask gets the best tasks, a later one the next best", async (x) => {
    await x.addAll([{}, { priority: 2 }, { priority: 1 }, {}]);
    expect(await share(x, [ask(["*"], 1), ask(["*"], 2), ask(["*"], 5)])).toEqual([[2], [3, 1], [4]]);
  });

  exam("asks for different types do not take each other's tasks", async (x) => {
    await x.addAll([{ type: "a" }, { type: "a" }, { type: "b" }, { type: "c" }]);
    const asks = [ask(["b"], 3), ask(["none"], 3), ask(["a"], 1), ask(["c", "a"], 3)];
    expect(await share(x, asks)).toEqual([[3], [], [1], [2, 4]]);
  });

  exam("one worker may ask more than once in a call", async (x) => {
    await x.addAll([{}, {}, {}]);
    expect(await share(x, [ask(["*"], 1), ask(["*"], 1), ask(["*"], 1), ask(["*"], 1)])).toEqual([
      [1],
      [2],
      [3],
      [],
    ]);
  });

  exam("a claim of a thousand returns the thousand best of more tasks", async (x) => {
    const drafts = Array.from({ length: 1_500 }, (_, n) => x.draft({ priority: n % 3, type: `t${n % 2}` }));
    const { kind } = only(await x.store.insert([{ drafts, idempotency: null }], x.t));
    expect(kind).toBe("created");
    const given = await x.take(["*"], { max: 1_000 });
    const ids = drafts.map((draft, n) => ({ ...draft, id: n + 1 })).toSorted(claimOrder);
    expect(idsOf(given)).toEqual(idsOf(ids.slice(0, 1_000)));
    expect((await x.take(["*"], { max: 1_000 })).length).toBe(500);
  });

  // ---- the size of an answer

  exam("a claim returns at most about 8 MiB, and the other tasks are claimed later", async (x) => {
    const bytes = 1_048_576;
    await x.addAll(
      Array.from({ length: 14 }, (_, n) => ({
        payload: JSON.stringify("x".repeat(bytes)),
        type: `t${n % 2}`,
      })),
    );
    const given: number[] = [];
    for (let call = 0; call < 14 && given.length < 14; call++) {
      const answers = await share(x, [ask(["t0"], 3), ask(["*"], 1_000), ask(["none"], 5)]);
      const ids = answers.flat();
      expect(ids.length).toBeGreaterThan(0);
      expect(ids.length * bytes).toBeLessThanOrEqual(ANSWER_BYTES + bytes);
      given.push(...ids);
    }
    expect(ascending(given)).toEqual(Array.from({ length: 14 }, (_, n) => n + 1));
  });

  exam("a claim returns the best task, of any size", async (x) => {
    const payload = JSON.stringify("x".repeat(ANSWER_BYTES + 1));
    await x.addAll([{ payload, priority: 1 }, { payload }, {}]);
    expect(await share(x, [ask(["*"], 2), ask(["*"], 2)])).toEqual([[1], []]);
    expect((await x.see(2)).status).toBe("pending");
    expect(await share(x, [ask(["*"], 2)])).toEqual([[2]]);
    expect(await share(x, [ask(["*"], 2)])).toEqual([[3]]);
  });

  exam("the size of an answer includes results and histories", async (x) => {
    const result = JSON.stringify("x".repeat(1_048_570));
    const tasks: Task[] = [];
    for (let n = 0; n < 12; n++) tasks.push(await x.settled(await x.run(), { kind: "done", result }));
    for (const task of tasks) await x.step(task, { ...retry(task, x.t + 2_000), result });
    const first = await x.take(["*"], { at: x.t + 2_000 });
    expect(first.length).toBeGreaterThan(0);
    expect(first.length).toBeLessThanOrEqual(9);
  });

  exam("tasks with fewer characters than the lowest bound of an answer are claimed together", async (x) => {
    const payload = JSON.stringify("x".repeat(4_000));
    await x.addAll(Array.from({ length: 200 }, () => ({ payload })));
    expect((await x.take(["*"])).length).toBe(200);
  });

  exam("for any tasks and asks each ask gets the tasks that one sorted list would give it", async (x) => {
    const types = ["a", "b", "b.x", "b.y", "c_d"];
    const spec = fc.record({
      type: fc.constantFrom(...types),
      priority: fc.integer({ min: -2, max: 2 }),
      runAt: fc.integer({ min: -5, max: 5 }).map((due) => x.t + due),
    });
    const patterns = fc.uniqueArray(fc.constantFrom(...types, "b*", "b.*", "*", "none"), {
      minLength: 1,
      maxLength: 3,
    });
    const asking = fc.record({ types: patterns, max: fc.integer({ min: 0, max: 6 }) });
    const rounds = fc.record({
      specs: fc.array(spec, { minLength: 20, maxLength: 40 }),
      asks: fc.array(asking, { minLength: 1, maxLength: 8 }),
    });
    let waiting: PendingTask[] = [];
    for (const [round, { specs, asks }] of fc.sample(rounds, { seed: 20_260_101, numRuns: 12 }).entries()) {
      const at = x.t + round - 6;
      waiting.push(...(await x.addAll(specs)));
      const asked = asks.map(({ types, max }) => ask(types, max));
      const expected = served(waiting, asked, at);
      expect({ round, given: await share(x, asked, at) }).toEqual({ round, given: expected });
      const gone = new Set(expected.flat());
      waiting = waiting.filter(({ id }) => !gone.has(id));
    }
  });

  exam(
    "a call ends at about 8 MiB of tasks, in the order of the asks, and leaves the other tasks unchanged",
    async (x) => {
      const payload = JSON.stringify("x".repeat(1_048_576));
      const types = ["a", "b", "c"];
      for (let n = 0; n < 12; n++) await x.add({ payload, type: types[n % 3] ?? "a", priority: n % 2 });
      const asks = [ask(["a", "b"], 3), ask(["a", "b"], 20), ask(["c"], 20)];
      const given: number[][] = [];
      while (given.flat().length < 12) {
        const [first = [], second = [], third = []] = await share(x, asks);
        expect(first.length + second.length + third.length).toBeWithin(1, ANSWER_BYTES / 1_048_576 + 2);
        if (given.length === 0) {
          expect(first).toEqual([2, 4, 8].slice(0, first.length)); // the higher priority, then the older
          if (second.length > 0) expect(first.length).toBe(3);
        }
        given.push([...first, ...second, ...third]);
      }
      expect(given.flat().toSorted((a, b) => a - b)).toEqual(Array.from({ length: 12 }, (_, n) => n + 1));
      expect(given.length).toBeGreaterThan(1);
    },
  );
}
