import { describe, expect, test } from "bun:test";
import { settled } from "../../test/support/clock.ts";
import { openEngine } from "../../test/support/engine.ts";
import {
  ask,
  claim,
  codeOf,
  counting,
  create,
  DONE,
  FAILED,
  HOUR_MS,
  RELEASED,
} from "../../test/support/verbs.ts";
import { type ErrorCode, TaskError } from "../core/error.ts";
import type { Outcome } from "../core/outcome.ts";
import type { Task } from "../core/task.ts";

describe("creating", () => {
  test("gives ids from 1 in the order of the specs", async () => {
    const { engine } = openEngine();
    const first = await engine.create([{ name: "a" }, { name: "b" }]);
    const second = await engine.create([{ name: "c" }]);
    expect([...first.tasks, ...second.tasks].map(({ id }) => id)).toEqual([1, 2, 3]);
    expect(first.repeated).toBe(false);
    expect((await engine.get(3)).name).toBe("c");
  });

  test("of many tasks in the same turn is one write", async () => {
    const calls = counting();
    const { engine } = openEngine(calls);
    const made = await Promise.all(Array.from({ length: 500 }, () => create(engine)));
    expect(new Set(made).size).toBe(500);
    expect(calls.take("insert")).toBe(1);
  });

  test("shares a write of at most some megabytes, and long labels count", async () => {
    const calls = counting();
    const { engine } = openEngine(calls);
    const labels = Object.fromEntries(Array.from({ length: 20 }, (_, n) => [`l${n}`, "x".repeat(255)]));
    await Promise.all(Array.from({ length: 900 }, () => create(engine, { labels })));
    expect(calls.take("insert")).toBe(2);
  });

  test("during a write waits, and all waiting creates share the next write", async () => {
    const gate = Promise.withResolvers<void>();
    const calls = counting();
    const { engine } = openEngine({
      around: (store) => {
        const counted = calls.around(store);
        return { ...counted, insert: (...args) => gate.promise.then(() => counted.insert(...args)) };
      },
    });
    const first = create(engine);
    await settled();
    const others = Array.from({ length: 100 }, () => create(engine));
    gate.resolve();
    await Promise.all([first, ...others]);
    expect(calls.take("insert")).toBe(2);
  });

  test("under the key of a live task returns that task", async () => {
    const { engine } = openEngine();
    await engine.create([{ name: "a", key: "k" }]);
    expect((await engine.create([{ name: "b", key: "k" }])).tasks).toEqual([{ id: 1, existing: true }]);
    expect(await engine.count({})).toBe(1);
  });

  test("uses the defaults of the type", async () => {
    const defaults = { delayMs: 700, timeoutMs: 5, maxAttempts: 9, backoff: { baseMs: 1, maxMs: 2 } };
    const { engine } = openEngine({ types: new Map([["slow", defaults]]) });
    const { delayMs, ...shown } = defaults;
    expect(await engine.get(await create(engine, { type: "slow" }))).toMatchObject({
      ...shown,
      runAt: engine.now() + delayMs,
    });
    expect(await engine.get(await create(engine))).toMatchObject({ maxAttempts: 3, runAt: engine.now() });
  });

  test("is all or none: if the store refuses one task, no task of the same call is created, and all tasks of other calls are", async () => {
    const { engine } = openEngine({
      around: (store) => ({
        ...store,
        insert: async (requests, now) => {
          const poisoned = requests.some(({ drafts }) => drafts.some(({ name }) => name === "poison"));
          if (poisoned) throw new TaskError("store_rejected", "The store wrote nothing");
          return store.insert(requests, now);
        },
      }),
    });
    const calls = Array.from({ length: 50 }, (_, at) =>
      engine.create([{ name: "good" }, { name: at === 17 ? "poison" : "good" }, { name: "good" }]),
    );
    const codes = await Promise.all(calls.map(codeOf));
    expect(codes.filter((code) => code === "store_rejected")).toHaveLength(1);
    expect(codes[17]).toBe("store_rejected");
    expect(await engine.count({})).toBe(49 * 3);
  });

  test("is not tried again if it may have been written: all calls get the error", async () => {
    let inserts = 0;
    const { engine } = openEngine({
      around: (store) => ({
        ...store,
        insert: async () => {
          inserts++;
          throw new TaskError("store_unavailable", "The store did not answer");
        },
      }),
    });
    const codes = await Promise.all(Array.from({ length: 20 }, () => codeOf(create(engine))));
    expect(new Set(codes)).toEqual(new Set<ErrorCode>(["store_unavailable"]));
    expect(inserts).toBe(1);
  });

  test("is refused while ten thousand creates wait, and accepted again after they have been written", async () => {
    const gate = Promise.withResolvers<void>();
    const { engine } = openEngine({
      around: (store) => ({ ...store, insert: (...args) => gate.promise.then(() => store.insert(...args)) }),
    });
    const first = codeOf(create(engine));
    await settled();
    const waiting = Array.from({ length: 10_003 }, () => codeOf(create(engine)));
    gate.resolve();
    const codes = await Promise.all([first, ...waiting]);
    expect(codes.filter((code) => code === "overloaded")).toHaveLength(3);
    expect(await codeOf(engine.get(10_001))).toBe("ok");
    expect(await codeOf(engine.get(10_002))).toBe("not_found");
    expect(await codeOf(create(engine))).toBe("ok");
  });
});

