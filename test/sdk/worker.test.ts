/** The SDK's worker over HTTP, with a whole server. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createWorker, fail, type Handler, snooze, type WorkerOptions } from "../../src/client/client.ts";
import type { Task } from "../../src/core/task.ts";
import { type RunningApp, startApp } from "../support/app.ts";
import { createTestLog } from "../support/engine.ts";
import { eventually } from "../support/eventually.ts";
import { openGate } from "../support/gate.ts";
import { create } from "../support/verbs.ts";

let server: RunningApp;
beforeAll(async () => {
  server = await startApp({ LEASE: "1s" });
});
afterAll(() => server.stop());

let types = 0;

/** A proxy that counts the requests to the server. */
function listening() {
  const asked: string[] = [];
  const through = async (url: string, init: RequestInit): Promise<Response> => {
    asked.push(new URL(url).pathname);
    return fetch(url, init);
  };
  return { fetch: through, count: (path: string) => asked.filter((one) => one === path).length };
}

const COMPLETE = "/api/worker/complete";
const HEARTBEAT = "/api/worker/heartbeat";
const CLAIM = "/api/worker/claim";

/** A started worker with a new type. */
function work(handler: Handler, options: Partial<WorkerOptions> = {}) {
  const type = `type-${++types}`;
  const log = createTestLog();
  const worker = createWorker({
    url: server.url,
    handlers: { [type]: handler },
    lease: "1s",
    log,
    ...options,
  });
  worker.start();
  return { type, worker, log };
}

const becomes = (id: number, is: (task: Task) => boolean): Promise<Task> =>
  eventually(() => server.app.engine.get(id), is);
const ended = (id: number): Promise<Task> => becomes(id, ({ finishedAt }) => finishedAt !== null);

/** Rejects with the reason of the signal when it aborts. */
const untilAborted: Handler = (_task, { signal }) =>
  new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));

