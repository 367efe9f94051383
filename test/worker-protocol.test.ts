/** Workers in any language: every call of the worker protocol over HTTP, on every store. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { CANCEL_GRACE_MS } from "../src/core/lease.ts";
import type { Engine } from "../src/engine/engine.ts";
import { type RunningApp, startApp } from "./support/app.ts";
import { createManualClock } from "./support/clock.ts";
import { eventually } from "./support/eventually.ts";
import { everyPairing } from "./support/every-pairing.ts";
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
  return (await response.json()) as T; // in the form that the OpenAPI document defines
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

describe.each(everyPairing("work"))("workers of a store in %s", (_, settings) => {
  beforeAll(async () => {
    server = await startApp({ ROLE: "api", ...settings });
    engine = server.app.engine;
  });
  afterAll(() => server.stop());

  test("a claim returns the due tasks of highest priority of its types, with all fields and their leases", async () => {
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

  test("a claim waits for the first task, and returns none when its time is over", async () => {
    const type = ownType();
    const waiting = claim(type, { wait: "20s" });
    const id = await add({ type });
    expect((await waiting).map((task) => task.id)).toEqual([id]);
    expect(await claim(type, { wait: "20ms" })).toEqual([]);
  });

  test("a task claimed for a client that has disconnected goes to another worker", async () => {
    const type = ownType();
    const gone = new AbortController();
    const leaving = post("/api/worker/claim", { worker: "w1", types: [type], wait: "60s" }, gone.signal);
    gone.abort();
    await leaving.catch(() => undefined); // the request was aborted by the test
    const id = await add({ type });
    const task = await eventually(
      () => claim(type, { wait: "1s" }),
      (tasks) => tasks.length > 0,
    );
    expect(task.map((each) => each.id)).toEqual([id]);
  });

  test("a claim that is repeated gets the same leases, if they are still valid", async () => {
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

  test("a claim that is repeated gets its leases, also if its worker was drained in between", async () => {
    const type = ownType();
    await add({ type });
    const worker = `draining ${type}`;
    const [held] = await claim(type, { worker, request: type });
    await jsonOf(await post(`/api/worker/${encodeURIComponent(worker)}/drain`, {}));
    expect((await claim(type, { worker, request: type })).map(({ lease }) => lease.token)).toEqual([
      held?.lease.token ?? "",
    ]);
    await add({ type });
    expect(await claim(type, { worker, request: `${type} other` })).toEqual([]);
    expect(await claim(type, { worker })).toEqual([]);
  });

  const leave = async (requests: readonly string[], worker = "w1") =>
    jsonOf(await post("/api/worker/leave", { worker, requests }));

  test("a leave ends the worker's waiting claims, and other workers get later tasks", async () => {
    const type = ownType();
    const waiting = claim(type, { wait: "60s", request: type });
    await eventually(
      async () => (await jsonOf<{ workers: Json[] }>(await fetch(`${server.url}/api/stats`))).workers,
      (workers) => workers.some((each) => JSON.stringify(each.types).includes(JSON.stringify(type))),
    );
    expect(await leave([type, `${type} of no claim`])).toEqual({
      message: "The claims have ended",
      worker: "w1",
    });
    expect(await waiting).toEqual([]);
    const id = await add({ type });
    expect((await claim(type, { worker: "w2" })).map((task) => task.id)).toEqual([id]);
  });

  test("a leave releases the tasks of these claims at once, and keeps the worker's other leases", async () => {
    const type = ownType();
    const [running, claimed, settled] = [await add({ type }), await add({ type }), await add({ type })];
    const kept = await start(type, { request: `${type} kept` });
    const got = await claim(type, { max: 2, request: `${type} lost` });
    expect(got.map(({ id }) => id)).toEqual([claimed, settled]);
    await jsonOf(await post(`/api/task/${settled}/complete`, { token: got[1]?.lease.token }));
    await leave([`${type} lost`]);
    expect(await see(claimed)).toMatchObject({ status: "pending", attempt: 0 });
    expect(await see(settled)).toMatchObject({ status: "done" });
    expect((await beat([{ id: running, token: kept.lease.token }])).leases).toMatchObject([{ status: "ok" }]);
    expect((await start(type, { worker: "w2" })).attempt).toBe(1);
  });

  test("a claim that arrives after its worker has left gets nothing, alone and with a complete", async () => {
    const type = ownType();
    await add({ type });
    const { id, lease } = await start(type);
    const waiting = await add({ type });
    const late = { worker: "w1", types: [type], wait: "60s", request: type };
    await leave([type]);
    await leave([type]); // a repetition changes nothing
    expect(await claim(type, { wait: "60s", request: type })).toEqual([]);
    const answer = await post(`/api/task/${id}/complete`, { token: lease.token, claim: late });
    expect(await jsonOf(answer)).toMatchObject({ task_id: id, tasks: [] });
    expect(await see(waiting)).toMatchObject({ status: "pending", attempts: [] });
    expect(await claim(type, { request: `${type} of a new process` })).toHaveLength(1);
  });

  test.each([
    { worker: "w1" },
    { worker: "w1", requests: [] },
    { worker: "w1", requests: [""] },
    { worker: "w1", requests: Array.from({ length: 101 }, (_, n) => `${n}`) },
    { worker: "", requests: ["r"] },
  ])("the leave %j is refused", async (body) => {
    await expectProblem(await post("/api/worker/leave", body), { status: 400, code: "invalid" });
  });

  test("a heartbeat renews all leases, stores progress and log lines, and reports lost leases", async () => {
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

  test("an invalid progress or log line is dropped; its lease and the other leases are renewed", async () => {
    const type = ownType();
    for (let n = 0; n < 4; n++) await add({ type });
    const [a, b, c, d] = (await claim(type, { max: 4, lease: "20s" })).map(({ id, lease }) => ({
      ...{ id, token: lease.token },
    }));
    const { directive, leases } = await beat([
      { ...a, progress: { percent: 101 }, log: ["kept", { level: "warning", message: "?" }, 7, "also kept"] },
      { ...b, progress: "half way", log: "a line", surprise: 1 },
      { ...c, progress: { percent: 33.3, message: 5 }, log: Array.from({ length: 1_001 }, (_, n) => `${n}`) },
      { ...d, progress: { percent: 12.5, message: "good" } },
    ]);
    expect(directive).toBe("run");
    const line = "must be text, or {level, message} with a level of debug, info, warn, error";
    expect(leases).toEqual([
      {
        ...{ id: a?.id, status: "ok", expires_in: "20s" },
        errors: [
          { pointer: "/leases/0/progress/percent", detail: expect.stringContaining("100") },
          { pointer: "/leases/0/log/1", detail: line },
          { pointer: "/leases/0/log/2", detail: line },
        ],
      },
      {
        ...{ id: b?.id, status: "ok", expires_in: "20s" },
        errors: [
          { pointer: "/leases/1/surprise", detail: "is unknown or read-only" },
          { pointer: "/leases/1/progress", detail: "must be an object" },
          { pointer: "/leases/1/log", detail: "must be an array" },
        ],
      },
      {
        ...{ id: c?.id, status: "ok", expires_in: "20s" },
        errors: [
          { pointer: "/leases/2/progress/message", detail: "must be a string" },
          { pointer: "/leases/2/log", detail: "has more than 1000 lines; the oldest were dropped" },
        ],
      },
      { id: d?.id, status: "ok", expires_in: "20s" },
    ]);
    const linesOf = async (id: unknown) => jsonOf<Json[]>(await fetch(`${server.url}/api/task/${id}/log`));
    expect((await linesOf(a?.id)).map(({ message }) => message)).toEqual(["kept", "also kept"]);
    expect((await linesOf(c?.id)).map(({ message }) => message).slice(0, 2)).toEqual(["1", "2"]);
    expect([await see(a?.id ?? 0), await see(c?.id ?? 0)]).toMatchObject([
      { progress: null },
      { progress: null },
    ]);
    expect((await see(d?.id ?? 0)).progress).toEqual({ percent: 12.5, message: "good" });
  });

  test("an element of a heartbeat that cannot be a lease is lost, and the others are renewed", async () => {
    const type = ownType();
    await add({ type });
    const { id, lease } = await start(type);
    const good = { id, token: lease.token };
    const bad = [null, [], "x", {}, { id: "1", token: "1.x" }, { id, token: 5 }, { id: 0, token: "1.x" }];
    const { leases } = await beat([...bad, good].map((each) => each as Json)); // invalid elements, as a broken client may send them
    expect(leases.at(-1)).toMatchObject({ id, status: "ok" });
    expect(leases.map((answer) => [answer.id, answer.status]).slice(0, -1)).toEqual(
      bad.map((_, at) => [at === 5 ? id : null, "lost"]),
    );
    for (const answer of leases.slice(0, -1)) expect(answer.errors).not.toBeEmpty();
    expect(leases[5]?.errors).toEqual([{ pointer: "/leases/5/token", detail: "must be a string" }]);
  });

  test("of a thousand faults in a heartbeat ten are listed for each lease", async () => {
    const type = ownType();
    await add({ type });
    const { id, lease } = await start(type);
    const { leases } = await beat([{ id, token: lease.token, log: Array.from({ length: 1_000 }, () => 0) }]);
    expect(leases[0]).toMatchObject({ status: "ok", errors_omitted: 990 });
    expect(leases[0]?.errors).toHaveLength(10);
  });

  test("an invalid completion has its own answer, and the others are executed", async () => {
    const type = ownType();
    for (let n = 0; n < 2; n++) await add({ type });
    const [first, second] = await claim(type, { max: 2 });
    const report = [
      { id: first?.id, token: first?.lease.token, result: 1 },
      { id: "x", token: "1.x" },
      { id: second?.id, token: second?.lease.token, outcome: "good" },
      null,
      { id: second?.id, token: second?.lease.token },
    ];
    const answer = await jsonOf<{ tasks: Json[] }>(await post("/api/worker/complete", { tasks: report }));
    expect(answer.tasks).toEqual([
      { id: first?.id, status: "ok" },
      { id: null, status: "invalid", errors: [{ pointer: "/tasks/1/id", detail: "must be a number" }] },
      {
        ...{ id: second?.id, status: "invalid" },
        errors: [{ pointer: "/tasks/2/outcome", detail: "is unknown or read-only" }],
      },
      { id: null, status: "invalid", errors: [{ pointer: "/tasks/3", detail: "must be an object" }] },
      { id: second?.id, status: "ok" },
    ]);
  });

  test.each(["1.\0", "\ud800", "\udc00.x"])(
    "the token %j belongs to no lease, on every store",
    async (token) => {
      const type = ownType();
      const id = await add({ type });
      const { lease } = await start(type);
      const { leases } = await beat([{ id, token }]);
      expect(leases).toEqual([{ id, status: "lost" }]);
      for (const verb of ["complete", "fail", "release"]) {
        const answer = await post(`/api/task/${id}/${verb}`, { token });
        await expectProblem(answer, LOST);
      }
      const many = await post("/api/worker/complete", {
        tasks: [
          { id, token },
          { id, token: lease.token },
        ],
      });
      expect(await jsonOf(many)).toMatchObject({
        tasks: [
          { id, status: "lease_lost" },
          { id, status: "ok" },
        ],
      });
    },
  );

  test.each(["a\0b", "\ud800"])(
    "the text %j is refused as a worker's name, and its invalid characters are replaced in progress, log and errors",
    async (text) => {
      const type = ownType();
      const id = await add({ type });
      const refused = { status: 400, code: "invalid" } as const;
      await expectProblem(await post("/api/worker/claim", { worker: text, types: [type] }), refused);
      await expectProblem(await post("/api/worker/heartbeat", { worker: text, leases: [] }), refused);
      const { lease } = await start(type);
      const readable = text.toWellFormed().replaceAll("\0", "\ufffd");
      const report = { id, token: lease.token, progress: { percent: 1, message: text }, log: [text] };
      expect((await beat([report])).leases).toMatchObject([{ status: "ok" }]);
      expect((await see(id)).progress).toEqual({ percent: 1, message: readable });
      const log = await jsonOf<Json[]>(await fetch(`${server.url}/api/task/${id}/log`));
      expect(log).toMatchObject([{ message: readable }]);
      const error = { code: text, message: text };
      await jsonOf(await post(`/api/task/${id}/fail`, { token: lease.token, error, retryable: false }));
      expect((await see(id)).error).toEqual({ code: readable, message: readable });
    },
  );

  test("a heartbeat reports a cancel request; a failure then becomes cancelled, a success still counts", async () => {
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

  test("a complete ends the task with its result, and a repetition gets the same answer", async () => {
    const type = ownType();
    const id = await add({ type });
    const { lease } = await start(type);
    const report = { token: lease.token, result: { ok: ["да"] } };
    const answers = [
      await post(`/api/task/${id}/complete`, report),
      await post(`/api/task/${id}/complete`, report),
    ];
    for (const answer of answers)
      expect(await jsonOf(answer)).toEqual({ message: "Task completed", task_id: id });
    expect(await see(id)).toMatchObject({
      status: "done",
      result: { ok: ["да"] },
      attempts: [{ worker: "w1" }],
    });
  });

  test("a complete with a claim returns the next task in the same answer", async () => {
    const type = ownType();
    const [first, second] = [await add({ type }), await add({ type })];
    const { lease } = await start(type);
    const next = { token: lease.token, claim: { worker: "w1", types: [type] } };
    const answer = await jsonOf<{ tasks: Leased[] }>(await post(`/api/task/${first}/complete`, next));
    expect(answer.tasks.map(({ id }) => id)).toEqual([second]);
  });

  test("many tasks are completed in one call, each independently", async () => {
    const type = ownType();
    for (let n = 0; n < 4; n++) await add({ type });
    const tasks = await claim(type, { max: 3 });
    const report = tasks.map(({ id, lease }, n) => ({ id, token: n === 1 ? "9.x" : lease.token, result: n }));
    const answer = await jsonOf<{ tasks: Json[]; claimed: Leased[] }>(
      await post("/api/worker/complete", { tasks: report, claim: { worker: "w1", types: [type], max: 9 } }),
    );
    expect(answer.tasks.map(({ status }) => status)).toEqual(["ok", "lease_lost", "ok"]);
    expect(answer.claimed.length).toBe(1);
    expect((await see(tasks[2]?.id ?? 0)).result).toBe(2);
  });

  test("a failed attempt is retried after its delay, and not at all if it is not retryable", async () => {
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

  test("a release uses up no attempt", async () => {
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

  test("a result of more than a megabyte fails the task, and the complete is not refused", async () => {
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

  test("a drained worker gets the directive and no more tasks, and can still end its running tasks", async () => {
    const type = ownType();
    const [id] = [await add({ type }), await add({ type })];
    const worker = `раб/${type}`;
    const { lease } = await start(type, { worker });
    const drained = await post(`/api/worker/${encodeURIComponent(worker)}/drain`, {});
    expect(await jsonOf(drained)).toEqual({ message: "Worker is draining", worker });
    const beaten = await post("/api/worker/heartbeat", { worker, leases: [{ id, token: lease.token }] });
    expect(await jsonOf(beaten)).toMatchObject({ directive: "drain", leases: [{ status: "ok" }] });
    const asked = await post("/api/worker/claim", { worker, types: [type], wait: "10s" });
    expect(await jsonOf(asked)).toEqual({ tasks: [], directive: "drain" });
    await jsonOf(await post(`/api/task/${id}/complete`, { token: lease.token }));
    expect((await claim(type)).length).toBe(1);
  });

  test("a worker gets tasks again after its drain ends", async () => {
    const type = ownType();
    const id = await add({ type });
    const drain = `/api/worker/${type}/drain`;
    await jsonOf(await post(drain, {}));
    expect(await claim(type, { worker: type })).toEqual([]);
    expect((await fetch(server.url + drain, { method: "DELETE" })).status).toBe(204);
    expect((await claim(type, { worker: type })).map((task) => task.id)).toEqual([id]);
  });

  test("a claim that waits ends when its worker is drained", async () => {
    const type = ownType();
    const waiting = post("/api/worker/claim", { worker: type, types: [type], wait: "60s" });
    await eventually(
      async () => (await jsonOf<{ workers: Json[] }>(await fetch(`${server.url}/api/stats`))).workers,
      (workers) => JSON.stringify(workers).includes(JSON.stringify(type)),
    );
    await jsonOf(await post(`/api/worker/${type}/drain`, {}));
    expect(await jsonOf(await waiting)).toEqual({ tasks: [], directive: "drain" });
  });

  test("an explanation gives the reason why a task waits, and its position", async () => {
    const type = ownType();
    const explain = async (id: number) => jsonOf(await fetch(`${server.url}/api/task/${id}/explain`));
    const later = await add({ type, delay: "1h" });
    expect(await explain(later)).toMatchObject({ status: "pending", reason: "not_due", position: null });
    const [first, second] = [await add({ type }), await add({ type })];
    expect(await explain(second)).toMatchObject({ reason: "no_worker", position: 1, workers: [] });
    await start(type, { worker: `taker-${type}` });
    expect(await explain(first)).toMatchObject({ reason: "running", worker: `taker-${type}` });
    expect(await explain(second)).toMatchObject({
      reason: "waiting_for_slot",
      position: 0,
      workers: [`taker-${type}`],
    });
    await post(`/api/task/${second}/cancel`, {});
    expect(await explain(second)).toMatchObject({ reason: "ended", status: "cancelled" });
    await expectProblem(await fetch(`${server.url}/api/task/999999999/explain`), {
      status: 404,
      code: "not_found",
    });
  });

  test("the statistics have counts by type and status, the workers and the last hour", async () => {
    const type = ownType();
    const worker = `counted-${type}`;
    for (let n = 0; n < 3; n++) await add({ type, tags: [type] });
    const { id, lease } = await start(type, { worker });
    await jsonOf(await post(`/api/task/${id}/complete`, { token: lease.token }));
    const { id: running } = await start(type, { worker });
    const stats = await eventually(
      async () => jsonOf<Record<string, Json[]>>(await fetch(`${server.url}/api/stats`)),
      ({ types }) => types?.some((each) => each.type === type) ?? false,
    );
    expect(stats.types?.find((each) => each.type === type)).toMatchObject({
      counts: { pending: 1, running: 1, done: 1, failed: 0, cancelled: 0 },
    });
    expect(stats.workers?.find((each) => each.worker === worker)).toMatchObject({
      types: [type],
      tasks: [running],
    });
    expect(stats.tags).toContainEqual({ tag: type, count: 3 });
    expect(stats.minutes?.at(-1)).toMatchObject({ created: expect.any(Number), at: expect.any(String) });
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

test("the shutdown of the server does not wait for waiting claims", async () => {
  const own = await startApp({ ROLE: "api" }, { clock: createManualClock() });
  const waiting = fetch(`${own.url}/api/worker/claim`, {
    method: "POST",
    body: JSON.stringify({ worker: "w", types: ["none"], wait: "60s" }),
  });
  expect((await fetch(`${own.url}/api/task`)).status).toBe(200);
  const stopped = own.stop();
  expect(await (await waiting).json()).toEqual({ tasks: [], directive: "run" });
  await stopped; // the clock does not move, so the stop waits for no time limit
});

describe.each(everyPairing("twice").slice(2))("two processes on %s", (_, settings) => {
  test("return the same leases for a repeated claim, on either process, also at the same moment", async () => {
    const [here, there] = [
      await startApp({ ROLE: "api", ...settings }),
      await startApp({ ROLE: "api", ...settings }),
    ];
    server = here;
    const type = ownType();
    for (let n = 0; n < 30; n++) await add({ type });
    for (let round = 0; round < 5; round++) {
      const body = { worker: "w1", types: [type], max: 2, request: `round ${round}` };
      const leasesAt = async (app: RunningApp) => {
        server = app;
        const { tasks } = await jsonOf<{ tasks: Leased[] }>(await post("/api/worker/claim", body));
        return tasks.map(({ id, lease }) => `${id} ${lease.token}`).toSorted();
      };
      const [first, second] = await Promise.all([leasesAt(here), leasesAt(there)]);
      expect(first.length).toBe(2);
      expect(second).toEqual(first);
      expect(await leasesAt(there)).toEqual(first);
    }
    expect(await here.app.engine.count({ types: [type], statuses: ["running"] })).toBe(10);
    await here.stop();
    await there.stop();
  });

  test("end a claim of one process by a leave sent to the other: its tasks are released at once", async () => {
    const [here, there] = [
      await startApp({ ROLE: "api", ...settings }),
      await startApp({ ROLE: "api", ...settings }),
    ];
    server = here;
    const type = ownType();
    const claimed = claim(type, { wait: "60s", request: type });
    await eventually(
      async () => (await jsonOf<{ workers: Json[] }>(await fetch(`${server.url}/api/stats`))).workers,
      (workers) => workers.some((each) => JSON.stringify(each.types).includes(JSON.stringify(type))),
    );
    server = there;
    await jsonOf(await post("/api/worker/leave", { worker: "w1", requests: [type] }));
    const id = await add({ type });
    expect(await claimed).toEqual([]); // the wait ends with its first task
    expect(await see(id)).toMatchObject({ status: "pending", attempt: 0 });
    expect((await start(type, { worker: "w2" })).id).toBe(id);
    await here.stop();
    await there.stop();
  });
});

describe("a worker that ignores a cancel", () => {
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