describe("an idempotency key", () => {
  const key = { scope: "", key: "k", fingerprint: "f" };

  test("gets the first answer again, and no task is created", async () => {
    const { engine } = openEngine();
    const first = await engine.create([{ name: "a" }, { name: "b" }], key);
    const again = await engine.create([{ name: "a" }, { name: "b" }], key);
    expect(first).toEqual({ tasks: [1, 2].map((id) => ({ id, existing: false })), repeated: false });
    expect(again).toEqual({ ...first, repeated: true });
    expect(await engine.count({})).toBe(2);
  });

  test("that is used twice in one turn creates once", async () => {
    const { engine } = openEngine();
    const both = await Promise.all([
      engine.create([{ name: "a" }], key),
      engine.create([{ name: "a" }], key),
    ]);
    expect(both.map(({ repeated }) => repeated)).toEqual([false, true]);
    expect(both.map(({ tasks }) => tasks[0]?.id)).toEqual([1, 1]);
  });

  test("with another body is refused, and no task is created", async () => {
    const { engine } = openEngine();
    await engine.create([{ name: "a" }], key);
    expect(await codeOf(engine.create([{ name: "b" }], { ...key, fingerprint: "g" }))).toBe(
      "idempotency_mismatch",
    );
    expect(await engine.count({})).toBe(1);
  });

  test("is another key in another scope", async () => {
    const { engine } = openEngine();
    await engine.create([{ name: "a" }], key);
    expect((await engine.create([{ name: "b" }], { ...key, scope: "other" })).repeated).toBe(false);
  });

  test("still gets its answer when the task has been deleted", async () => {
    const { engine } = openEngine();
    await engine.create([{ name: "a" }], key);
    await engine.remove(1);
    expect(await engine.create([{ name: "a" }], key)).toEqual({
      tasks: [{ id: 1, existing: false }],
      repeated: true,
    });
  });

  test("is kept for a day", async () => {
    const { engine, clock } = openEngine();
    await engine.create([{ name: "a" }], key);
    await clock.advance(24 * HOUR_MS - 1);
    expect((await engine.create([{ name: "a" }], key)).repeated).toBe(true);
    await clock.advance(1);
    expect((await engine.create([{ name: "a" }], key)).repeated).toBe(false);
  });
});

describe("a claim of the tasks that are due now", () => {
  test("calls the store again for asks that got no tasks because the tasks of another ask filled the answer", async () => {
    const { engine } = openEngine();
    const payload = JSON.stringify("x".repeat(1_048_576));
    for (let n = 0; n < 12; n++) await create(engine, { payload });
    const answers = await Promise.all([
      engine.claimNow(ask({ max: 1_000 })),
      engine.claimNow(ask({ max: 1 })),
      engine.claimNow(ask({ max: 1_000 })),
      engine.claimNow(ask({ types: ["other"] })),
    ]);
    expect(answers.map((tasks) => tasks.map(({ id }) => id))).toEqual([
      [1, 2, 3, 4, 5, 6, 7, 8],
      [9],
      [10, 11, 12],
      [],
    ]);
  });

  test("returns the tasks of the first call although the second call of the store fails", async () => {
    let claims = 0;
    const { engine } = openEngine({
      around: (store) => ({
        ...store,
        claim: (asks, terms) =>
          claims++ === 0
            ? store.claim(asks, terms)
            : Promise.reject(new TaskError("store_unavailable", "away")),
      }),
    });
    for (let n = 0; n < 10; n++) await create(engine, { payload: JSON.stringify("x".repeat(1_048_576)) });
    const answers = await Promise.all([engine.claimNow(ask({ max: 1_000 })), engine.claimNow(ask())]);
    expect(answers.map((tasks) => tasks.length)).toEqual([8, 0]);
    expect(claims).toBe(2);
  });
});

