/** The worker's source over HTTP with a whole server: its listeners and timers, its claims, its heartbeats and its outcomes. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type ClientOptions, createApi, type Fetch } from "../../src/client/api.ts";
import { createWorker } from "../../src/client/client.ts";
import { createHttpSource } from "../../src/client/source/source.ts";
import { createWorkCalls } from "../../src/client/work.ts";
import type { Clock } from "../../src/core/clock.ts";
import type { Outcome } from "../../src/core/outcome.ts";
import type { Task } from "../../src/core/task.ts";
import { systemClock } from "../../src/lib/system-clock.ts";
import type { Handler } from "../../src/processor/handler.ts";
import { ASK_ANEW } from "../../src/processor/source.ts";
import { type RunningApp, startApp } from "../support/app.ts";
import { createTestLog } from "../support/engine.ts";
import { eventually } from "../support/eventually.ts";
import { create } from "../support/verbs.ts";

let server: RunningApp;
beforeAll(async () => {
  server = await startApp({ ROLE: "api" });
});
afterAll(() => server.stop());

let types = 0;
const ownType = (): string => `source-${++types}`;

/** An abort signal that counts its listeners: those that were added, and neither removed nor called. */
function countingSignal() {
  const controller = new AbortController();
  const { signal } = controller;
  let listeners = 0;
  const add = signal.addEventListener.bind(signal);
  const remove = signal.removeEventListener.bind(signal);
  signal.addEventListener = (...args: Parameters<typeof add>): void => {
    listeners++;
    add(...args);
  };
  signal.removeEventListener = (...args: Parameters<typeof remove>): void => {
    listeners--;
    remove(...args);
  };
  return { controller, signal, listeners: () => listeners };
}

/** A clock that counts its timers: those that were set, and neither cancelled nor run. */
function countingClock() {
  const timers = new Set<object>();
  const clock: Clock = {
    ...systemClock,
    after: (delayMs, run) => {
      const timer = {};
      timers.add(timer);
      const cancel = systemClock.after(delayMs, () => {
        timers.delete(timer);
        run();
      });
      return () => {
        timers.delete(timer);
        cancel();
      };
    },
  };
  return { clock, timers: () => timers.size };
}

/** The source of a new worker; `asked` has the paths of its requests. */
function openSource(type: string, options: { readonly fetch?: Fetch; readonly clock?: Clock } = {}) {
  const asked: string[] = [];
  const through = options.fetch ?? fetch;
  const counted: ClientOptions = {
    fetch: (url, init) => {
      asked.push(new URL(url).pathname);
      return through(url, init);
    },
  };
  const clock = options.clock ?? systemClock;
  const api = createApi({ url: server.url, options: counted, clock, random: () => 0 });
  const log = createTestLog();
  let nonces = 0;
  const source = createHttpSource({
    ...{ calls: createWorkCalls(api), worker: `w-${type}`, leaseMs: 60_000, clock, log },
    nonce: () => `${type}-${++nonces}`,
    onDirective: () => undefined,
  });
  const wish = { worker: `w-${type}`, types: [type], max: 1, leaseMs: 60_000, slots: 2 };
  const count = (path: string): number => asked.filter((each) => each === path).length;
  return { source, wish, log, count };
}

const CLAIM = "/api/worker/claim";
const HEARTBEAT = "/api/worker/heartbeat";
const LEAVE = "/api/worker/leave";

