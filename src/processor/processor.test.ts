import { describe, expect, test } from "bun:test";
import { createManualClock, type ManualClock, settled } from "../../test/support/clock.ts";
import { createTestLog, openEngine } from "../../test/support/engine.ts";
import { eventually } from "../../test/support/eventually.ts";
import { runningTask } from "../../test/support/tasks.ts";
import { create } from "../../test/support/verbs.ts";
import { TaskError } from "../core/error.ts";
import type { Outcome } from "../core/outcome.ts";
import type { RunningTask, TaskId } from "../core/task.ts";
import { fail, type Handler, type HandlerContext, type HandlerTask } from "./handler.ts";
import { createProcessor, KILL_AFTER_MS, type ProcessorSetup } from "./processor.ts";
import type { ClaimRequest, Heartbeat, TaskSource } from "./source.ts";

const LEASE_MS = 30_000;
const TICK_MS = 250;
const GRACE_MS = 25_000;

type Answer = "ok" | "cancel" | "lost";
type Settled = { readonly id: TaskId; readonly token: string; readonly outcome: Outcome };

const away = (): Promise<never> => Promise.reject(new TaskError("store_unavailable", "The source is away"));
const silent = (): Promise<never> => new Promise(() => undefined);

/**
 * A source of tasks whose answers the test decides. It gives out the offered tasks in their order, and records all
 * calls.
 */