describe("steps", () => {
  test("on a missing task are refused, and the steps of a worker get `lease_lost`", async () => {
    const { engine } = openEngine();
    expect(await codeOf(engine.get(9))).toBe("not_found");
    expect(await codeOf(engine.edit(9, { name: "n" }))).toBe("not_found");
    expect(await codeOf(engine.cancel(9))).toBe("not_found");
    expect(await codeOf(engine.retry(9))).toBe("not_found");
    expect(await codeOf(engine.remove(9))).toBe("not_found");
    expect(await codeOf(engine.settle(9, "1.n", DONE))).toBe("lease_lost");
    expect(await engine.extend([{ id: 9, token: "1.n", progress: null, log: [] }])).toEqual(["lost"]);
  });

  test("two edits at the same time are both written", async () => {
    const { engine } = openEngine();
    const id = await create(engine);
    const [one, two] = await Promise.all([
      engine.edit(id, { name: "new" }),
      engine.edit(id, { description: "new, too" }),
    ]);
    expect([one.version, two.version].sort()).toEqual([2, 3]);
    expect(await engine.get(id)).toMatchObject({ name: "new", description: "new, too", version: 3 });
  });

  test("a hundred edits at the same time are all written", async () => {
    const { engine } = openEngine();
    const id = await create(engine);
    await Promise.all(Array.from({ length: 100 }, (_, at) => engine.edit(id, { name: `${at}` })));
    expect((await engine.get(id)).version).toBe(101);
  });

  test("many steps of one task at the same time read once and write once each", async () => {
    const calls = counting();
    const { engine } = openEngine(calls);
    const id = await create(engine);
    calls.take("get");
    const edits = Array.from({ length: 400 }, (_, at) => engine.edit(id, { name: `${at}` }));
    expect((await Promise.all(edits)).map(({ name }) => name)).toEqual(edits.map((_, at) => `${at}`));
    expect(calls.take("get")).toBeLessThanOrEqual(400);
    expect(calls.take("replace")).toBe(400);
  });

  test("of many steps at the same time with a condition on the version, one is written, and the others see the new version", async () => {
    const calls = counting();
    const { engine } = openEngine(calls);
    const id = await create(engine);
    const ifFirst = ({ version }: Pick<Task, "version">): void => {
      if (version !== 1) throw new TaskError("version_mismatch", `version is ${version}`);
    };
    const steps = [
      ...Array.from({ length: 50 }, () => engine.edit(id, { name: "edited" }, { condition: ifFirst })),
      ...Array.from({ length: 50 }, () => engine.remove(id, { condition: ifFirst })),
    ];
    const codes = await Promise.all(steps.map(codeOf));
    expect(codes).toEqual(steps.map((_, at) => (at === 0 ? "ok" : "version_mismatch")));
    expect(calls.take("get")).toBeLessThanOrEqual(100);
    expect(await engine.get(id)).toMatchObject({ name: "edited", version: 2 });
  });

  test("a store that is unavailable is called once for many steps of one task", async () => {
    let reads = 0;
    const { engine } = openEngine({
      around: (store) => ({
        ...store,
        get: async () => {
          reads++;
          throw new TaskError("store_unavailable", "The store did not answer");
        },
      }),
    });
    const id = await create(engine);
    const steps = Array.from({ length: 50 }, () => engine.edit(id, { name: "new" }));
    expect(new Set(await Promise.all(steps.map(codeOf)))).toEqual(new Set<ErrorCode>(["store_unavailable"]));
    expect(reads).toBe(1);
  });

  test("a step that came second to another write is applied again to the stored task", async () => {
    let isFirst = true;
    const { engine } = openEngine({
      around: (store) => ({
        ...store,
        replace: async (steps) => {
          const from = steps[0]?.from;
          if (isFirst && from !== undefined) {
            isFirst = false;
            await store.replace([
              { from, to: { ...from, description: "other write", version: from.version + 1 } },
            ]);
          }
          return store.replace(steps);
        },
      }),
    });
    const id = await create(engine);
    expect(await engine.edit(id, { name: "new" })).toMatchObject({
      name: "new",
      description: "other write",
      version: 3,
    });
  });

  test("a step that came second to a heartbeat is applied again, although a heartbeat does not change the version", async () => {
    const overtaken = Promise.withResolvers<void>();
    let first = true;
    const { engine } = openEngine({
      around: (store) => ({
        ...store,
        replace: async (steps) => {
          if (first) await overtaken.promise;
          first = false;
          return store.replace(steps);
        },
      }),
    });
    const id = await create(engine);
    const { token } = await claim(engine);
    const edit = engine.edit(id, { name: "new" });
    await settled();
    const progress = { percent: 50, message: "half" };
    expect(await engine.extend([{ id, token, progress, log: [] }])).toEqual(["ok"]);
    overtaken.resolve();
    expect(await edit).toMatchObject({ name: "new", progress, version: 3 });
  });

  test("a step that is never written ends with an error, not in an endless loop", async () => {
    const calls = counting();
    const { engine } = openEngine({
      around: (store) =>
        calls.around({ ...store, replace: async (steps) => steps.map(() => "stale" as const) }),
    });
    const id = await create(engine);
    await expect(engine.edit(id, { name: "new" })).rejects.toThrow(
      "task 1 changed 1000 times under one step",
    );
    expect(calls.take("replace")).toBe(1_000);
  });

  test("a step that changes nothing writes nothing", async () => {
    const calls = counting();
    const { engine } = openEngine(calls);
    const id = await create(engine);
    await claim(engine);
    await engine.cancel(id);
    calls.take("replace");
    expect((await engine.cancel(id)).version).toBe(3);
    expect(calls.take("replace")).toBe(0);
  });

  test("a retry is refused while another live task holds the key", async () => {
    const { engine } = openEngine();
    await create(engine, { key: "k" });
    await engine.cancel(1);
    await create(engine, { key: "k" });
    expect(await codeOf(engine.retry(1))).toBe("key_taken");
    await engine.remove(2);
    expect(await codeOf(engine.retry(1))).toBe("ok");
  });

  test("two retries at the same time of tasks with one key: one succeeds", async () => {
    const { engine } = openEngine();
    await create(engine, { key: "k" });
    await engine.cancel(1);
    await create(engine, { key: "k" });
    await engine.cancel(2);
    expect(await Promise.all([codeOf(engine.retry(1)), codeOf(engine.retry(2))])).toEqual([
      "ok",
      "key_taken",
    ]);
  });

  test("two removals of one task at the same time: one succeeds", async () => {
    const { engine } = openEngine();
    const id = await create(engine);
    const codes = await Promise.all([codeOf(engine.remove(id)), codeOf(engine.remove(id))]);
    expect(codes.sort()).toEqual(["not_found", "ok"]);
  });

  test("are refused with the message of the rule", async () => {
    const { engine } = openEngine();
    const id = await create(engine);
    await expect(engine.retry(id)).rejects.toThrow("Task 1 is pending; only an ended task can be retried");
    expect(await codeOf(engine.retry(id))).toBe("wrong_status");
  });
});