describe("the source of a worker", () => {
  test("keeps no listener and no timer of ended claims", async () => {
    const type = ownType();
    const CLAIMS = 300;
    for (let n = 0; n < CLAIMS; n++) await create(server.app.engine, { type });
    const { clock, timers } = countingClock();
    const { signal, controller, listeners } = countingSignal();
    const { source, wish, count } = openSource(type, { clock });
    for (let n = 0; n < CLAIMS; n++) {
      const { tasks } = await source.claim(wish, signal);
      expect(tasks).toHaveLength(1);
    }
    expect({ claims: count(CLAIM), listeners: listeners(), timers: timers() }).toEqual({
      ...{ claims: CLAIMS, listeners: 0, timers: 0 },
    });
    source.leave();
    controller.abort();
    await source.close();
    expect(count(LEAVE)).toBe(0); // no claim waited, so there is nothing to end
  });

  test("sends one leave after any number of claims, and its waiting claim ends", async () => {
    const type = ownType();
    const CLAIMS = 20;
    for (let n = 0; n < CLAIMS; n++) await create(server.app.engine, { type });
    const controller = new AbortController();
    const { source, wish, count } = openSource(type);
    for (let n = 0; n < CLAIMS; n++) await source.claim(wish, controller.signal);
    const waiting = source.claim(wish, controller.signal);
    await eventually(
      () => count(CLAIM),
      (claims) => claims === CLAIMS + 1,
    );
    source.leave();
    source.leave();
    controller.abort();
    expect((await waiting).tasks).toEqual([]);
    await source.close();
    expect({ leaves: count(LEAVE), heartbeats: count(HEARTBEAT) }).toEqual({ leaves: 1, heartbeats: 0 });
  });

  test("ends its waiting claim also at a server of version 0.1.0, which has no leave", async () => {
    const type = ownType();
    const { source, wish, count } = openSource(type, {
      fetch: async (url, init) => (url.endsWith(LEAVE) ? fetch(`${url}/unknown`, init) : fetch(url, init)),
    });
    const waiting = source.claim(wish, new AbortController().signal);
    await eventually(
      () => count(CLAIM),
      (claims) => claims === 1,
    );
    source.leave();
    expect((await waiting).tasks).toEqual([]);
    await source.close();
    expect(count(HEARTBEAT)).toBe(1); // after its answer, the server has noticed that the claim's client has disconnected
  });

  test("claims again under the same request id after an answer was lost, and gets its tasks", async () => {
    const type = ownType();
    const ids = [await create(server.app.engine, { type }), await create(server.app.engine, { type })];
    const requests: unknown[] = [];
    const { source, wish } = openSource(type, {
      fetch: async (url, init) => {
        const answer = await fetch(url, init);
        if (!url.endsWith(CLAIM)) return answer;
        requests.push(JSON.parse(String(init.body)).request);
        if (requests.length <= 3) throw new TypeError("connection reset"); // the number of tries of one claim
        return answer;
      },
    });
    const { signal } = new AbortController();
    const claim = () => source.claim({ ...wish, max: 2 }, signal);
    await expect(claim()).rejects.toMatchObject({ code: "unreachable" });
    const { tasks, leasedAt } = await claim();
    expect(tasks.map(({ id }) => id)).toEqual(ids);
    expect(leasedAt).toBeLessThan(systemClock.monotonic());
    expect(new Set(requests).size).toBe(1);
    await create(server.app.engine, { type });
    expect((await claim()).tasks).toHaveLength(1);
    expect(new Set(requests).size).toBe(2);
    source.leave();
    await source.close();
  });

  test("releases the tasks of a lost answer at once, for other workers", async () => {
    const type = ownType();
    const id = await create(server.app.engine, { type });
    const { source, wish } = openSource(type, {
      fetch: async (url, init) => {
        const answer = await fetch(url, init);
        if (url.endsWith(CLAIM)) throw new TypeError("connection reset");
        return answer;
      },
    });
    await expect(source.claim(wish, new AbortController().signal)).rejects.toThrow("does not answer");
    expect((await server.app.engine.get(id)).status).toBe("running");
    source.leave();
    await source.close();
    expect(await server.app.engine.get(id)).toMatchObject({ status: "pending", attempt: 0 });
  });

  /** A source whose completes reach the server, which claims with them, and whose answers are lost. */
  async function openWithLostCompletes() {
    const type = ownType();
    const [done, next] = [
      await create(server.app.engine, { type }),
      await create(server.app.engine, { type }),
    ];
    let isLost = true;
    const { source, wish } = openSource(type, {
      fetch: async (url, init) => {
        const answer = await fetch(url, init);
        if (isLost && url.endsWith("/api/worker/complete")) throw new TypeError("connection reset");
        return answer;
      },
    });
    const { signal } = new AbortController();
    const [task] = (await source.claim(wish, signal)).tasks;
    const complete = () => source.settle(done, task?.token ?? "", { kind: "done", result: null });
    await expect(complete()).rejects.toMatchObject({ code: "unreachable" });
    expect((await server.app.engine.get(next)).status).toBe("running");
    const recover = (): void => {
      isLost = false;
    };
    return { source, next, complete, recover, claim: () => source.claim(wish, signal) };
  }

  test("gets the tasks of a complete's lost answer with its next claim", async () => {
    const { source, next, complete, recover, claim } = await openWithLostCompletes();
    const claimed = await claim();
    expect(claimed.tasks.map(({ id }) => id)).toEqual([next]);
    recover();
    await complete();
    source.leave();
    await source.close();
  });

  test("gets the tasks of a complete's lost answer when it repeats the complete", async () => {
    const { source, next, complete, recover, claim } = await openWithLostCompletes();
    await expect(complete()).rejects.toMatchObject({ code: "unreachable" });
    recover();
    await complete();
    expect((await claim()).tasks.map(({ id }) => id)).toEqual([next]);
    source.leave();
    await source.close();
  });

  test("releases the tasks of a complete's lost answer at once, for other workers", async () => {
    const { source, next } = await openWithLostCompletes();
    source.leave();
    await source.close();
    expect(await server.app.engine.get(next)).toMatchObject({ status: "pending", attempt: 0, losses: 0 });
  });

  test("claims nothing after it has left, also if no claim was under way", async () => {
    const type = ownType();
    const [id] = [await create(server.app.engine, { type }), await create(server.app.engine, { type })];
    const { signal } = new AbortController();
    const { source, wish } = openSource(type);
    const [task] = (await source.claim(wish, signal)).tasks;
    source.leave();
    await source.settle(id, task?.token ?? "", { kind: "done", result: null });
    await source.close();
    expect(await server.app.engine.count({ types: [type], statuses: ["done"] })).toBe(1);
    expect(await server.app.engine.count({ types: [type], statuses: ["pending"] })).toBe(1);
    expect((await source.claim(wish, signal)).tasks).toEqual([]);
  });

  test("releases at once tasks that arrive after it has left, without counting an attempt", async () => {
    const type = ownType();
    const { promise: held, resolve: release } = Promise.withResolvers<void>();
    const controller = new AbortController();
    const { source, wish } = openSource(type, {
      fetch: async (url, init) => {
        const answer = await fetch(url, { ...init, signal: null }); // the request is already sent
        if (url.endsWith(CLAIM)) await held;
        return answer;
      },
    });
    const id = await create(server.app.engine, { type });
    const waiting = source.claim(wish, controller.signal);
    await eventually(
      () => server.app.engine.get(id),
      ({ status }) => status === "running",
    );
    source.leave();
    controller.abort();
    release();
    expect((await waiting).tasks).toEqual([]);
    const task = await eventually(
      () => server.app.engine.get(id),
      ({ status }) => status === "pending",
    );
    expect(task).toMatchObject({ attempt: 0, losses: 0 });
    await source.close();
  });

  test("uses new types for the next claims", async () => {
    const [first, second] = [ownType(), ownType()];
    const { source, wish } = openSource(first);
    await create(server.app.engine, { type: first });
    await create(server.app.engine, { type: second });
    const old = new AbortController();
    expect((await source.claim(wish, old.signal)).tasks).toMatchObject([{ type: first }]);
    old.abort(ASK_ANEW);
    const { signal } = new AbortController();
    expect((await source.claim({ ...wish, types: [second] }, signal)).tasks).toMatchObject([
      { type: second },
    ]);
    source.leave();
    await source.close();
  });
});

