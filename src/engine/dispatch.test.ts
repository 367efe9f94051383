import { describe, expect, test } from "bun:test";
import { settled } from "../../test/support/clock.ts";
import { LEASE_MS, openEngine, POLL_MS } from "../../test/support/engine.ts";
import {
  ask,
  claim,
  counting,
  create,
  createMany,
  FAILED,
  HOUR_MS,
  ids,
  NEVER,
  RELEASED,
} from "../../test/support/verbs.ts";
import { TaskError } from "../core/error.ts";
import { create as createDraft, TYPE_DEFAULTS } from "../core/lifecycle.ts";
import type { TaskId } from "../core/task.ts";
import type { TaskStore } from "../store/store.ts";
import type { WakeUp, WakeUps } from "../wakeup/wake-ups.ts";
import type { Claimed } from "./dispatch.ts";
import type { Engine } from "./engine.ts";

/** A source whose wake-ups never come. */
const SILENT: WakeUps = {
  notify: async () => undefined,
  listen: (_types, signal) => new Promise((resolve) => signal.addEventListener("abort", () => resolve(null))),
  close: async () => undefined,
};

describe("a claim", () => {
  test("gets the due tasks of its types, the best first, up to its max", async () => {
    const { engine } = openEngine();
    for (const [type, priority] of [
      ["a", 0],
      ["a", 5],
      ["b", 9],
      ["a.x", 7],
      ["a", 5],
    ] as const) {
      await create(engine, { type, priority });
    }
    expect(ids(await engine.claim(ask({ types: ["a"], max: 2 }), NEVER))).toEqual([2, 5]);
    expect(ids(await engine.claim(ask({ types: ["a*"], max: 9 }), NEVER))).toEqual([4, 1]);
    expect(ids(await engine.claim(ask({ types: ["c", "b"], max: 9 }), NEVER))).toEqual([3]);
  });

  test("returns leases that began at `leasedAt` or later", async () => {
    const { engine, clock } = openEngine({ pollMs: 700 });
    const claimed = engine.claim(ask(), NEVER);
    await clock.advance(1_500);
    await create(engine);
    const { tasks, leasedAt } = await claimed;
    expect(tasks[0]?.startedAt).toBe(engine.now());
    expect(leasedAt).toBe(clock.monotonic());
  });

  test("wakes at once after a wake-up", async () => {
    const { engine } = openEngine();
    const claimed = engine.claim(ask(), NEVER);
    await settled();
    const id = await create(engine);
    expect(ids(await claimed)).toEqual([id]);
  });

  test.each([
    ["a release", (engine: Engine, id: TaskId, token: string) => engine.settle(id, token, RELEASED)],
    [
      "a manual retry",
      (engine: Engine, id: TaskId, token: string) =>
        engine.settle(id, token, { ...FAILED, retryable: false }).then(() => engine.retry(id)),
    ],
  ])("wakes at once after %s", async (_what, free) => {
    const { engine } = openEngine();
    const id = await create(engine);
    const { token } = await claim(engine);
    const claimed = engine.claim(ask(), NEVER);
    await settled();
    await free(engine, id, token);
    expect(ids(await claimed)).toEqual([id]);
  });

  test("wakes at once after an edit has made a task due", async () => {
    const { engine } = openEngine();
    const id = await create(engine, { delayMs: HOUR_MS });
    const claimed = engine.claim(ask(), NEVER);
    await settled();
    await engine.edit(id, { runAt: engine.now() });
    expect(ids(await claimed)).toEqual([id]);
  });

  test("does not ask the store after a wake-up of types without a waiting claim", async () => {
    const calls = counting();
    const { engine } = openEngine(calls);
    const claimed = engine.claim(ask({ types: ["a.*"] }), NEVER);
    await settled();
    calls.take("claim");
    await create(engine, { type: "b" });
    await settled();
    expect(calls.take("claim")).toBe(0);
    await create(engine, { type: "a.b" });
    expect(ids(await claimed)).toEqual([2]);
  });

  test("claims again soon after a wake-up for a task that is due a moment later by this clock", async () => {
    const { engine, store, clock } = openEngine();
    const { around, take } = counting();
    const { engine: other } = openEngine({ clock, store: around(store) });
    const claimed = other.claim(ask(), NEVER);
    await settled();
    const ahead = createDraft({ name: "name", type: "work" }, TYPE_DEFAULTS, engine.now() + 2);
    take("claim");
    await store.insert([{ drafts: [ahead], idempotency: null }], engine.now() + 2);
    await settled();
    expect(take("claim")).toBe(1);
    await clock.advance(10);
    expect(ids(await claimed)).toEqual([1]);
  });

  test("claims once after a late wake-up: the task was due long before", async () => {
    const late: WakeUps = {
      ...SILENT,
      listen: async (_types, signal) =>
        signal.aborted ? null : { ack: async () => undefined, isLate: true },
    };
    let listens = 0;
    const { around, take } = counting();
    const { engine, clock } = openEngine({
      around,
      wakeUps: { ...late, listen: (...args) => (++listens === 1 ? late : SILENT).listen(...args) },
    });
    void engine.claim(ask(), NEVER);
    await clock.advance(POLL_MS / 2);
    expect(take("claim")).toBe(2); // one as the claim begins to wait, one after the wake-up
  });

  test("polls later after a look that found no due task", async () => {
    const { around, take } = counting();
    const { engine, clock } = openEngine({
      around,
      look: (looked) => ({ ...looked, isDue: false }),
    });
    await engine.start();
    const claimed = engine.claim(ask(), NEVER);
    await clock.advance(10 * POLL_MS);
    expect(take("claim")).toBe(1);
    void claimed;
    await engine.close();
  });

  test("finds by its poll a task without a wake-up", async () => {
    const { engine, clock } = openEngine({ wakeUps: SILENT });
    const claimed = engine.claim(ask(), NEVER);
    await settled();
    const id = await create(engine);
    let found: TaskId[] = [];
    void claimed.then((got) => (found = ids(got)));
    await clock.advance(POLL_MS - 1);
    expect(found).toEqual([]);
    await clock.advance(1);
    expect(found).toEqual([id]);
  });

  test("finds by its poll a task that has become due meanwhile", async () => {
    const { engine, clock } = openEngine();
    const id = await create(engine, { delayMs: 2_500 });
    let found: TaskId[] = [];
    void engine.claim(ask(), NEVER).then((got) => (found = ids(got)));
    await clock.advance(2_499);
    expect(found).toEqual([]);
    await clock.advance(POLL_MS);
    expect(found).toEqual([id]);
  });

  test("polls while wake-ups cannot be received", async () => {
    const { engine, clock, log } = openEngine({
      wakeUps: { ...SILENT, listen: () => Promise.reject(new Error("no broker")) },
    });
    const claimed = engine.claim(ask(), NEVER);
    await settled();
    const id = await create(engine);
    await clock.advance(POLL_MS);
    expect(ids(await claimed)).toEqual([id]);
    expect(log.events).toContain("hear_failed");
  });

  test("a notification that fails is logged, and the task is still created", async () => {
    const { engine, log } = openEngine({
      wakeUps: { ...SILENT, notify: () => Promise.reject(new Error("no broker")) },
    });
    expect(await create(engine)).toBe(1);
    await settled();
    expect(log.events).toEqual(["ring_failed"]);
  });

  test("notifications that fail for long are logged once, and so is that they have worked for a while", async () => {
    let isBroken = true;
    const notify = async (): Promise<void> => {
      if (isBroken) throw new Error("no broker");
    };
    const { engine, log, clock } = openEngine({ wakeUps: { ...SILENT, notify } });
    for (let n = 0; n < 5; n++) await create(engine);
    isBroken = false;
    await create(engine);
    await clock.advance(10_000);
    for (let n = 0; n < 5; n++) await create(engine);
    await settled();
    expect(log.events).toEqual(["ring_failed", "ring_works_again"]);
  });

  test("notifications that fail now and then, as those of a broker that is too slow, are logged once", async () => {
    let notifications = 0;
    const notify = async (): Promise<void> => {
      if (notifications++ % 2 === 0) throw new Error("does not confirm");
    };
    const { engine, log } = openEngine({ wakeUps: { ...SILENT, notify } });
    for (let n = 0; n < 10; n++) await create(engine);
    await settled();
    expect(log.events).toEqual(["ring_failed"]);
  });

  test("of this process's own workers is woken by `ownWakeUps`, which is notified in place of `wakeUps`", async () => {
    const notified: string[] = [];
    const wakeUp = Promise.withResolvers<WakeUp>();
    const named = (name: string, listen = SILENT.listen): WakeUps => ({
      ...SILENT,
      listen,
      notify: async () => void notified.push(name),
    });
    const { engine } = openEngine({ wakeUps: named("all"), ownWakeUps: named("own", () => wakeUp.promise) });
    const [remote, own] = [engine.claim(ask(), NEVER), engine.claimOwn(ask(), NEVER)];
    await settled();
    await create(engine);
    wakeUp.resolve({ ack: async () => undefined });
    expect(ids(await own)).toEqual([1]);
    expect(notified).toEqual(["own"]);
    await engine.close();
    expect(ids(await remote)).toEqual([]);
  });

  test("notifies once for a batch, with each type once for each due task", async () => {
    const notified: string[][] = [];
    const { engine } = openEngine({
      wakeUps: { ...SILENT, notify: async (types) => void notified.push([...types]) },
    });
    await Promise.all([
      engine.create([
        { name: "n", type: "a" },
        { name: "n", type: "b" },
      ]),
      engine.create([
        { name: "n", type: "a" },
        { name: "n", type: "later", delayMs: 1 },
      ]),
    ]);
    expect(notified).toEqual([["a", "b", "a"]]);
  });

  test("acknowledges a wake-up right after the call of the store, before any work is done", async () => {
    const order: string[] = [];
    const wakeUp = Promise.withResolvers<WakeUp>();
    const { engine } = openEngine({
      wakeUps: { ...SILENT, listen: () => wakeUp.promise },
      around: (store) => ({
        ...store,
        claim: async (asks, terms) => {
          const answers = await store.claim(asks, terms);
          order.push(`claimed ${answers.flat().length}`);
          return answers;
        },
      }),
    });
    const claimed = engine.claim(ask(), NEVER);
    await settled();
    await create(engine);
    wakeUp.resolve({ ack: async (tasks) => void order.push(`acknowledged ${tasks}`) });
    await claimed;
    await settled();
    expect(order).toEqual(["claimed 0", "claimed 1", "acknowledged 1"]);
  });

  test("asks again at the next poll, no sooner, when the store refuses", async () => {
    let away = true;
    let asked = 0;
    const { engine, clock, log } = openEngine({
      around: (store) => ({
        ...store,
        claim: async (...args) => {
          asked++;
          if (away) throw new TaskError("store_unavailable", "The store did not answer");
          return store.claim(...args);
        },
      }),
    });
    const id = await create(engine);
    const claimed = engine.claim(ask(), NEVER);
    await clock.advance(POLL_MS - 1);
    expect(asked).toBe(1);
    await clock.advance(1);
    expect(asked).toBe(2);
    away = false;
    await clock.advance(POLL_MS);
    expect(ids(await claimed)).toEqual([id]);
    expect(log.events).toEqual(["claim_failed", "claim_failed"]);
  });

  describe("during a call of the store", () => {
    /** The first call of the store is answered when the test opens the gate; with `fails` it is rejected. */
    function openGated(fails = false) {
      const gate = Promise.withResolvers<void>();
      let asked = 0;
      const { engine, clock } = openEngine({
        around: (store) => ({
          ...store,
          claim: async (...args) => {
            asked++;
            if (asked > 1) return store.claim(...args);
            const answers = await store.claim(...args);
            await gate.promise;
            if (fails) throw new TaskError("store_unavailable", "The store did not answer");
            return answers;
          },
        }),
      });
      return { engine, clock, open: () => gate.resolve(), asked: () => asked };
    }

    test("a task that is created too late for its answer is found right after that call", async () => {
      const { engine, open, clock } = openGated();
      const claimed = engine.claim(ask(), NEVER);
      await settled();
      const id = await create(engine);
      open();
      expect(ids(await claimed)).toEqual([id]);
      expect(clock.monotonic()).toBe(0);
    });

    test("a new claim is served right after that call", async () => {
      const { engine, open, clock } = openGated();
      await create(engine, { type: "b" });
      void engine.claim(ask({ types: ["a"] }), NEVER);
      await settled();
      const claimed = engine.claim(ask({ types: ["b"] }), NEVER);
      open();
      expect(ids(await claimed)).toEqual([1]);
      expect(clock.monotonic()).toBe(0);
    });

    test("a new claim does not call a failing store again before the next poll", async () => {
      const { engine, open, clock, asked } = openGated(true);
      const claimed = engine.claim(ask(), NEVER);
      await settled();
      const id = await create(engine);
      open();
      await clock.advance(POLL_MS - 1);
      expect(asked()).toBe(1);
      await clock.advance(1);
      expect(ids(await claimed)).toEqual([id]);
    });
  });

  test("neither calls the store nor listens after the last waiting claim has ended", async () => {
    const calls = counting();
    let listening = 0;
    const { engine, clock } = openEngine({
      ...calls,
      wakeUps: {
        ...SILENT,
        listen: async (types, signal) => {
          listening++;
          const wakeUp = await SILENT.listen(types, signal);
          listening--;
          return wakeUp;
        },
      },
    });
    const leaving = new AbortController();
    const claimed = engine.claim(ask(), leaving.signal);
    await settled();
    expect(listening).toBe(1);
    leaving.abort();
    await claimed;
    await clock.advance(POLL_MS);
    calls.take("claim");
    await clock.advance(10 * POLL_MS);
    expect(calls.take("claim")).toBe(0);
    expect(listening).toBe(0);
  });

  describe("of a thousand at once", () => {
    const crowd = (engine: Engine, signal: AbortSignal = NEVER): Promise<Claimed>[] =>
      Array.from({ length: 1_000 }, (_, at) => engine.claim(ask({ worker: `worker-${at}` }), signal));

    test("is one call of the store for all of one turn", async () => {
      const calls = counting();
      const { engine } = openEngine(calls);
      await createMany(engine, 1_000);
      await Promise.all(crowd(engine));
      expect(calls.take("claim")).toBe(1);
    });

    test("is one call of the store for all waiting claims, at each poll", async () => {
      const calls = counting();
      const { engine, clock } = openEngine(calls);
      void crowd(engine);
      await settled();
      calls.take("claim");
      await clock.advance(3 * POLL_MS);
      expect(calls.take("claim")).toBe(3);
    });

    test("asks the store for a few of them after a wake-up, and for all while there are more tasks", async () => {
      const asks: number[] = [];
      const around = (store: TaskStore): TaskStore => ({
        ...store,
        claim: (asked, terms) => {
          asks.push(asked.length);
          return store.claim(asked, terms);
        },
      });
      const { engine } = openEngine({ around });
      const claims = crowd(engine);
      await settled();
      expect(asks.splice(0)).toEqual([1_000]);
      await create(engine);
      await claims[0];
      await settled();
      expect(asks.splice(0)).toEqual([16, 32]);
      await createMany(engine, 999);
      await Promise.all(claims);
      expect(asks.splice(0)).toEqual([16, 32, 64, 128, 256, 503]);
    });

    test("serves them in the order of arrival", async () => {
      const { engine } = openEngine();
      const claims = crowd(engine);
      await settled();
      await createMany(engine, 1_000);
      const served = await Promise.all(claims);
      expect(served.flatMap(ids)).toEqual(Array.from({ length: 1_000 }, (_, at) => at + 1));
    });

    test("gives fewer tasks than waiters to the first waiters, and the next tasks to the next waiters", async () => {
      const { engine } = openEngine();
      const served: number[] = [];
      for (const [at, claimed] of crowd(engine).entries()) void claimed.then(() => served.push(at));
      await settled();
      await createMany(engine, 3);
      await settled();
      expect(served).toEqual([0, 1, 2]);
      await createMany(engine, 1);
      await settled();
      expect(served).toEqual([0, 1, 2, 3]);
    });

    test("ends each of them when its signal aborts", async () => {
      const { engine } = openEngine();
      const leaving = new AbortController();
      const claims = crowd(engine, leaving.signal);
      await settled();
      leaving.abort();
      expect((await Promise.all(claims)).flatMap(ids)).toEqual([]);
    });
  });

  test("for more tasks than there are does not keep a later claim from its tasks", async () => {
    const { engine, clock } = openEngine();
    void engine.claim(ask({ types: ["absent"], max: 1_000 }), NEVER);
    let found: TaskId[] = [];
    void engine.claim(ask({ types: ["present"] }), NEVER).then((got) => (found = ids(got)));
    await settled();
    const id = await create(engine, { type: "present" });
    await clock.advance(3 * POLL_MS);
    expect(found).toEqual([id]);
  });

  test("for more than a thousand gets a thousand, and the next one gets the rest", async () => {
    const { engine } = openEngine();
    await createMany(engine, 1_500);
    const claims = [ask({ max: 1_200 }), ask({ max: 400 })].map((each) => engine.claim(each, NEVER));
    expect((await Promise.all(claims)).map(({ tasks }) => tasks.length)).toEqual([1_000, 400]);
  });

  describe("whose signal aborts", () => {
    test("ends at once without tasks", async () => {
      const { engine } = openEngine();
      const leaving = new AbortController();
      const claimed = engine.claim(ask(), leaving.signal);
      await settled();
      leaving.abort();
      expect((await claimed).tasks).toEqual([]);
    });

    test("takes no task later", async () => {
      const { engine, clock } = openEngine();
      const leaving = new AbortController();
      const claimed = engine.claim(ask(), leaving.signal);
      await settled();
      leaving.abort();
      await claimed;
      const id = await create(engine);
      await clock.advance(10 * POLL_MS);
      expect(await engine.get(id)).toMatchObject({ status: "pending", claims: 0 });
    });

    test("before the claim begins does not call the store", async () => {
      const calls = counting();
      const { engine } = openEngine(calls);
      await create(engine);
      expect((await engine.claim(ask(), AbortSignal.abort())).tasks).toEqual([]);
      expect(calls.take("claim")).toBe(0);
    });

    test("during the call of the store returns its tasks at once, and no attempt is counted", async () => {
      const gate = Promise.withResolvers<void>();
      const { engine } = openEngine({
        around: (store) => ({ ...store, claim: (...args) => gate.promise.then(() => store.claim(...args)) }),
      });
      const id = await create(engine, { maxAttempts: 1 });
      const leaving = new AbortController();
      const claimed = engine.claim(ask(), leaving.signal);
      await settled();
      leaving.abort();
      expect((await claimed).tasks).toEqual([]);
      gate.resolve();
      await settled();
      const task = await engine.get(id);
      expect(task).toMatchObject({
        status: "pending",
        attempt: 0,
        failures: 0,
        losses: 0,
        runAt: engine.now(),
      });
      expect(task.attempts.map(({ outcome }) => outcome)).toEqual(["released"]);
    });

    test("during the call of the store leaves the task to a claim that still waits", async () => {
      const gate = Promise.withResolvers<void>();
      let gated = true;
      const { engine } = openEngine({
        around: (store) => ({
          ...store,
          claim: (...args) => (gated ? gate.promise : Promise.resolve()).then(() => store.claim(...args)),
        }),
      });
      const leaving = new AbortController();
      const left = engine.claim(ask({ worker: "gone" }), leaving.signal);
      const stayed = engine.claim(ask({ worker: "stays" }), NEVER);
      await settled();
      const id = await create(engine);
      leaving.abort();
      gated = false;
      gate.resolve();
      expect(ids(await stayed)).toEqual([id]);
      expect((await left).tasks).toEqual([]);
    });

    test("and whose tasks cannot be returned delays them only until their lease ends", async () => {
      const gate = Promise.withResolvers<void>();
      const { engine, clock, log } = openEngine({
        around: (store) => ({
          ...store,
          claim: (...args) => gate.promise.then(() => store.claim(...args)),
          replace: async (steps) => {
            if (steps.some(({ to }) => to.attempt === 0)) throw new TaskError("store_unavailable", "Away");
            return store.replace(steps);
          },
        }),
      });
      const id = await create(engine);
      const leaving = new AbortController();
      const claimed = engine.claim(ask(), leaving.signal);
      await settled();
      leaving.abort();
      gate.resolve();
      await claimed;
      await settled();
      expect(log.events).toEqual(["give_back_failed"]);
      await clock.advance(LEASE_MS);
      await engine.sweep();
      expect(await engine.get(id)).toMatchObject({ status: "pending", losses: 1 });
    });
  });

  describe("at the engine's close", () => {
    test("ends without tasks, and so does every later claim", async () => {
      const { engine } = openEngine();
      const claimed = engine.claim(ask(), NEVER);
      await settled();
      await engine.close();
      expect((await claimed).tasks).toEqual([]);
      await create(engine);
      expect((await engine.claim(ask(), NEVER)).tasks).toEqual([]);
      await engine.close();
    });

    test("returns the tasks of a call under way before the close is over", async () => {
      const gate = Promise.withResolvers<void>();
      const { engine, store } = openEngine({
        around: (store) => ({ ...store, claim: (...args) => gate.promise.then(() => store.claim(...args)) }),
      });
      const id = await create(engine);
      const claimed = engine.claim(ask(), NEVER);
      await settled();
      const closed = engine.close();
      gate.resolve();
      await closed;
      expect((await claimed).tasks).toEqual([]);
      expect(await store.get([id])).toMatchObject([{ status: "pending", attempt: 0 }]);
    });
  });
});