describe("a settle in a race", () => {
  const RACES: readonly [Outcome["kind"], Outcome][] = [
    ["done", DONE],
    ["failed", FAILED],
    ["released", RELEASED],
  ];

  test.each(RACES)("with a cancel: %s and cancel both count, in either order", async (_kind, outcome) => {
    for (const settleFirst of [true, false]) {
      const { engine } = openEngine();
      const id = await create(engine);
      const { token } = await claim(engine);
      const settle = () => codeOf(engine.settle(id, token, outcome));
      const cancel = () => codeOf(engine.cancel(id));
      const codes = await Promise.all(settleFirst ? [settle(), cancel()] : [cancel(), settle()]);
      const { status, version } = await engine.get(id);
      expect(codes).not.toContain("lease_lost");
      expect(status).toBe(outcome.kind === "done" ? "done" : "cancelled");
      expect(version).toBe(2 + codes.filter((code) => code === "ok").length);
    }
  });

  test("with another settle: one counts, the other gets `lease_lost`", async () => {
    for (const [one, two] of [
      [DONE, FAILED],
      [FAILED, DONE],
      [RELEASED, DONE],
    ] as const) {
      const { engine } = openEngine();
      const id = await create(engine);
      const { token } = await claim(engine);
      const codes = await Promise.all([
        codeOf(engine.settle(id, token, one)),
        codeOf(engine.settle(id, token, two)),
      ]);
      expect(codes.sort()).toEqual(["lease_lost", "ok"]);
      expect((await engine.get(id)).version).toBe(3);
    }
  });

  test("with the same settle: both succeed, and it counts once", async () => {
    const { engine } = openEngine();
    const id = await create(engine);
    const { token } = await claim(engine);
    await Promise.all([engine.settle(id, token, DONE), engine.settle(id, token, DONE)]);
    expect(await engine.get(id)).toMatchObject({ status: "done", version: 3 });
  });

  test("with the removal of the task gets `lease_lost`", async () => {
    const { engine } = openEngine();
    const id = await create(engine);
    const { token } = await claim(engine);
    await engine.remove(id);
    expect(await codeOf(engine.settle(id, token, DONE))).toBe("lease_lost");
    expect(await engine.count({})).toBe(0);
  });

  test("does not wait for creates", async () => {
    const gate = Promise.withResolvers<void>();
    let gated = false;
    const { engine } = openEngine({
      around: (store) => ({
        ...store,
        insert: (...args) => (gated ? gate.promise : Promise.resolve()).then(() => store.insert(...args)),
      }),
    });
    const id = await create(engine);
    const { token } = await claim(engine);
    gated = true;
    const stuck = create(engine);
    await engine.settle(id, token, DONE);
    expect((await engine.get(id)).status).toBe("done");
    gate.resolve();
    await stuck;
  });
});
