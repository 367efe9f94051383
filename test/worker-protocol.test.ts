/** Workers in any language: every word of theirs over HTTP, as every store must hear it. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { CANCEL_GRACE_MS } from "../src/core/lifecycle.ts";
import type { Engine } from "../src/engine/engine.ts";
import { type RunningApp, startApp } from "./support/app.ts";
import { createManualClock } from "./support/clock.ts";
import { eventually } from "./support/eventually.ts";
import { everyStore } from "./support/every-store.ts";
import { expectProblem } from "./support/problem.ts";

type Json = Record<string, unknown>;
type Leased = Json & {
  readonly id: number;
  readonly lease: { readonly token: string; readonly expires_in: string };
};

let server: RunningApp;
let engine: Engine;

const post = (path: string, body: unknown, signal?: AbortSignal): Promise<Response> =>
  fetch(server.url + path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    ...(signal === undefined ? {} : { signal }),
  });
const jsonOf = async <T = Json>(response: Response): Promise<T> => {
  expect(response.status).toBe(200);
  return (await response.json()) as T; // the OpenAPI document knows it
};
const see = async (id: number): Promise<Json> => jsonOf(await fetch(`${server.url}/api/task/${id}`));

async function add(body: Json): Promise<number> {
  const response = await post("/api/task", { name: "a task", ...body });
  expect(response.status).toBe(201);
  return ((await response.json()) as { task_id: number }).task_id;
}

async function claim(type: string, more: Json = {}): Promise<Leased[]> {
  const response = await post("/api/worker/claim", { worker: "w1", types: [type], ...more });
  return (await jsonOf<{ tasks: Leased[] }>(response)).tasks;
}

async function start(type: string, more: Json = {}): Promise<Leased> {
  const [task] = await claim(type, more);
  if (task === undefined) throw new Error("there is no task to claim");
  return task;
}

async function beat(leases: readonly Json[]): Promise<{ directive: string; leases: Json[] }> {
  return jsonOf(await post("/api/worker/heartbeat", { worker: "w1", leases }));
}

const LOST = { status: 409, code: "lease_lost" } as const;

let types = 0;
const ownType = (): string => `work-${++types}`;

describe.each(everyStore("work"))("workers of a store in %s", (_, STORE_URL) => {
  beforeAll(async () => {
    server = await startApp({ ROLE: "api", STORE_URL });
    engine = server.app.engine;
  });
  afterAll(() => server.stop());

  test("a claim gives the best due tasks of its types, whole and with their leases", async () => {
    const type = ownType();
    const low = await add({ type: `${type}.a`, payload: { n: 1 } });
    const high = await add({ type: `${type}.b`, priority: 5 });
    await add({ type, delay: "1h" });
    const tasks = await claim(`${type}.*`, { max: 10, lease: "45s", worker: "gpu-1" });
    expect(tasks.map(({ id }) => id)).toEqual([high, low]);
    expect(tasks[1]).toMatchObject({
      status: "running",
      attempt: 1,
      payload: { n: 1 },
      lease: { token: expect.stringMatching(/^1\./), expires_in: expect.stringMatching(/^4[45](\.\d+)?s$/) },
    });
    expect(await claim(type, { max: 10 })).toEqual([]);
  });

  test("a claim waits for the first task, and answers with none when its time is over", async () => {
    const type = ownType();
    const waiting = claim(type, { wait: "20s" });
    const id = await add({ type });
    expect((await waiting).map((task) => task.id)).toEqual([id]);
    expect(await claim(type, { wait: "20ms" })).toEqual([]);
  });

  test("what comes for a client that has gone is not lost to others", async () => {
    const type = ownType();
    const gone = new AbortController();
    const leaving = post("/api/worker/claim", { worker: "w1", types: [type], wait: "60s" }, gone.signal);
    gone.abort();
    await leaving.catch(() => undefined); // it was cut, as it was meant to be
    const id = await add({ type });
    const task = await eventually(
      () => claim(type, { wait: "1s" }),
      (tasks) => tasks.length > 0,
    );
    expect(task.map((each) => each.id)).toEqual([id]);
  });

  test("a claim that is repeated gets the same leases, those that it still holds", async () => {
    const type = ownType();
    for (let n = 0; n < 3; n++) await add({ type });
    const request = { max: 2, request: type };
    const [first, again] = await Promise.all([claim(type, request), claim(type, request)]);
    expect(again.map(({ id, lease }) => [id, lease.token])).toEqual(
      first.map(({ id, lease }) => [id, lease.token]),
    );
    const [done, held] = first;
    await jsonOf(await post(`/api/task/${done?.id}/complete`, { token: done?.lease.token }));
    expect((await claim(type, request)).map(({ id }) => id)).toEqual([held?.id ?? 0]);
    expect((await claim(type, { max: 2, request: `${type} other` })).length).toBe(1);
  });

  test("a heartbeat renews all leases, brings progress and lines, and says which are lost", async () => {
    const type = ownType();
    const [a, b] = [await add({ type }), await add({ type })];
    const tasks = await claim(type, { max: 2, lease: "20s" });
    const leases = tasks.map(({ id, lease }) => ({ id, token: lease.token }));
    const answer = await beat([
      {
        ...leases[0],
        progress: { percent: 40, message: "на пути" },
        log: ["one", { level: "warn", message: "two" }],
      },
      leases[1] ?? {},
      { id: 999_999_999, token: "1.x" },
    ]);
    expect(answer).toEqual({
      directive: "run",
      leases: [
        { id: a, status: "ok", expires_in: "20s" },
        { id: b, status: "ok", expires_in: "20s" },
        { id: 999_999_999, status: "lost" },
      ],
    });
    expect((await see(a)).progress).toEqual({ percent: 40, message: "на пути" });
    const log = await jsonOf<Json[]>(await fetch(`${server.url}/api/task/${a}/log`));
    expect(log.map(({ level, message }) => [level, message])).toEqual([
      ["info", "one"],
      ["warn", "two"],
    ]);
  });

  test("a heartbeat says that a cancel was asked for; what ends then is cancelled, a success stands", async () => {
    for (const [verb, body, status] of [
      ["fail", {}, "cancelled"],
      ["release", {}, "cancelled"],
      ["complete", { result: 1 }, "done"],
    ] as const) {
      const type = ownType();
      const id = await add({ type });
      const { lease } = await start(type);
      await post(`/api/task/${id}/cancel`, {});
      const { leases } = await beat([{ id, token: lease.token }]);
      expect(leases).toMatchObject([{ id, status: "cancel" }]);
      await jsonOf(await post(`/api/task/${id}/${verb}`, { token: lease.token, ...body }));
      expect({ verb, status: (await see(id)).status }).toEqual({ verb, status });
    }
  });

  test("a complete ends the task with its result, and the same again is answered alike", async () => {
    const type = ownType();
    const id = await add({ type });
    const { lease } = await start(type);
    const said = { token: lease.token, result: { ok: ["да"] } };
    const answers = [
      await post(`/api/task/${id}/complete`, said),
      await post(`/api/task/${id}/complete`, said),
    ];
    for (const answer of answers)
      expect(await jsonOf(answer)).toEqual({ message: "Task completed", task_id: id });
    expect(await see(id)).toMatchObject({
      status: "done",
      result: { ok: ["да"] },
      attempts: [{ worker: "w1" }],
    });
  });

  test("a complete with a claim brings the next task in the same answer", async () => {
    const type = ownType();
    const [first, second] = [await add({ type }), await add({ type })];
    const { lease } = await start(type);
    const next = { token: lease.token, claim: { worker: "w1", types: [type] } };
    const answer = await jsonOf<{ tasks: Leased[] }>(await post(`/api/task/${first}/complete`, next));
    expect(answer.tasks.map(({ id }) => id)).toEqual([second]);
  });

  test("many are completed in one call, each for itself", async () => {
    const type = ownType();
    for (let n = 0; n < 4; n++) await add({ type });
    const tasks = await claim(type, { max: 3 });
    const said = tasks.map(({ id, lease }, n) => ({ id, token: n === 1 ? "9.x" : lease.token, result: n }));
    const answer = await jsonOf<{ tasks: Json[]; claimed: Leased[] }>(
      await post("/api/worker/complete", { tasks: said, claim: { worker: "w1", types: [type], max: 9 } }),
    );
    expect(answer.tasks.map(({ status }) => status)).toEqual(["ok", "lease_lost", "ok"]);
    expect(answer.claimed.length).toBe(1);
    expect((await see(tasks[2]?.id ?? 0)).result).toBe(2);
  });

  test("a failure is tried again after its time, and is final where it says so", async () => {
    const type = ownType();
    const id = await add({ type });
    const first = await start(type);
    const error = { code: "no_space", message: "the disk is full" };
    await jsonOf(await post(`/api/task/${id}/fail`, { token: first.lease.token, error, retry_after: "0s" }));
    expect(await see(id)).toMatchObject({ status: "pending", error, attempt: 1 });
    const second = await start(type);
    expect(second.attempt).toBe(2);
    await jsonOf(await post(`/api/task/${id}/fail`, { token: second.lease.token, retryable: false }));
    expect(await see(id)).toMatchObject({ status: "failed", error: { code: "handler_error" } });
  });

  test("a release burns no attempt", async () => {
    const type = ownType();
    const id = await add({ type });
    const { lease } = await start(type);
    await jsonOf(await post(`/api/task/${id}/release`, { token: lease.token }));
    expect((await start(type)).attempt).toBe(1);
  });

  test("a stale token and a deleted task change nothing", async () => {
    const type = ownType();
    const id = await add({ type });
    const old = await start(type);
    await post(`/api/task/${id}/release`, { token: old.lease.token });
    await start(type, { worker: "w2" });
    for (const verb of ["complete", "fail", "release"]) {
      await expectProblem(await post(`/api/task/${id}/${verb}`, { token: old.lease.token, result: 1 }), {
        ...(verb === "complete" ? LOST : { status: 400, code: "invalid" }),
      });
    }
    await expectProblem(await post(`/api/task/${id}/fail`, { token: old.lease.token }), LOST);
    expect(await see(id)).toMatchObject({ status: "running", result: null });
    await fetch(`${server.url}/api/task/${id}`, { method: "DELETE" });
    await expectProblem(await post(`/api/task/${id}/complete`, { token: old.lease.token }), LOST);
  });

  test("a result of more than a megabyte fails the task, and the worker is answered all the same", async () => {
    const type = ownType();
    const id = await add({ type });
    const { lease } = await start(type);
    const result = "ж".repeat(524_288); // a megabyte of UTF-8, and two quotes
    await jsonOf(await post(`/api/task/${id}/complete`, { token: lease.token, result }));
    expect(await see(id)).toMatchObject({
      status: "failed",
      result: null,
      error: { code: "result_too_large" },
    });
    const far = { token: lease.token, result: "x".repeat(4 * 1_048_576) };
    await expectProblem(await post(`/api/task/${id}/complete`, far), { status: 413, code: "body_too_large" });
  });

  test.each([
    { types: ["a"] },
    { worker: "", types: ["a"] },
    { worker: "w", types: [] },
    { worker: "w", types: ["a b"] },
    { worker: "w", types: ["a"], max: 1_001 },
    { worker: "w", types: ["a"], lease: "999ms" },
    { worker: "w", types: ["a"], wait: "61s" },
    { worker: "w", types: ["a"], surprise: 1 },
  ])("the claim %j is refused", async (body) => {
    await expectProblem(await post("/api/worker/claim", body), { status: 400, code: "invalid" });
  });

  test("a heartbeat that names a task twice is refused", async () => {
    const lease = { id: 1, token: "1.x" };
    const twice = { worker: "w", leases: [lease, lease] };
    await expectProblem(await post("/api/worker/heartbeat", twice), { status: 400, code: "invalid" });
  });
});

describe("a worker that does not heed a cancel", () => {
  test("loses its lease after the grace, and the task is cancelled", async () => {
    const clock = createManualClock();
    server = await startApp({ ROLE: "api" }, { clock });
    engine = server.app.engine;
    const type = ownType();
    const id = await add({ type });
    const { lease } = await start(type, { lease: "10m" });
    await post(`/api/task/${id}/cancel`, {});
    await clock.advance(CANCEL_GRACE_MS - 1);
    await engine.sweep();
    expect((await see(id)).status).toBe("running");
    await clock.advance(1);
    await engine.sweep();
    expect((await see(id)).status).toBe("cancelled");
    await expectProblem(await post(`/api/task/${id}/complete`, { token: lease.token }), LOST);
    await server.stop();
  });
});