describe("a worker with a free slot", () => {
  test("starts a task from a complete's answer before a waiting claim has ended", async () => {
    const type = ownType();
    const events: string[] = [];
    const { promise: held, resolve: release } = Promise.withResolvers<void>();
    const ends = new Map<unknown, () => void>();
    const handler: Handler = ({ payload }) =>
      new Promise((resolve, reject) => {
        events.push(`${payload} begun`);
        ends.set(payload, () =>
          payload === "fails" ? reject(new Error("expected failure")) : resolve(null),
        );
      });
    const worker = createWorker({
      ...{
        url: server.url,
        handlers: { [type]: handler },
        concurrency: 2,
        lease: "60s",
        log: createTestLog(),
      },
      fetch: async (url, init) => {
        const { pathname } = new URL(url);
        const isWaiting = pathname === CLAIM && !String(init.body).includes('"wait":"0s"');
        const answer = await fetch(url, init);
        if (isWaiting && (await answer.clone().text()).includes('"tasks":[]'))
          events.push("ended without a task");
        if (pathname === "/api/worker/complete") {
          events.push("complete answered");
          await held;
        }
        if (pathname.endsWith("/fail")) events.push("fail answered");
        return answer;
      },
    });
    const submit = (payload: string) =>
      create(server.app.engine, { type, payload: JSON.stringify(payload), maxAttempts: 1 });
    await submit("ends");
    await submit("fails");
    worker.start();
    const happened = (event: string) =>
      eventually(
        () => events,
        () => events.includes(event),
      );
    await happened("ends begun");
    await happened("fails begun"); // both slots are taken: no claim waits
    await submit("brought");
    ends.get("ends")?.();
    await happened("complete answered"); // the third task is leased; the answer is on its way
    ends.get("fails")?.();
    await happened("fail answered"); // a slot is free, but no task is due for its claim
    await new Promise((resolve) => setImmediate(resolve));
    release();
    await happened("brought begun");
    expect(events).not.toContain("ended without a task");
    ends.get("brought")?.();
    await worker.stop(0);
  });
});