describe("a worker over HTTP", () => {
  test("completes tasks with the result of the handler", async () => {
    const { type, worker } = work(async ({ payload }) => ({ got: payload }));
    const id = await create(server.app.engine, { type, payload: '{"n":1}' });
    expect(await ended(id)).toMatchObject({ status: "done", result: '{"got":{"n":1}}' });
    await worker.stop(0);
  });

  test("gives handlers the creation time in milliseconds", async () => {
    const { type, worker } = work(async ({ createdAt }) => createdAt);
    const id = await create(server.app.engine, { type });
    const { result, createdAt } = await ended(id);
    expect(result).toBe(String(createdAt));
    await worker.stop(0);
  });

  test("completes many tasks in one call and gets the next ones with the answer", async () => {
    const { fetch, count } = listening();
    const { type, worker } = work(async () => null, { concurrency: 10, fetch });
    const ids = await Promise.all(Array.from({ length: 200 }, () => create(server.app.engine, { type })));
    for (const id of ids) expect((await ended(id)).status).toBe("done");
    expect(count(COMPLETE) + count(CLAIM)).toBeLessThan(100);
    await worker.stop(1_000);
    expect(worker.running).toBe(0);
  });

  test("never runs more tasks than it has slots", async () => {
    let [now, peak] = [0, 0];
    const { type, worker } = work(
      async () => {
        peak = Math.max(peak, ++now);
        await new Promise((resolve) => setImmediate(resolve));
        now--;
      },
      { concurrency: 3 },
    );
    const ids = await Promise.all(Array.from({ length: 60 }, () => create(server.app.engine, { type })));
    for (const id of ids) await ended(id);
    expect(peak).toBe(3);
    await worker.stop(0);
  });

  test("fails permanently, retries and snoozes as the handler decides", async () => {
    const { type, worker } = work(async ({ payload, attempt }) => {
      if (payload === "fail") return fail("broken", { code: "broken", retryable: false });
      if (payload === "snooze") return snooze("1h");
      if (attempt === 1) throw new Error("once");
      return "twice";
    });
    const failing = await create(server.app.engine, { type, payload: '"fail"' });
    const snoozing = await create(server.app.engine, { type, payload: '"snooze"' });
    const again = await create(server.app.engine, { type, backoff: { baseMs: 1, maxMs: 1 } });
    expect(await ended(failing)).toMatchObject({ status: "failed", error: { code: "broken" }, attempt: 1 });
    expect(await ended(again)).toMatchObject({ status: "done", attempt: 2, result: '"twice"' });
    const later = await becomes(snoozing, ({ attempts }) => attempts.length === 1);
    expect(later).toMatchObject({ status: "pending", attempt: 0, failures: 0 });
    expect(later.runAt).toBeGreaterThan(later.updatedAt + 3_500_000);
    await worker.stop(0);
  });

  test("gives handlers the text of the payload, too", async () => {
    const { type, worker } = work(async ({ payloadText }) => payloadText);
    const payload = '{"id":3889108265204450030,"x":1e999, "2":1,"1":-0.0}';
    const [first, second] = [
      await create(server.app.engine, { type, payload }),
      await create(server.app.engine, { type }),
    ];
    expect(await ended(first)).toMatchObject({ status: "done", result: JSON.stringify(payload) });
    expect(await ended(second)).toMatchObject({ status: "done", result: null });
    await worker.stop(0);
  });

  test("holds a task for longer than its lease, with progress and log lines", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const { type, worker } = work(async (_task, { progress, log }) => {
      progress(40, "on it");
      log("a line");
      await promise;
    });
    const id = await create(server.app.engine, { type });
    await becomes(id, (task) => task.progress?.percent === 40);
    const first = await server.app.engine.get(id);
    await becomes(id, (task) => (task.lease?.until ?? 0) > (first.lease?.until ?? 0) + 1_000);
    expect(await server.app.engine.get(id)).toMatchObject({ status: "running", attempt: 1 });
    resolve();
    expect(await ended(id)).toMatchObject({ status: "done", progress: { percent: 100, message: "on it" } });
    await worker.stop(0);
  });

  test("stops cancelled tasks", async () => {
    const { type, worker } = work(untilAborted);
    const id = await create(server.app.engine, { type });
    await becomes(id, ({ status }) => status === "running");
    await server.app.engine.cancel(id);
    expect((await ended(id)).status).toBe("cancelled");
    await worker.stop(0);
  });

  test("releases unfinished tasks without counting an attempt", async () => {
    const { type, worker } = work(untilAborted);
    const id = await create(server.app.engine, { type });
    await becomes(id, ({ status }) => status === "running");
    expect(await worker.stop(0)).toBe(0);
    expect(await server.app.engine.get(id)).toMatchObject({ status: "pending", attempt: 0 });
  });

  test("finishes its tasks and ends when it is drained", async () => {
    const { fetch: through, count } = listening();
    const { promise, resolve } = Promise.withResolvers<void>();
    const { type, worker } = work(() => promise, { concurrency: 1, fetch: through });
    const id = await create(server.app.engine, { type });
    await becomes(id, ({ status }) => status === "running");
    const waiting = await create(server.app.engine, { type });
    expect((await fetch(`${server.url}/api/worker/${worker.name}/drain`, { method: "POST" })).status).toBe(
      200,
    );
    const before = count(HEARTBEAT);
    await eventually(
      () => count(HEARTBEAT),
      (now) => now > before + 1,
    );
    resolve();
    expect(await worker.stopped).toBe(0);
    expect((await server.app.engine.get(id)).status).toBe("done");
    expect((await server.app.engine.get(waiting)).status).toBe("pending");
  });

  test("leaves no task leased when it stops behind a proxy that keeps its waiting claim", async () => {
    const proxy = await openGate(Number(new URL(server.url).port), { keepsRequests: true });
    const { type, worker } = work(async () => null, { url: `http://127.0.0.1:${proxy.port}` });
    await ended(await create(server.app.engine, { type }));
    await eventually(
      () => server.app.engine.stats(),
      ({ workers }) => workers.some(({ name, free }) => name === worker.name && free > 0),
    );
    await worker.stop(0);
    const id = await create(server.app.engine, { type });
    await create(server.app.engine, { type: `${type}-other` }); // the server has dispatched the first task before this create
    expect(await server.app.engine.get(id)).toMatchObject({ status: "pending", attempts: [] });
    proxy.close();
  });

  test("loses no task because of values of a handler in JavaScript", async () => {
    const hostile = new Proxy(
      {},
      {
        has: () => {
          throw new Error("not to be looked at");
        },
        get: () => {
          throw new Error("not to be read");
        },
      },
    );
    const { type, worker } = work(async ({ payload }, context) => {
      const loose = context as unknown as Record<"progress" | "log", (...words: unknown[]) => void>; // without types, as JavaScript uses it
      if (payload === "throws") throw hostile;
      if (payload === "neighbour") return null;
      for (const message of [undefined, null, { n: 1 }, 5n, hostile]) loose.log(message, "warning");
      for (const percent of [null, "x", 5n, hostile, Number.NaN]) loose.progress(percent, null);
      loose.progress(33.3, hostile);
      return "returned";
    });
    const returns = await create(server.app.engine, { type, payload: '"returns"' });
    const throws = await create(server.app.engine, { type, payload: '"throws"', maxAttempts: 1 });
    const neighbour = await create(server.app.engine, { type, payload: '"neighbour"' });
    expect(await ended(returns)).toMatchObject({ status: "done", attempt: 1, result: '"returned"' });
    expect(await ended(throws)).toMatchObject({ status: "failed", error: { code: "handler_error" } });
    expect(await ended(neighbour)).toMatchObject({ status: "done", attempt: 1 });
    const lines = await server.app.engine.readLog(returns, 0);
    expect(lines.map(({ level, message }) => [level, message])).toEqual(
      ["undefined", "null", '{"n":1}', "5", "a value that cannot be shown"].map((text) => ["warn", text]),
    );
    await worker.stop(0);
  });

  /** Objects that have every member, or that look like verdicts but are invalid. */
  const hostileValues = (): (readonly [string, unknown])[] => {
    const verdict = Symbol.for("tasktrack.verdict");
    const text = Symbol.for("tasktrack.text");
    const throwing = (): never => {
      throw new Error("not to be read");
    };
    return [
      ["a proxy that has everything", new Proxy({}, { has: () => true })],
      ["a proxy that has everything and throws", new Proxy({}, { has: () => true, get: throwing })],
      ["a verdict that is a number", { [verdict]: 5 }],
      ["a verdict that is null", { [verdict]: null }],
      ["a verdict of an unknown kind", { [verdict]: { kind: "perfect" } }],
      ["a failure without an error", { [verdict]: { kind: "failed" } }],
      [
        "a failure whose error throws",
        {
          [verdict]: {
            kind: "failed",
            get error() {
              return throwing();
            },
          },
        },
      ],
      [
        "a failure without `retryable`",
        { [verdict]: { kind: "failed", error: { code: "x", message: "y" } } },
      ],
      ["a release whose delay is a text", { [verdict]: { kind: "released", delayMs: "soon" } }],
      ["a result whose text is a number", Object.defineProperty({}, text, { value: 5 })],
      ["a result whose text throws", Object.defineProperty({}, text, { get: throwing })],
      ["an error whose message throws", Object.defineProperty(new Error(), "message", { get: throwing })],
      ["an error whose message is an object", Object.defineProperty(new Error(), "message", { value: {} })],
      ["a revoked proxy", revoked()],
    ];
  };

  const revoked = (): object => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    return proxy;
  };

  test("continues whatever a handler throws or returns, and each task ends", async () => {
    const values = hostileValues();
    const { type, worker } = work(async ({ payload }) => {
      const { at, throws } = payload as { readonly at: number; readonly throws: boolean }; // as below
      const [, value] = values[at] ?? [];
      if (throws) throw value;
      return value;
    });
    for (const [at, [name]] of values.entries()) {
      for (const throws of [true, false]) {
        const id = await create(server.app.engine, {
          type,
          payload: JSON.stringify({ at, throws }),
          maxAttempts: 1,
        });
        const { status } = await ended(id);
        expect([name, throws, status]).toEqual([name, throws, expect.stringMatching(/^(done|failed)$/)]);
      }
    }
    expect(await worker.stop(0)).toBe(0);
  });

  test.each<[string, unknown, string]>([
    ["a bigint", { n: 1n }, "result_not_json"],
    ["a text of 5 MB", { toJSON: () => "x".repeat(5_000_000) }, "result_too_large"],
    [
      "an object that throws when it is written as JSON",
      {
        toJSON: () => {
          throw new Error("no");
        },
      },
      "result_not_json",
    ],
  ])("permanently fails a task whose result is %s, and continues", async (_, result, code) => {
    const { type, worker } = work(async ({ payload }) => (payload === null ? result : payload));
    const bad = await create(server.app.engine, { type });
    const good = await create(server.app.engine, { type, payload: "1" });
    expect(await ended(bad)).toMatchObject({ status: "failed", attempt: 1, error: { code } });
    expect((await ended(good)).status).toBe("done");
    expect(await worker.stop(0)).toBe(0);
  });

  test("fails a task whose result is too long", async () => {
    const { type, worker } = work(async () => "x".repeat(1_100_000));
    const id = await create(server.app.engine, { type });
    expect(await ended(id)).toMatchObject({ status: "failed", error: { code: "result_too_large" } });
    await worker.stop(0);
  });

  test.each([
    ["a lease that is too short", { lease: "10ms" }],
    ["no slots", { concurrency: 0 }],
    ["no handlers", { handlers: {} }],
    [
      "more types than a claim may name",
      { handlers: Object.fromEntries(Array.from({ length: 101 }, (_, n) => [`t${n}`, async () => null])) },
    ],
    ["no address", { url: "here" }],
  ])("is refused with %s", (_, options) => {
    const good = { url: "http://localhost", handlers: { x: async () => null } };
    expect(() => createWorker({ ...good, ...options })).toThrow(TypeError);
  });
});