function createSource(clock: ManualClock) {
  const offered: RunningTask[] = [];
  const requests: ClaimRequest[] = [];
  const beats: { readonly at: number; readonly beat: Heartbeat }[] = [];
  const settles: Settled[] = [];
  const listeners = new Set<Parameters<TaskSource["onRevoked"]>[0]>();
  let waiting: { readonly max: number; readonly serve: () => void } | null = null;

  const source = {
    requests,
    beats,
    settles,
    listeners,
    extendCalls: 0,
    beatsOf: (id: TaskId) => beats.filter(({ beat }) => beat.id === id),
    offer: (...tasks: RunningTask[]) => {
      offered.push(...tasks);
      waiting?.serve();
    },
    hint: (id: TaskId, version: number | null) => {
      for (const listener of listeners) listener({ id, version });
    },
    // The test may replace these.
    onClaim: async (): Promise<void> => undefined,
    onExtend: async (_beat: Heartbeat): Promise<Answer> => "ok",
    onSettle: async (): Promise<void> => undefined,

    claim: async (request: ClaimRequest, signal: AbortSignal) => {
      requests.push(request);
      await source.onClaim();
      const leasedAt = clock.monotonic();
      if (offered.length === 0 && !signal.aborted) {
        await new Promise<void>((resolve) => {
          waiting = { max: request.max, serve: resolve };
          signal.addEventListener("abort", () => resolve(), { once: true });
        });
        waiting = null;
      }
      return { tasks: signal.aborted ? [] : offered.splice(0, request.max), leasedAt };
    },
    extend: async (called: readonly Heartbeat[]) => {
      source.extendCalls++;
      for (const beat of called) beats.push({ at: clock.monotonic(), beat });
      return Promise.all(called.map((beat) => source.onExtend(beat)));
    },
    settle: async (id: TaskId, token: string, outcome: Outcome) => {
      await source.onSettle();
      settles.push({ id, token, outcome });
    },
    onRevoked: (listener: Parameters<TaskSource["onRevoked"]>[0]) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
  return source satisfies TaskSource;
}

/** One run of a handler. The test decides when and how it ends. */
type Run = {
  readonly task: HandlerTask;
  readonly context: HandlerContext;
  readonly finish: (value?: unknown) => void;
  readonly crash: (error: unknown) => void;
};

/** A handler that runs until the test ends it. It obeys the abort signal, or ignores it. */
function createWork({ obeys = true } = {}) {
  const runs: Run[] = [];
  const handler: Handler = (task, context) => {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    runs.push({ task, context, finish: resolve, crash: reject });
    if (obeys) context.signal.addEventListener("abort", () => reject(new Error("told to stop")));
    return promise;
  };
  const run = (at: number): Run => {
    const found = runs[at];
    if (found === undefined) throw new Error(`run ${at} has not begun`);
    return found;
  };
  const abortReasonOf = (at: number): unknown => run(at).context.signal.reason;
  return { handler, runs, run, abortReasonOf };
}

function open(handler: Handler, setup: Partial<ProcessorSetup> = {}) {
  const clock = createManualClock();
  const source = createSource(clock);
  const log = createTestLog();
  const processor = createProcessor({
    source,
    handlers: new Map([["work", handler]]),
    worker: "worker-1",
    concurrency: 10,
    leaseMs: LEASE_MS,
    clock,
    log,
    ...setup,
  });
  processor.start();
  return { clock, source, log, processor };
}

const task = (id: TaskId, fields: Partial<RunningTask> = {}): RunningTask =>
  runningTask({ id, token: `${id}.t`, ...fields });

const tasks = (count: number): RunningTask[] => Array.from({ length: count }, (_, at) => task(at + 1));

const released: Outcome = { kind: "released", delayMs: 0 };

describe("slots", () => {
  test("are never exceeded, however many tasks the source gives", async () => {
    const work = createWork();
    const { source, processor } = open(work.handler, { concurrency: 3 });
    source.offer(...tasks(20));
    let peak = 0;
    for (let ended = 0; ended < 20; ended++) {
      await settled();
      peak = Math.max(peak, work.runs.length - ended);
      expect(processor.running).toBe(work.runs.length - ended);
      work.run(ended).finish();
    }
    await settled();
    expect(peak).toBe(3);
    expect(processor.running).toBe(0);
    expect(source.settles).toHaveLength(20);
    expect(Math.max(...source.requests.map(({ max }) => max))).toBe(2);
  });

  test("are filled in halves, so that tasks for one half are claimed while outcomes of the other are reported", async () => {
    const work = createWork();
    const { source } = open(work.handler, { concurrency: 6 });
    source.offer(...tasks(20));
    await settled();
    expect(source.requests.map(({ max }) => max)).toEqual([3, 3]);
    expect(work.runs).toHaveLength(6);
  });

  test("are filled in quarters if there are many, and the next claim is sent before the handlers of the last one start", async () => {
    const started: number[] = []; // the number of claims at each start of a handler
    const { source } = open(
      async () => {
        started.push(source.requests.length);
        await silent();
      },
      { concurrency: 200 },
    );
    source.offer(...tasks(300));
    await eventually(
      () => started.length,
      (count) => count === 200,
    );
    expect(source.requests.map(({ max }) => max)).toEqual([50, 50, 50, 50]);
    expect(started.slice(0, 50)).toEqual(Array.from({ length: 50 }, () => 4));
  });

  test("of tasks that were stopped before their handlers started give them back", async () => {
    const work = createWork();
    const { source, processor } = open(work.handler, { concurrency: 50 });
    source.offer(...tasks(25));
    await settled(); // claimed, and the handlers start in the next turn of the event loop
    expect([processor.running, work.runs.length]).toEqual([25, 0]);
    expect(await processor.stop(0)).toBe(0);
    expect(work.runs).toHaveLength(0);
    expect(source.settles.map(({ outcome }) => outcome)).toEqual(
      Array.from({ length: 25 }, () => ({ kind: "released", delayMs: 0 })),
    );
  });

  test("cause claims for the free ones only, for the types with handlers, under the worker's name", async () => {
    const work = createWork();
    const { source } = open(work.handler, {
      concurrency: 5,
      handlers: new Map([
        ["work", work.handler],
        ["play", work.handler],
      ]),
    });
    source.offer(...tasks(2));
    await settled();
    const request = { worker: "worker-1", types: ["work", "play"], leaseMs: LEASE_MS, slots: 5 };
    expect(source.requests).toEqual([
      { ...request, max: 3 },
      { ...request, max: 3 },
    ]);
  });

  test("that become free are filled again at once", async () => {
    const work = createWork();
    const { source, clock } = open(work.handler, { concurrency: 1 });
    source.offer(...tasks(2));
    await settled();
    expect(work.runs).toHaveLength(1);
    work.run(0).finish();
    await settled();
    expect(work.runs).toHaveLength(2);
    expect(clock.monotonic()).toBe(0);
  });

  test("claim nothing while all are taken", async () => {
    const work = createWork();
    const { source, clock } = open(work.handler, { concurrency: 2 });
    source.offer(...tasks(2));
    await clock.advance(60_000);
    expect(source.requests).toHaveLength(2);
  });

  test("are claimed for at most a thousand at a time", async () => {
    const { source } = open(createWork().handler, { concurrency: 5_000 });
    await settled();
    expect(source.requests.map(({ max }) => max)).toEqual([1_000]);
  });

  test("stay taken until the handler has ended, even long after it was told to stop", async () => {
    const work = createWork({ obeys: false });
    const { source, clock, processor } = open(work.handler, { concurrency: 1 });
    source.onExtend = async () => "lost";
    source.offer(...tasks(2));
    await clock.advance(LEASE_MS);
    expect(work.abortReasonOf(0)).toBe("lost");
    expect(work.runs).toHaveLength(1);
    expect(processor.running).toBe(1);
    work.run(0).finish();
    await settled();
    expect(work.runs).toHaveLength(2);
  });

  test("may both run one task, if it comes back while its lost run continues", async () => {
    const work = createWork({ obeys: false });
    const { source, clock, processor } = open(work.handler, { concurrency: 2 });
    source.onExtend = async ({ token }) => (token === "1.t" ? "lost" : "ok");
    source.offer(task(1));
    await clock.advance(LEASE_MS / 3);
    source.offer(task(1, { token: "2.t" }), task(3));
    await settled();
    expect(processor.running).toBe(2);
    expect(work.runs).toHaveLength(2);

    work.run(0).finish();
    await settled();
    expect(processor.running).toBe(2); // the second run of task 1, and task 3 in the slot that became free
    expect(work.runs).toHaveLength(3);
    await clock.advance(LEASE_MS);
    const renewed = source.beatsOf(1).filter(({ beat }) => beat.token === "2.t");
    expect(renewed.length).toBeGreaterThanOrEqual(3);
    source.hint(1, null);
    await settled();
    expect(source.beats.at(-1)).toMatchObject({ at: clock.monotonic(), beat: { token: "2.t" } });

    work.run(1).finish("second");
    await settled();
    expect(source.settles).toEqual([{ id: 1, token: "2.t", outcome: { kind: "done", result: '"second"' } }]);
    expect(processor.running).toBe(1);
  });

  test("are claimed for again a second after a failure of the source", async () => {
    const work = createWork();
    const { source, clock, log } = open(work.handler);
    source.offer(task(1));
    source.onClaim = away;
    await clock.advance(0);
    const before = source.requests.length;
    await clock.advance(2_500);
    expect(source.requests.length - before).toBe(2);
    source.onClaim = async () => undefined;
    await clock.advance(1_000);
    expect(source.requests.length - before).toBeLessThanOrEqual(4);
    await settled();
    expect(work.runs).toHaveLength(1);
    expect(log.events).toContain("claim_failed");
  });

  test("do not claim in a tight loop if the source answers at once without tasks", async () => {
    const clock = createManualClock();
    const inner = createSource(clock);
    let asked = 0;
    const source: TaskSource = {
      ...inner,
      claim: () => {
        asked++;
        return asked > 1_000 ? silent() : Promise.resolve({ tasks: [], leasedAt: clock.monotonic() });
      },
    };
    open(createWork().handler, { clock, source });
    await settled();
    expect(asked).toBeLessThan(10);
  });
});

describe("the argument of a handler", () => {
  test("is its task, with the payload parsed", async () => {
    const work = createWork();
    const { source } = open(work.handler);
    source.offer(
      task(1, {
        name: "n",
        tags: ["x"],
        labels: { a: "b" },
        attempt: 2,
        payload: '{"a":[1]}',
        createdAt: 1_234,
      }),
      task(2),
    );
    await settled();
    expect(work.run(0).task).toEqual({
      id: 1,
      name: "n",
      description: "description",
      type: "work",
      tags: ["x"],
      labels: { a: "b" },
      attempt: 2,
      losses: 0,
      payload: { a: [1] },
      payloadText: '{"a":[1]}',
      createdAt: 1_234,
    });
    expect(work.run(1).task.payload).toBeNull();
  });
});

describe("the outcome of a run", () => {
  const failed = (message: string, fields: { code?: string; retryable?: boolean } = {}): Outcome => ({
    kind: "failed",
    error: { code: fields.code ?? "handler_error", message },
    retryable: fields.retryable ?? true,
    retryAfterMs: null,
  });
  const done = (result: string | null): Outcome => ({ kind: "done", result });
  const circle: Record<string, unknown> = {};
  circle.self = circle;

  const throwing =
    (thrown: unknown): Handler =>
    async () => {
      throw thrown;
    };
  const returning =
    (value: unknown): Handler =>
    async () =>
      value;

  test.each<[string, Handler, Outcome]>([
    ["an object", returning({ b: 1, a: [null] }), done('{"b":1,"a":[null]}')],
    ["a text", returning("text"), done('"text"')],
    ["null", returning(null), done("null")],
    ["nothing", returning(undefined), done(null)],
    ["half an emoji, which JSON can contain", returning("\ud83d"), done('"\\ud83d"')],
    ["a function, which JSON cannot contain", returning(() => 1), done(null)],
    ["fail()", returning(fail("no")), failed("no")],
    [
      "fail() that is permanent",
      returning(fail("no", { code: "bad_input", retryable: false })),
      failed("no", { code: "bad_input", retryable: false }),
    ],
  ])("after it returned %s", async (_what, handler, outcome) => {
    const { source } = open(handler);
    source.offer(task(1));
    await settled();
    expect(source.settles).toEqual([{ id: 1, token: "1.t", outcome }]);
  });

  test.each<[string, Handler, Outcome]>([
    ["an error", throwing(new TypeError("broken")), failed("broken")],
    ["a text", throwing("broken"), failed("broken")],
    ["nothing", throwing(undefined), failed("undefined")],
    ["fail()", throwing(fail("no", { code: "x" })), failed("no", { code: "x" })],
    [
      "an error before it returned a promise",
      () => {
        throw new Error("early");
      },
      failed("early"),
    ],
    [
      "an error with a text that no store accepts",
      throwing(new Error("a\0b\ud800")),
      failed("a\ufffdb\ufffd"),
    ],
  ])("after it threw %s", async (_what, handler, outcome) => {
    const { source } = open(handler);
    source.offer(task(1));
    await settled();
    expect(source.settles).toEqual([{ id: 1, token: "1.t", outcome }]);
  });

  const hostile = new Proxy(
    {},
    {
      has: () => {
        throw new Error("must not be read");
      },
    },
  );

  test.each<[string, string, Handler]>([
    ["it returned a circular object", "result_not_json", returning(circle)],
    ["it returned a bigint", "result_not_json", returning({ n: 1n })],
    [
      "it returned an object that throws when it is written as JSON",
      "result_not_json",
      returning({ toJSON: () => JSON.parse("{") }),
    ],
    ["it threw an object that throws when it becomes a text", "handler_error", throwing(Object.create(null))],
    ["it threw an object that throws when it is read", "handler_error", throwing(hostile)],
  ])("is a failure of the task, never of the processor, when %s", async (_what, code, handler) => {
    const { source, processor } = open(handler);
    source.offer(task(1), task(2));
    await settled();
    expect(source.settles.map(({ outcome }) => outcome)).toMatchObject([
      { kind: "failed", error: { code } },
      { kind: "failed", error: { code } },
    ]);
    expect(processor.running).toBe(0);
  });

  test.each([
    ["thrown", throwing(new Error("x".repeat(50_000)))],
    ["in fail()", returning(fail("x".repeat(50_000)))],
  ])("has a message that is cut to its limit when %s", async (_where, handler) => {
    const { source } = open(handler);
    source.offer(task(1));
    await settled();
    expect(source.settles[0]?.outcome).toEqual(failed("x".repeat(10_000)));
  });

  test("has a message that every store accepts, also from fail()", async () => {
    const { source } = open(returning(fail("a\0b\ud800")));
    source.offer(task(1));
    await settled();
    expect(source.settles[0]?.outcome).toEqual(failed("a\ufffdb\ufffd"));
  });

  test("is a failure if there is no handler for the type", async () => {
    const { source } = open(createWork().handler);
    source.offer(task(1, { type: "other" }));
    await settled();
    expect(source.settles[0]?.outcome).toEqual(failed('This worker has no handler for "other"'));
  });
});

describe("a timeout", () => {
  const timedOut: Outcome = {
    kind: "failed",
    error: { code: "timeout", message: "The attempt took longer than its 5000 ms" },
    retryable: true,
    retryAfterMs: null,
  };

  test("aborts the run and is its failure, which is retried", async () => {
    const work = createWork();
    const { source, clock } = open(work.handler);
    source.offer(task(1, { timeoutMs: 5_000 }));
    await clock.advance(4_999);
    expect(work.run(0).context.signal.aborted).toBe(false);
    await clock.advance(1);
    expect(work.abortReasonOf(0)).toBe("timeout");
    expect(source.settles).toEqual([{ id: 1, token: "1.t", outcome: timedOut }]);
  });

  test("remains the failure, whatever error the handler throws later", async () => {
    for (const verdict of [fail("my own words"), fail("final", { retryable: false })]) {
      const work = createWork({ obeys: false });
      const { source, clock } = open(work.handler);
      source.offer(task(1, { timeoutMs: 5_000 }));
      await clock.advance(8_000);
      work.run(0).finish(verdict);
      await settled();
      expect(source.settles.map(({ outcome }) => outcome)).toEqual([timedOut]);
    }
  });

  test("does not replace a result that the handler still returns", async () => {
    const work = createWork({ obeys: false });
    const { source, clock } = open(work.handler);
    source.offer(task(1, { timeoutMs: 5_000 }));
    await clock.advance(8_000);
    work.run(0).finish(1);
    await settled();
    expect(source.settles.map(({ outcome }) => outcome)).toEqual([{ kind: "done", result: "1" }]);
  });

  test("keeps the lease and the slot of a handler that ignores it", async () => {
    const work = createWork({ obeys: false });
    const { source, clock, processor } = open(work.handler);
    source.offer(task(1, { timeoutMs: 5_000 }));
    await clock.advance(2 * LEASE_MS);
    expect(processor.running).toBe(1);
    expect(source.beatsOf(1).length).toBeGreaterThanOrEqual(5);
    expect(source.settles).toEqual([]);
  });

  test("has no effect after the end", async () => {
    const work = createWork();
    const { source, clock } = open(work.handler);
    source.offer(task(1, { timeoutMs: 5_000 }));
    await settled();
    work.run(0).finish();
    await clock.advance(10_000);
    expect(work.run(0).context.signal.aborted).toBe(false);
  });
});

describe("heartbeats", () => {
  test("come every third of the lease", async () => {
    const { source, clock } = open(createWork().handler);
    source.offer(task(1));
    await clock.advance(3 * LEASE_MS);
    const gaps = source.beatsOf(1).map(({ at }, index, all) => at - (all[index - 1]?.at ?? 0));
    expect(gaps.length).toBeGreaterThanOrEqual(8);
    for (const gap of gaps) {
      expect(gap).toBeGreaterThan(LEASE_MS / 3 - TICK_MS);
      expect(gap).toBeLessThanOrEqual(LEASE_MS / 3 + TICK_MS);
    }
  });

  test("that are due share one call", async () => {
    const { source, clock } = open(createWork().handler, { concurrency: 500 });
    source.offer(...tasks(500));
    await clock.advance(LEASE_MS / 3 + TICK_MS);
    expect(source.beats).toHaveLength(500);
    expect(source.extendCalls).toBe(1);
  });

  test("end with the run", async () => {
    const work = createWork();
    const { source, clock } = open(work.handler);
    source.offer(task(1));
    await settled();
    work.run(0).finish();
    await clock.advance(2 * LEASE_MS);
    expect(source.beats).toEqual([]);
  });

  test("count the lease, its thirds and its end from the time before the claim was sent", async () => {
    const work = createWork();
    const clock = createManualClock();
    const inner = createSource(clock);
    const source: TaskSource = {
      ...inner,
      claim: async (request, signal) => {
        const claimed = await inner.claim(request, signal);
        return { ...claimed, leasedAt: clock.monotonic() - 9_000 };
      },
      extend: (beats) => inner.extend(beats).then(away),
    };
    open(work.handler, { clock, source });
    inner.offer(task(1));
    await clock.advance(1_000 + TICK_MS);
    expect(inner.beatsOf(1)).toHaveLength(1);
    await clock.advance(25_000 - 9_000 - 1 - clock.monotonic());
    expect(work.run(0).context.signal.aborted).toBe(false);
    await clock.advance(1 + TICK_MS);
    expect(work.abortReasonOf(0)).toBe("lost");
  });

  test("count a renewal from the time when they were sent, not when they were answered", async () => {
    const work = createWork();
    const { source, clock } = open(work.handler);
    const answered = Promise.withResolvers<Answer>();
    source.onExtend = () => answered.promise;
    source.offer(task(1));
    await clock.advance(14_000);
    const sentAt = source.beatsOf(1)[0]?.at ?? Number.NaN;
    source.onExtend = away;
    answered.resolve("ok");
    await clock.advance(sentAt + 25_000 - 1 - clock.monotonic());
    expect(work.run(0).context.signal.aborted).toBe(false);
    await clock.advance(1 + TICK_MS);
    expect(work.abortReasonOf(0)).toBe("lost");
  });

  test("wait for the answer to the one before", async () => {
    const { source, clock } = open(createWork().handler);
    source.onExtend = silent;
    source.offer(task(1));
    await clock.advance(24_000);
    expect(source.beatsOf(1)).toHaveLength(1);
  });

  test("carry progress and log lines, soon but at most once a second", async () => {
    const work = createWork();
    const { source, clock } = open(work.handler);
    source.offer(task(1));
    await clock.advance(2_000);
    for (let percent = 1; percent <= 40; percent++) {
      work.run(0).context.progress(percent, `step ${percent}`);
      work.run(0).context.log(`line ${percent}`, percent === 40 ? "warn" : undefined);
      await clock.advance(100);
    }
    await clock.advance(1_000);
    const carried = source.beatsOf(1).map(({ beat }) => beat);
    expect(carried.length).toBeGreaterThanOrEqual(4);
    expect(carried.length).toBeLessThanOrEqual(6);
    expect(carried.at(-1)?.progress).toEqual({ percent: 40, message: "step 40" });
    expect(carried.flatMap(({ log }) => log)).toEqual(
      Array.from({ length: 40 }, (_, at) => ({
        level: at === 39 ? "warn" : "info",
        message: `line ${at + 1}`,
      })),
    );
  });

  test("carry nothing twice", async () => {
    const work = createWork();
    const { source, clock } = open(work.handler);
    source.offer(task(1));
    await settled();
    work.run(0).context.progress(50);
    work.run(0).context.log("half way");
    await clock.advance(LEASE_MS);
    const contents = source.beatsOf(1).map(({ beat }) => [beat.progress?.percent ?? null, beat.log.length]);
    expect(contents.length).toBeGreaterThanOrEqual(3);
    expect(contents[0]).toEqual([50, 1]);
    for (const later of contents.slice(1)) expect(later).toEqual([null, 0]);
  });

  test("carry the last progress and lines before the outcome is reported", async () => {
    const work = createWork();
    const { source, clock } = open(work.handler);
    let beatsBeforeTheEnd = 0;
    source.onSettle = async () => {
      beatsBeforeTheEnd = source.beats.length;
    };
    source.offer(task(1));
    await clock.advance(100);
    work.run(0).context.log("the last");
    work.run(0).context.progress(99);
    work.run(0).finish();
    await settled();
    expect(beatsBeforeTheEnd).toBe(1);
    expect(source.beats[0]?.beat).toMatchObject({
      progress: { percent: 99, message: "" },
      log: [{ level: "info", message: "the last" }],
    });
  });

  test("repeat the content of a failed one: all lines in their order, and the newest progress", async () => {
    const work = createWork();
    const { source, clock } = open(work.handler);
    source.offer(task(1));
    source.onExtend = away;
    await clock.advance(2_000);
    const { progress, log } = work.run(0).context;
    progress(1);
    log("first");
    await clock.advance(1_000);
    progress(2);
    log("second");
    await clock.advance(1_000);
    expect(source.beatsOf(1).length).toBeGreaterThanOrEqual(1);
    source.onExtend = async () => "ok";
    source.beats.length = 0;
    await clock.advance(2_000);
    expect(source.beats.map(({ beat }) => beat)).toEqual([
      {
        id: 1,
        token: "1.t",
        progress: { percent: 2, message: "" },
        log: [
          { level: "info", message: "first" },
          { level: "info", message: "second" },
        ],
      },
    ]);
  });

  test("repeat at most a thousand lines, the newest", async () => {
    const work = createWork();
    const { source, clock } = open(work.handler);
    const answered = Promise.withResolvers<Answer>();
    source.offer(task(1));
    source.onExtend = () => answered.promise;
    await settled();
    for (let line = 1; line <= 600; line++) work.run(0).context.log(`${line}`);
    await clock.advance(1_000 + TICK_MS);
    for (let line = 601; line <= 1_200; line++) work.run(0).context.log(`${line}`);
    answered.reject(new TaskError("store_unavailable", "The source is away"));
    await settled();
    source.onExtend = async () => "ok";
    source.beats.length = 0;
    await clock.advance(2_000);
    const lines = source.beats[0]?.beat.log.map(({ message }) => Number(message)) ?? [];
    expect(lines).toEqual(Array.from({ length: 1_000 }, (_, at) => at + 201));
  });

  test("repeat the last progress and lines if the source failed at the end", async () => {
    const work = createWork();
    const { source, clock } = open(work.handler);
    const sent: string[] = [];
    let reachable = false;
    source.onExtend = async ({ log }) => {
      if (!reachable) return away();
      sent.push(...log.map(({ message }) => message));
      return "ok";
    };
    source.onSettle = () => (reachable ? Promise.resolve() : away());
    source.offer(task(1));
    await settled();
    work.run(0).context.log("the last");
    work.run(0).finish();
    await clock.advance(1_500);
    reachable = true;
    await clock.advance(3_000);
    expect(source.settles).toHaveLength(1);
    expect(sent).toEqual(["the last"]);
  });

  test.each([
    [-5, 0],
    [250, 100],
    [Number.NaN, 0],
    [33.3, 33.3],
  ])("carry a progress of %d as %d", async (reported, percent) => {
    const work = createWork();
    const { source, clock } = open(work.handler);
    source.offer(task(1));
    await settled();
    work.run(0).context.progress(reported);
    await clock.advance(2_000);
    expect(source.beats[0]?.beat.progress).toEqual({ percent, message: "" });
  });

  test("carry texts that every store accepts, and at most a thousand lines", async () => {
    const work = createWork();
    const { source, clock } = open(work.handler);
    source.offer(task(1));
    await settled();
    const { progress, log } = work.run(0).context;
    progress(1, "\0");
    for (let line = 1; line <= 1_200; line++) log(`${line}\ud800`);
    await clock.advance(2_000);
    const carried = source.beats[0]?.beat;
    expect(carried?.progress?.message).toBe("\ufffd");
    expect(carried?.log).toHaveLength(1_000);
    expect(carried?.log[0]?.message).toBe("201\ufffd");
  });

  test("answered with cancel abort the run, which releases the task", async () => {
    const work = createWork();
    const { source, clock } = open(work.handler);
    source.onExtend = async ({ id }) => (id === 1 ? "cancel" : "ok");
    source.offer(task(1), task(2));
    await clock.advance(LEASE_MS / 3 + TICK_MS);
    expect(work.abortReasonOf(0)).toBe("cancelled");
    expect(work.run(1).context.signal.aborted).toBe(false);
    expect(source.settles).toEqual([{ id: 1, token: "1.t", outcome: released }]);
  });

  test("answered with cancel do not drop a result", async () => {
    const work = createWork({ obeys: false });
    const { source, clock } = open(work.handler);
    source.onExtend = async () => "cancel";
    source.offer(task(1));
    await clock.advance(LEASE_MS);
    work.run(0).finish("in time");
    await settled();
    expect(source.settles.map(({ outcome }) => outcome)).toEqual([{ kind: "done", result: '"in time"' }]);
  });

  test("answered with lost abort the run, whose outcome is not reported", async () => {
    const work = createWork();
    const { source, clock, processor } = open(work.handler);
    source.onExtend = async () => "lost";
    source.offer(task(1));
    await clock.advance(LEASE_MS / 3 + TICK_MS);
    expect(work.abortReasonOf(0)).toBe("lost");
    expect(processor.running).toBe(0);
    expect(source.settles).toEqual([]);
  });

  test("answered with lost drop even a result", async () => {
    const work = createWork({ obeys: false });
    const { source, clock, log } = open(work.handler);
    source.onExtend = async () => "lost";
    source.offer(task(1));
    await clock.advance(LEASE_MS);
    work.run(0).finish("too late");
    await settled();
    expect(source.settles).toEqual([]);
    expect(log.events).toContain("outcome_dropped");
  });

  test("that fail for a while have no effect on the run", async () => {
    const work = createWork();
    const { source, clock } = open(work.handler);
    source.offer(task(1));
    source.onExtend = away;
    await clock.advance(20_000);
    source.onExtend = async () => "ok";
    await clock.advance(LEASE_MS);
    expect(work.run(0).context.signal.aborted).toBe(false);
  });
});

describe("a run whose lease is not renewed", () => {
  const UNANSWERED: readonly [string, () => Promise<never>][] = [
    ["is away", away],
    ["is silent", silent],
  ];
  const CASES = UNANSWERED.flatMap(([how, onExtend]) =>
    [30_000, 6_000, 3_000, 1_000].map((leaseMs) => ({ how, onExtend, leaseMs })),
  );

  test.each(CASES)(
    "is given up a sixth before its end when the source $how, of $leaseMs ms",
    async ({ onExtend, leaseMs }) => {
      const work = createWork();
      const { source, clock } = open(work.handler, { leaseMs });
      source.onExtend = onExtend;
      source.offer(task(1));
      await clock.advance((leaseMs * 5) / 6 - 1);
      expect(work.run(0).context.signal.aborted).toBe(false);
      await clock.advance(Math.min(TICK_MS, leaseMs / 12) + 1);
      expect(work.abortReasonOf(0)).toBe("lost");
      expect(source.settles).toEqual([]);
    },
  );

  test("is given up a sixth before the end of the latest lease that was renewed", async () => {
    const work = createWork();
    const { source, clock } = open(work.handler);
    source.offer(task(1));
    await clock.advance(2 * LEASE_MS);
    const renewedAt = source.beatsOf(1).at(-1)?.at ?? Number.NaN;
    source.onExtend = away;
    await clock.advance(renewedAt + (LEASE_MS * 5) / 6 - 1 - clock.monotonic());
    expect(work.run(0).context.signal.aborted).toBe(false);
    await clock.advance(1_000);
    expect(work.abortReasonOf(0)).toBe("lost");
  });
});

describe("a run of a process that was suspended for three leases", () => {
  async function openStalled(onExtend: (beat: Heartbeat) => Promise<Answer>) {
    const work = createWork();
    const opened = open(work.handler);
    opened.source.offer(task(1));
    await opened.clock.advance(LEASE_MS);
    opened.source.onExtend = onExtend;
    opened.source.beats.length = 0;
    await opened.clock.stall(3 * LEASE_MS);
    return { ...opened, work };
  }

  test("continues if the lease is still held", async () => {
    const { clock, source, work } = await openStalled(async () => "ok");
    await clock.advance(4 * LEASE_MS);
    expect(work.run(0).context.signal.aborted).toBe(false);
    work.run(0).finish("r");
    await settled();
    expect(source.settles).toHaveLength(1);
  });

  test("is stopped at once if the lease is lost", async () => {
    const { clock, work } = await openStalled(async () => "lost");
    await clock.advance(TICK_MS);
    expect(work.abortReasonOf(0)).toBe("lost");
  });

  test.each([
    ["is away", away],
    ["is silent", silent],
  ])(
    "is given up after a sixth of a lease where the source %s, however often it is suspended",
    async (_how, onExtend) => {
      const { clock, work } = await openStalled(onExtend);
      await clock.advance(LEASE_MS / 6 - 2 * TICK_MS);
      expect(work.run(0).context.signal.aborted).toBe(false);
      await clock.stall(LEASE_MS);
      await clock.advance(3 * TICK_MS);
      expect(work.abortReasonOf(0)).toBe("lost");
    },
  );

  test("is kept although the answer to an earlier heartbeat comes first", async () => {
    const first = Promise.withResolvers<Answer>();
    const work = createWork();
    const { clock, source } = open(work.handler);
    source.offer(task(1));
    source.onExtend = () => first.promise;
    await clock.advance(LEASE_MS / 2);
    await clock.stall(3 * LEASE_MS);
    source.onExtend = async () => "ok";
    first.resolve("ok");
    await clock.advance(4 * LEASE_MS);
    expect(work.run(0).context.signal.aborted).toBe(false);
  });
});

describe("an outcome that cannot be reported", () => {
  test("is reported again every second, and keeps its slot", async () => {
    const work = createWork();
    const { source, clock, processor, log } = open(work.handler);
    let tries = 0;
    source.onSettle = () => {
      tries++;
      return tries < 4 ? away() : Promise.resolve();
    };
    source.offer(task(1));
    await settled();
    work.run(0).finish("r");
    await clock.advance(2_999);
    expect(tries).toBe(3);
    expect(processor.running).toBe(1);
    await clock.advance(1);
    expect(source.settles).toEqual([{ id: 1, token: "1.t", outcome: { kind: "done", result: '"r"' } }]);
    expect(processor.running).toBe(0);
    expect(log.events).toEqual(["settle_failed", "settle_failed", "settle_failed"]);
  });

  test("has its lease renewed as long as it waits", async () => {
    const work = createWork();
    const { source, clock } = open(work.handler);
    source.onSettle = away;
    source.offer(task(1));
    await settled();
    work.run(0).finish();
    await clock.advance(3 * LEASE_MS);
    expect(source.beatsOf(1).length).toBeGreaterThanOrEqual(8);
    source.onSettle = async () => undefined;
    await clock.advance(1_000);
    expect(source.settles).toHaveLength(1);
  });

  const ENDS: readonly [
    string,
    (context: { work: ReturnType<typeof createWork>; clock: ManualClock }) => Promise<void>,
  ][] = [
    ["a result", async ({ work }) => work.run(0).finish("r")],
    ["a failure", async ({ work }) => work.run(0).crash(new Error("broken"))],
    ["a timeout", async ({ clock }) => clock.advance(5_000)],
  ];

  test.each(ENDS)("is dropped with the lease: %s", async (_what, end) => {
    const work = createWork();
    const { source, clock, processor, log } = open(work.handler);
    source.onSettle = away;
    source.onExtend = away;
    source.offer(task(1, { timeoutMs: 5_000 }));
    await settled();
    await end({ work, clock });
    await clock.advance(LEASE_MS + 1_000);
    expect(processor.running).toBe(0);
    expect(source.settles).toEqual([]);
    expect(log.events.at(-1)).toBe("outcome_dropped");
  });

  test("is dropped at once when the lease is known to be lost", async () => {
    const work = createWork();
    const { source, processor, log } = open(work.handler);
    let tries = 0;
    source.onSettle = async () => {
      tries++;
      throw new TaskError("lease_lost", "The lease has ended");
    };
    source.offer(task(1));
    await settled();
    work.run(0).finish();
    await settled();
    expect(tries).toBe(1);
    expect(processor.running).toBe(0);
    expect(log.events).toEqual(["outcome_dropped"]);
  });
});

describe("a hint that a task has changed", () => {
  test("is followed by a heartbeat at once, whose answer counts", async () => {
    const work = createWork();
    const { source } = open(work.handler);
    source.onExtend = async () => "lost";
    source.offer(task(1), task(2));
    await settled();
    source.hint(1, null);
    await settled();
    expect(work.abortReasonOf(0)).toBe("lost");
    expect(work.run(1).context.signal.aborted).toBe(false);
    expect(source.beats).toHaveLength(1);
    expect(source.settles).toEqual([]);
  });

  test.each([
    ["a newer version", 1, 6, 1],
    ["the version that it was claimed with", 1, 5, 0],
    ["an older version", 1, 4, 0],
    ["a task that is not here", 7, 9, 0],
    ["the end of a task that is not here", 7, null, 0],
  ])("of %s leads to the expected number of heartbeats", async (_what, id, version, beats) => {
    const { source } = open(createWork().handler);
    source.offer(task(1, { version: 5 }));
    await settled();
    source.hint(id, version);
    await settled();
    expect(source.beats).toHaveLength(beats);
  });

  test("is ignored after the stop", async () => {
    const { source, processor } = open(createWork().handler);
    await settled();
    expect(source.listeners.size).toBe(1);
    await processor.stop(0);
    expect(source.listeners.size).toBe(0);
  });
});

describe("a stop", () => {
  /** Moves the clock until the stop is over, and measures the time. */
  async function stopped(stop: Promise<number>, clock: ManualClock, atMostMs = 60_000) {
    const from = clock.monotonic();
    const lefts: number[] = [];
    void stop.then((count) => lefts.push(count));
    while (lefts.length === 0 && clock.monotonic() - from < atMostMs) await clock.advance(100);
    return { left: lefts[0], tookMs: clock.monotonic() - from };
  }

  test("of an idle processor is immediate and aborts its claim", async () => {
    const { source, processor, clock } = open(createWork().handler);
    await settled();
    expect(await processor.stop(GRACE_MS)).toBe(0);
    source.offer(task(1));
    await clock.advance(60_000);
    expect(source.requests).toHaveLength(1);
    expect(processor.running).toBe(0);
  });

  test("lets running tasks finish, and claims no more meanwhile", async () => {
    const work = createWork();
    const { source, processor, clock } = open(work.handler, { concurrency: 2 });
    source.offer(...tasks(5));
    await settled();
    const stop = processor.stop(GRACE_MS);
    await clock.advance(1_000);
    work.run(0).finish("a");
    work.run(1).finish("b");
    expect((await stopped(stop, clock)).tookMs).toBeLessThan(200);
    expect(await stop).toBe(0);
    expect(source.settles.map(({ outcome }) => outcome.kind)).toEqual(["done", "done"]);
    expect(work.runs).toHaveLength(2);
    expect(source.requests).toHaveLength(2);
  });

  test("keeps leases alive during the grace", async () => {
    const { source, processor, clock } = open(createWork().handler);
    source.offer(task(1));
    await settled();
    const stop = processor.stop(2 * LEASE_MS);
    await clock.advance(2 * LEASE_MS - 1);
    expect(source.beatsOf(1).length).toBeGreaterThanOrEqual(5);
    await stopped(stop, clock);
  });

  test("aborts the remaining runs after the grace, and releases their tasks", async () => {
    const work = createWork();
    const { source, processor, clock } = open(work.handler);
    source.offer(...tasks(2));
    await settled();
    const stop = processor.stop(GRACE_MS);
    await clock.advance(GRACE_MS - 1);
    expect(work.run(0).context.signal.aborted).toBe(false);
    await clock.advance(1);
    expect(work.abortReasonOf(0)).toBe("shutdown");
    expect(await stop).toBe(0);
    expect(source.settles.map(({ outcome }) => outcome)).toEqual([released, released]);
  });

  test("without grace aborts at once", async () => {
    const work = createWork();
    const { source, processor } = open(work.handler);
    source.offer(task(1));
    await settled();
    expect(await processor.stop(0)).toBe(0);
    expect(source.settles.map(({ outcome }) => outcome)).toEqual([released]);
  });

  test("leaves a handler that ignores the abort, counts it, and does not release its task", async () => {
    const work = createWork({ obeys: false });
    const { source, processor, clock } = open(work.handler);
    source.offer(...tasks(3));
    await settled();
    const stop = processor.stop(GRACE_MS);
    await clock.advance(GRACE_MS);
    work.run(1).crash(new Error("late, but ended"));
    const { left, tookMs } = await stopped(stop, clock);
    expect(left).toBe(2);
    expect(tookMs).toBe(KILL_AFTER_MS);
    expect(source.settles).toEqual([{ id: 2, token: "2.t", outcome: released }]);
    const before = source.beatsOf(1).length;
    await clock.advance(LEASE_MS);
    expect(source.beatsOf(1).length).toBeGreaterThanOrEqual(before + 2);
  });

  test("counts a result that comes after the abort", async () => {
    const work = createWork({ obeys: false });
    const { source, processor, clock } = open(work.handler);
    source.offer(task(1));
    await settled();
    const stop = processor.stop(0);
    await clock.advance(1_000);
    work.run(0).finish("just in time");
    expect((await stopped(stop, clock)).left).toBe(0);
    expect(source.settles.map(({ outcome }) => outcome.kind)).toEqual(["done"]);
  });

  test("runs the tasks that the source still gives after the claim was aborted", async () => {
    const work = createWork();
    const clock = createManualClock();
    const handing = Promise.withResolvers<readonly RunningTask[]>();
    const inner = createSource(clock);
    const source: TaskSource = {
      ...inner,
      claim: async () => ({ tasks: await handing.promise, leasedAt: 0 }),
    };
    const { processor } = open(work.handler, { source, clock });
    await settled();
    const stop = processor.stop(GRACE_MS);
    handing.resolve([task(1)]);
    await clock.advance(1_000);
    work.run(0).finish();
    expect((await stopped(stop, clock)).left).toBe(0);
    expect(inner.settles.map(({ outcome }) => outcome.kind)).toEqual(["done"]);
  });

  test("ends although the source cannot be reached", async () => {
    const work = createWork();
    const { source, processor, clock } = open(work.handler, { concurrency: 2 });
    source.offer(task(1));
    await settled();
    source.onClaim = away;
    source.onExtend = away;
    source.onSettle = away;
    const { left, tookMs } = await stopped(processor.stop(1_000), clock);
    expect(left).toBe(1);
    expect(tookMs).toBeLessThanOrEqual(1_000 + KILL_AFTER_MS + 1_000);
  });

  test("may be called twice, and before the start", async () => {
    const work = createWork();
    const { source, processor, clock } = open(work.handler);
    source.offer(task(1));
    await settled();
    const both = Promise.all([processor.stop(1_000), processor.stop(1_000)]);
    await clock.advance(1_000);
    expect(await both).toEqual([0, 0]);
    expect(await processor.stop(0)).toBe(0);
    expect(source.settles).toHaveLength(1);

    const unstarted = createProcessor({
      source,
      handlers: new Map(),
      worker: "worker-2",
      concurrency: 1,
      leaseMs: LEASE_MS,
      clock,
      log: createTestLog(),
    });
    expect(await unstarted.stop(0)).toBe(0);
  });
});

describe("with the engine as its source", () => {
  function openWithEngine(handler: Handler, concurrency = 2) {
    const { engine, store, clock } = openEngine();
    const processor = createProcessor({
      source: engine,
      handlers: new Map([["work", handler]]),
      worker: "worker-1",
      concurrency,
      leaseMs: LEASE_MS,
      clock,
      log: createTestLog(),
    });
    processor.start();
    return { engine, store, clock, processor };
  }

  test("each of a thousand tasks runs once", async () => {
    const seen: TaskId[] = [];
    const { engine } = openWithEngine(async ({ id }) => {
      seen.push(id);
      return { id };
    }, 10);
    await engine.create(Array.from({ length: 1_000 }, () => ({ name: "n", type: "work" })));
    while ((await engine.count({ statuses: ["done"] })) < 1_000) await settled();
    expect(seen.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 1_000 }, (_, at) => at + 1));
    expect(await engine.get(77)).toMatchObject({
      status: "done",
      result: '{"id":77}',
      attempt: 1,
      version: 3,
    });
  });

  test("progress and log lines reach the store while the task runs", async () => {
    const work = createWork();
    const { engine, store, clock } = openWithEngine(work.handler);
    const id = await create(engine);
    await settled();
    work.run(0).context.progress(40, "encoding");
    work.run(0).context.log("half way", "warn");
    await clock.advance(1_500);
    expect((await engine.get(id)).progress).toEqual({ percent: 40, message: "encoding" });
    expect(await store.readLog(id, 0)).toMatchObject([{ n: 1, level: "warn", message: "half way" }]);
  });

  test("a long task keeps its lease under the sweep", async () => {
    const work = createWork();
    const { engine, clock, processor } = openWithEngine(work.handler);
    await engine.start();
    const id = await create(engine);
    await clock.advance(5 * LEASE_MS);
    work.run(0).finish();
    await settled();
    expect(await engine.get(id)).toMatchObject({ status: "done", losses: 0, workedMs: 5 * LEASE_MS });
    await processor.stop(0);
    await engine.close();
  });

  test("a cancel aborts the run at once, long before its next heartbeat", async () => {
    const work = createWork();
    const { engine, clock } = openWithEngine(work.handler);
    await clock.advance(1);
    const id = await create(engine);
    await settled();
    await engine.cancel(id);
    await clock.advance(50);
    expect(work.abortReasonOf(0)).toBe("cancelled");
    expect(await engine.get(id)).toMatchObject({ status: "cancelled", failures: 0 });
  });

  test("the run of a deleted task is aborted at once and its result is dropped", async () => {
    const work = createWork({ obeys: false });
    const { engine, clock, processor } = openWithEngine(work.handler);
    await clock.advance(1);
    const id = await create(engine);
    await settled();
    await engine.remove(id);
    await clock.advance(50);
    expect(work.abortReasonOf(0)).toBe("lost");
    work.run(0).finish("nowhere");
    await clock.advance(2_000);
    expect(processor.running).toBe(0);
    expect(await engine.count({})).toBe(0);
  });

  test("the run of an edited task continues", async () => {
    const work = createWork();
    const { engine, clock } = openWithEngine(work.handler);
    await clock.advance(1);
    const id = await create(engine);
    await settled();
    await engine.edit(id, { name: "new" });
    await clock.advance(50);
    expect(work.run(0).context.signal.aborted).toBe(false);
    work.run(0).finish();
    await settled();
    expect(await engine.get(id)).toMatchObject({ status: "done", name: "new" });
  });

  test("a timeout is retried after its backoff and fails the task when no attempts are left", async () => {
    const work = createWork();
    const { engine, clock } = openWithEngine(work.handler);
    const id = await create(engine, {
      timeoutMs: 5_000,
      maxAttempts: 2,
      backoff: { baseMs: 2_000, maxMs: 60_000 },
    });
    await clock.advance(5_000);
    expect(await engine.get(id)).toMatchObject({
      status: "pending",
      failures: 1,
      error: { code: "timeout" },
    });
    expect((await engine.get(id)).runAt).toBe(engine.now() + 1_000); // half of 2 s by the engine's draw
    await clock.advance(2_000);
    expect(work.run(1).task.attempt).toBe(2);
    await clock.advance(5_000);
    expect(await engine.get(id)).toMatchObject({ status: "failed", failures: 2, error: { code: "timeout" } });
  });

  test("a stop releases interrupted tasks without counting an attempt", async () => {
    const { engine, processor } = openWithEngine(createWork().handler);
    const id = await create(engine, { maxAttempts: 1 });
    await settled();
    expect(await processor.stop(0)).toBe(0);
    expect(await engine.get(id)).toMatchObject({ status: "pending", attempt: 0, failures: 0, losses: 0 });
  });
});