describe("an outcome that the server refuses", () => {
  const settled = async (outcome: Outcome, through?: (path: string) => Response | null) => {
    const type = ownType();
    const id = await create(server.app.engine, { type });
    const { source, wish, log, count } = openSource(type, {
      fetch: async (url, init) => through?.(new URL(url).pathname) ?? fetch(url, init),
    });
    const [task] = (await source.claim(wish, new AbortController().signal)).tasks;
    const error = await source.settle(id, task?.token ?? "", outcome).then(
      () => null,
      (thrown: unknown) => thrown as Error & { code?: string },
    );
    source.leave();
    await source.close();
    return { task: (await server.app.engine.get(id)) as Task, error, log, count };
  };
  const done = (result: string): Outcome => ({ kind: "done", result });

  test.each([
    ["of 5 MB", "x".repeat(5_000_000)],
    ["of 20 MB", "x".repeat(20_000_000)],
    ["that is one byte too long", "x".repeat(1_048_575)],
  ])("a result %s fails the task, and is not even sent", async (_, text) => {
    const { task, error, count } = await settled(done(JSON.stringify(text)));
    expect(error).toBeNull();
    expect(task).toMatchObject({ status: "failed", error: { code: "result_too_large" } });
    expect(count("/api/worker/complete")).toBe(0);
  });

  test("a result that is nested too deeply fails the task, with the server's message", async () => {
    const { task, error } = await settled(done(`${"[".repeat(100)}${"]".repeat(100)}`));
    expect(error).toBeNull();
    expect(task).toMatchObject({
      status: "failed",
      error: { code: "result_refused", message: expect.stringContaining("64 levels") },
    });
  });

  test("a failure whose fields are refused is sent again with plain fields", async () => {
    const { task, error } = await settled({
      kind: "failed",
      error: { code: "x", message: "the reason" },
      retryable: "never" as unknown as boolean, // as a module in JavaScript may set it
      retryAfterMs: null,
    });
    expect(error).toBeNull();
    expect(task).toMatchObject({ error: { code: "x", message: "the reason" } });
    expect(task.attempts).toMatchObject([{ outcome: "failed" }]);
  });

  test("a release whose delay is refused is sent again without a delay", async () => {
    const { task, error } = await settled({ kind: "released", delayMs: 1e15 });
    expect(error).toBeNull();
    expect(task).toMatchObject({ status: "pending", attempt: 0 });
  });

  test("an outcome that a gateway refuses is sent again a limited number of times", async () => {
    const type = ownType();
    const id = await create(server.app.engine, { type });
    let refused = 0;
    const { source, wish } = openSource(type, {
      fetch: async (url, init) => {
        if (!url.endsWith("/complete") && !url.endsWith("/fail")) return fetch(url, init);
        refused++;
        return new Response("<html>not here</html>", { status: 404 });
      },
    });
    const [task] = (await source.claim(wish, new AbortController().signal)).tasks;
    const outcome = done("1");
    const errors: (string | undefined)[] = [];
    do {
      const thrown = await source.settle(id, task?.token ?? "", outcome).catch((error: unknown) => error);
      errors.push((thrown as { code?: string }).code);
    } while (errors.at(-1) !== "lease_lost" && errors.length < 100);
    expect(errors.length).toBeGreaterThan(5);
    expect(errors.length).toBeLessThan(100);
    expect(new Set(errors.slice(0, -1))).toEqual(new Set(["http_404"]));
    expect(refused).toBe(errors.length + 1);
    source.leave();
    await source.close();
  });
});

describe("the heartbeats of a source", () => {
  /** A server of version 0.1.0, which refuses a whole heartbeat because of one invalid element. */
  const older: Fetch = async (url, init) => {
    const isRefused =
      url.endsWith(HEARTBEAT) &&
      (JSON.parse(String(init.body)) as { leases: { log?: [] }[] }).leases.some(({ log }) => log);
    if (!isRefused) return fetch(url, init);
    return Response.json({ error: "no", code: "invalid" }, { status: 400 });
  };

  test("keep the lease of a task whose content the server refuses, and all other leases", async () => {
    const type = ownType();
    for (let n = 0; n < 3; n++) await create(server.app.engine, { type });
    const { source, wish } = openSource(type, { fetch: older });
    const { tasks } = await source.claim({ ...wish, max: 3 }, new AbortController().signal);
    const beats = tasks.map(({ id, token }, n) => ({
      ...{ id, token, progress: null },
      log: n === 1 ? [{ level: "info" as const, message: "refused" }] : [],
    }));
    expect(await source.extend([...beats, { id: 999_999, token: "1.x", progress: null, log: [] }])).toEqual([
      ...["ok", "ok", "ok", "lost"],
    ] as ("ok" | "lost")[]);
    source.leave();
    await source.close();
  });

  test("are not sent again one by one if a gateway refuses them", async () => {
    const type = ownType();
    for (let n = 0; n < 16; n++) await create(server.app.engine, { type });
    const { source, wish, count } = openSource(type, {
      fetch: async (url, init) =>
        url.endsWith(HEARTBEAT) ? new Response("no", { status: 403 }) : fetch(url, init),
    });
    const { tasks } = await source.claim({ ...wish, max: 16 }, new AbortController().signal);
    const beats = tasks.map(({ id, token }) => ({ id, token, progress: null, log: [] }));
    await expect(source.extend(beats)).rejects.toMatchObject({ status: 403 });
    expect(count(HEARTBEAT)).toBe(1);
    source.leave();
    await source.close();
  });

  test("carry a hundred long lines whose characters have six bytes in JSON", async () => {
    const type = ownType();
    const id = await create(server.app.engine, { type });
    const { source, wish } = openSource(type);
    const [task] = (await source.claim(wish, new AbortController().signal)).tasks;
    const log = Array.from({ length: 100 }, () => ({
      level: "warn" as const,
      message: "\x01".repeat(10_000),
    }));
    expect(await source.extend([{ id, token: task?.token ?? "", progress: null, log }])).toEqual(["ok"]);
    expect(await server.app.engine.readLog(id, 0)).toHaveLength(100);
    source.leave();
    await source.close();
  });
});

describe("a worker whose types change", () => {
  test("claims its present types with a complete, too", async () => {
    const [first, second] = [ownType(), ownType()];
    const { promise: held, resolve: release } = Promise.withResolvers<void>();
    const handlers = new Map<string, Handler>([
      [first, () => held],
      [second, async () => null],
    ]);
    const asked: string[][] = [];
    const worker = createWorker({
      ...{ url: server.url, handlers, concurrency: 1, lease: "60s", log: createTestLog() },
      fetch: (url, init) => {
        if (url.endsWith("/api/worker/complete")) asked.push(JSON.parse(String(init.body)).claim?.types);
        return fetch(url, init);
      },
    });
    worker.start();
    await create(server.app.engine, { type: first });
    await eventually(
      () => worker.running,
      (count) => count === 1,
    );
    handlers.delete(first);
    const left = await create(server.app.engine, { type: first });
    worker.refresh(); // all slots are busy: no claim is under way
    release();
    const taken = await create(server.app.engine, { type: second });
    await eventually(
      () => server.app.engine.get(taken),
      ({ status }) => status === "done",
    );
    expect(asked[0]).toEqual([second]);
    expect(await server.app.engine.get(left)).toMatchObject({ status: "pending", attempts: [] });
    await worker.stop(0);
  });

  test("and that stops while all its slots are taken claims no more tasks", async () => {
    const type = ownType();
    const { promise: held, resolve: release } = Promise.withResolvers<void>();
    const worker = createWorker({
      ...{ url: server.url, handlers: { [type]: () => held }, concurrency: 1, lease: "60s" },
      log: createTestLog(),
    });
    worker.start();
    const running = await create(server.app.engine, { type });
    await eventually(
      () => worker.running,
      (count) => count === 1,
    );
    const left = await create(server.app.engine, { type });
    worker.refresh();
    const stopped = worker.stop();
    release();
    expect(await stopped).toBe(0);
    expect((await server.app.engine.get(running)).status).toBe("done");
    expect(await server.app.engine.get(left)).toMatchObject({ status: "pending", attempts: [] });
  });
});
