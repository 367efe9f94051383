/** Tasks over HTTP with every store: fields, validation, keys, waits, edits, steps, logs, lists and bulk actions. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Engine } from "../src/engine/engine.ts";
import { type RunningApp, startApp } from "./support/app.ts";
import { everyPairing } from "./support/every-pairing.ts";
import { expectProblem } from "./support/problem.ts";
import { ask, DONE, FAILED, NEVER } from "./support/verbs.ts";

type Json = Record<string, unknown>;
type Headers = Record<string, string>;

let server: RunningApp;
let engine: Engine;

const call = (method: string, path: string, body?: unknown, headers: Headers = {}): Promise<Response> =>
  fetch(server.url + path, {
    method,
    headers: { ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });

const post = (path: string, body?: unknown, headers: Headers = {}) => call("POST", path, body, headers);
const jsonOf = async (response: Response): Promise<Json> => (await response.json()) as Json; // the OpenAPI tests check the form
const see = async (id: number): Promise<Json> => jsonOf(await call("GET", `/api/task/${id}`));

async function add(body: Json = {}): Promise<number> {
  const response = await post("/api/task", { name: "a task", ...body });
  expect(response.status).toBe(201);
  return Number((await jsonOf(response)).task_id);
}

/** Claims the one task of this type. */
async function start(type: string) {
  const { tasks } = await engine.claim(ask({ types: [type], max: 1 }), NEVER);
  const [task] = tasks;
  if (task === undefined) throw new Error("a claim that is not aborted ends with a task");
  return task;
}

async function idsAt(path: string): Promise<number[]> {
  const response = await call("GET", path);
  expect(response.status).toBe(200);
  return ((await response.json()) as { id: number }[]).map(({ id }) => id);
}

/** The page size of the test with a long list. With WALK_PAGE=1000 the list has a hundred thousand tasks. */
const PAGE = Number(process.env.WALK_PAGE || 20);

let types = 0;
/** A type that no other test uses. */
const ownType = (): string => `type-${++types}`;

describe.each(everyPairing("model"))("tasks in %s", (_, settings) => {
  beforeAll(async () => {
    server = await startApp({ ROLE: "api", ...settings });
    engine = server.app.engine;
  });
  afterAll(() => server.stop());

  describe("creating", () => {
    test("a task has all fields of its create", async () => {
      const taskFields = {
        name: "full",
        description: "d",
        type: ownType(),
        payload: { z: [1, null], a: "Ключ" },
        priority: -3,
        run_at: "2027-01-31T12:00:00.25+02:00",
        timeout: "1m30s",
        max_attempts: 7,
        tags: ["nightly", "тест"],
        labels: { region: "eu", "app/name": "тест: a" },
        key: `key-${types}`,
      };
      const id = await add({ ...taskFields, backoff: { base: "2s", max: "1m" } });
      expect(await see(id)).toMatchObject({
        ...taskFields,
        run_at: "2027-01-31T10:00:00.250Z",
        status: "pending",
      });
      expect((await engine.get(id)).backoff).toEqual({ baseMs: 2_000, maxMs: 60_000 });
    });

    test("labels are shown in the order of their names, and a list takes tasks that have all wanted labels", async () => {
      const type = ownType();
      const first = await add({ type, labels: { region: "eu", "1": "one", app: "" } });
      const second = await add({ type, labels: { region: "us", app: "" } });
      await add({ type });
      expect(JSON.stringify((await see(first)).labels)).toBe('{"1":"one","app":"","region":"eu"}');
      const ids = async (query: string): Promise<unknown> => {
        const listed = await call("GET", `/api/task?type=${type}&${query}`);
        return ((await listed.json()) as { readonly id: number }[]).map(({ id }) => id);
      };
      expect(await ids("label=app:")).toEqual([first, second]);
      expect(await ids("label=app:&label=region:us")).toEqual([second]);
      expect(await ids("label=region:us&label=region:eu")).toEqual([]);
      await expectProblem(await call("GET", "/api/task?label=region"), { status: 400, code: "invalid" });
      await expectProblem(await call("GET", "/api/task?label=:eu"), { status: 400, code: "invalid" });
      const bulk = { action: "cancel", filter: { type: [type], label: ["region:us"] } };
      expect(await jsonOf(await call("POST", "/api/task/bulk", bulk))).toMatchObject({ count: 1 });
    });

    test("a delay is counted by the store's clock", async () => {
      const task = await see(await add({ type: ownType(), delay: "1h" }));
      expect(Date.parse(String(task.run_at)) - Date.parse(String(task.created_at))).toBe(3_600_000);
    });

    test("a task of a custom type may fail three times, a simulated one once", async () => {
      expect((await see(await add({ type: ownType() }))).max_attempts).toBe(3);
      expect((await see(await add())).max_attempts).toBe(1);
    });

    test("a create with the key of a live task returns that task", async () => {
      const type = ownType();
      const id = await add({ type, key: type });
      const again = await post("/api/task", { name: "other", key: type });
      expect(again.status).toBe(200);
      expect(again.headers.get("location")).toBe(`/api/task/${id}`);
      expect(await jsonOf(again)).toEqual({ message: "Task already exists", task_id: id });
      const { token } = await start(type);
      await engine.settle(id, token, DONE);
      expect((await post("/api/task", { name: "other", key: type })).status).toBe(201);
    });

    test("an array creates all", async () => {
      const type = ownType();
      const response = await post("/api/task", [
        { name: "one", type },
        { name: "two", type, key: type },
        { name: "three", type },
      ]);
      expect(response.status).toBe(201);
      const { message, task_ids } = (await response.json()) as { message: string; task_ids: number[] };
      expect(message).toBe("Tasks created successfully");
      expect(await Promise.all(task_ids.map(async (id) => (await see(id)).name))).toEqual([
        "one",
        "two",
        "three",
      ]);
      const more = await post("/api/task", [{ name: "four" }, { name: "five", key: type }]);
      expect(((await more.json()) as { task_ids: number[] }).task_ids[1]).toBe(task_ids[1] ?? 0);
    });

    test("an array of a thousand with one invalid element creates none and names the element", async () => {
      const type = ownType();
      const tasks: Json[] = Array.from({ length: 1_000 }, (_, n) => ({ name: `task ${n}`, type }));
      tasks[637] = { name: "bad", type, priority: 1_001 };
      const problem = await expectProblem(await post("/api/task", tasks), { status: 400, code: "invalid" });
      expect(problem.errors).toEqual([
        { pointer: "/637/priority", detail: "must be a whole number from -1000 to 1000" },
      ]);
      expect(await idsAt(`/api/task?type=${type}`)).toEqual([]);
      tasks[637] = { name: "good", type };
      expect((await post("/api/task", tasks)).status).toBe(201);
      expect((await idsAt(`/api/task?type=${type}`)).length).toBe(1_000);
    });

    const bad: readonly (readonly [string, unknown, string])[] = [
      ["an empty array", [], ""],
      ["an array of more than a thousand", new Array(1_001).fill({ name: "x" }), ""],
      [
        "two elements with one key",
        [
          { name: "a", key: "same" },
          { name: "b", key: "same" },
        ],
        "/1/key",
      ],
      ["an element that is not an object", [{ name: "a" }, 1], "/1"],
      ["a type with a space", { name: "x", type: "a b" }, "/type"],
      ["a type of 65 letters", { name: "x", type: "a".repeat(65) }, "/type"],
      ["a priority that is not a whole number", { name: "x", priority: 1.5 }, "/priority"],
      ["an invalid time", { name: "x", run_at: "tomorrow" }, "/run_at"],
      ["a month that is not in the calendar", { name: "x", run_at: "2026-13-01T00:00:00Z" }, "/run_at"],
      ["a day that is not in the calendar", { name: "x", run_at: "2027-02-30T00:00:00Z" }, "/run_at"],
      ["a time after the year 9999 in UTC", { name: "x", run_at: "9999-12-31T23:59:59-00:01" }, "/run_at"],
      ["a time and a delay", { name: "x", run_at: "2026-01-01T00:00:00Z", delay: "1s" }, "/delay"],
      ["a negative delay", { name: "x", delay: "-1s" }, "/delay"],
      ["a timeout of zero", { name: "x", timeout: "0s" }, "/timeout"],
      ["no attempts", { name: "x", max_attempts: 0 }, "/max_attempts"],
      ["a backoff without max", { name: "x", backoff: { base: "1s" } }, "/backoff/max"],
      ["21 tags", { name: "x", tags: new Array(21).fill("t") }, "/tags"],
      ["an empty tag", { name: "x", tags: ["a", ""] }, "/tags/1"],
      [
        "21 labels",
        { name: "x", labels: Object.fromEntries(Array.from({ length: 21 }, (_, n) => [`l${n}`, ""])) },
        "/labels",
      ],
      ["a list of labels", { name: "x", labels: ["a:b"] }, "/labels"],
      ["a label with a number as its value", { name: "x", labels: { a: 1 } }, "/labels/a"],
      ["a label with a value that is too long", { name: "x", labels: { a: "x".repeat(256) } }, "/labels/a"],
      ["a label whose name has a colon", { name: "x", labels: { "a:b": "c" } }, "/labels/a:b"],
      ["a label without a name", { name: "x", labels: { "": "c" } }, "/labels/"],
      ["an empty key", { name: "x", key: "" }, "/key"],
      ["a field that only the server sets", { name: "x", attempt: 1 }, "/attempt"],
    ];
    test.each(bad)("%s is refused, and the error has its pointer", async (_, body, pointer) => {
      const problem = await expectProblem(await post("/api/task", body), { status: 400, code: "invalid" });
      expect(problem.errors?.map((fault) => fault.pointer)).toContain(pointer);
    });
  });

  describe("an Idempotency-Key", () => {
    test("returns the first answer again, whatever happened to the task", async () => {
      const type = ownType();
      const key = { "idempotency-key": type };
      const first = await post("/api/task", { name: "x", type, payload: { a: 1, b: 2 } }, key);
      const answer = await jsonOf(first);
      await call("DELETE", `/api/task/${answer.task_id}`);
      const again = await post("/api/task", { name: "x", type, payload: { a: 1, b: 2 } }, key);
      expect([again.status, again.headers.get("idempotent-replayed")]).toEqual([201, "true"]);
      expect(await jsonOf(again)).toEqual(answer);
      expect(first.headers.get("idempotent-replayed")).toBeNull();
    });

    test("is refused for another request", async () => {
      const key = { "idempotency-key": ownType() };
      await post("/api/task", { name: "x" }, key);
      await expectProblem(await post("/api/task", { name: "y" }, key), {
        status: 422,
        code: "idempotency_mismatch",
      });
      await expectProblem(await post("/api/task", [{ name: "x" }], key), {
        status: 422,
        code: "idempotency_mismatch",
      });
      await expectProblem(await post("/api/task", { name: "x", payload: null }, key), {
        status: 422,
        code: "idempotency_mismatch",
      });
    });

    test("in fifty concurrent requests creates one task", async () => {
      const type = ownType();
      const responses = await Promise.all(
        Array.from({ length: 50 }, () => post("/api/task", { name: "x", type }, { "idempotency-key": type })),
      );
      const ids = await Promise.all(responses.map(async (response) => (await jsonOf(response)).task_id));
      expect(responses.every(({ status }) => status === 201)).toBe(true);
      expect(new Set(ids).size).toBe(1);
      expect((await idsAt(`/api/task?type=${type}`)).length).toBe(1);
    });

    test("applies to an array too", async () => {
      const key = { "idempotency-key": ownType() };
      const answers = [0, 1].map(() => post("/api/task", [{ name: "a" }, { name: "b" }], key).then(jsonOf));
      const [first, second] = await Promise.all(answers);
      expect(second).toEqual(first ?? {});
    });
  });

  describe("Prefer: wait", () => {
    test("answers with the task when it has ended in time", async () => {
      const type = ownType();
      const waiting = post("/api/task", { name: "x", type }, { prefer: "wait=20" });
      const { id, token } = await start(type);
      await engine.settle(id, token, { kind: "done", result: '{"n":1}' });
      const response = await waiting;
      expect([response.status, response.headers.get("preference-applied")]).toEqual([200, "wait=20"]);
      expect(await jsonOf(response)).toMatchObject({ id, status: "done", result: { n: 1 } });
    });

    test("answers 202 when it has not", async () => {
      const response = await post("/api/task", { name: "x", type: ownType() }, { prefer: "wait=0" });
      expect(response.status).toBe(202);
      const { task_id } = await jsonOf(response);
      expect(response.headers.get("location")).toBe(`/api/task/${task_id}`);
    });

    test("answers 202 also if the task is deleted during the wait", async () => {
      const type = ownType();
      const headers = { prefer: "wait=20", "idempotency-key": type };
      const waiting = post("/api/task", { name: "x", type }, headers);
      const { id } = await start(type);
      await engine.remove(id);
      const again = await waiting.then(() => post("/api/task", { name: "x", type }, headers));
      for (const response of [await waiting, again]) {
        expect([response.status, response.headers.get("location")]).toEqual([202, `/api/task/${id}`]);
        expect(await jsonOf(response)).toEqual({ message: "Task created successfully", task_id: id });
      }
      expect(again.headers.get("idempotent-replayed")).toBe("true");
    });

    test("reports that a live task with the key exists, if that task has not ended in time", async () => {
      const type = ownType();
      const task_id = await add({ type, key: type });
      const response = await post("/api/task", { name: "x", type, key: type }, { prefer: "wait=0" });
      expect(response.status).toBe(202);
      expect(await jsonOf(response)).toEqual({ message: "Task already exists", task_id });
    });
  });

  describe("changing", () => {
    test("every editable field of a pending task can be changed", async () => {
      const id = await add({ type: ownType() });
      const patch = {
        name: "new",
        tags: ["t"],
        labels: { a: "b" },
        payload: [1],
        priority: 9,
        run_at: "2030-01-01T00:00:00.000Z",
        timeout: "5s",
        max_attempts: 2,
      };
      const response = await call("PATCH", `/api/task/${id}`, patch);
      expect([response.status, response.headers.get("etag")]).toEqual([200, '"v2"']);
      expect(await see(id)).toMatchObject(patch);
    });

    test("the name and tags of a running task can be changed, but not the fields that its worker uses", async () => {
      const type = ownType();
      const id = await add({ type });
      await start(type);
      expect(
        (await call("PATCH", `/api/task/${id}`, { name: "new", tags: [], labels: { late: "1" } })).status,
      ).toBe(200);
      await expectProblem(await call("PATCH", `/api/task/${id}`, { priority: 1 }), {
        status: 409,
        code: "wrong_status",
      });
    });
  });

  describe("conditions", () => {
    test("an ETag is the version, and a 304 means that the client has it", async () => {
      const type = ownType();
      const id = await add({ type });
      const etag = (await call("GET", `/api/task/${id}`)).headers.get("etag") ?? "";
      expect(etag).toBe('"v1"');
      const known = (tag: string) => call("GET", `/api/task/${id}`, undefined, { "if-none-match": tag });
      expect((await known(`"v0", ${etag}`)).status).toBe(304);
      expect((await known("*")).status).toBe(304);
      expect((await known('"v2"')).status).toBe(200);
      await start(type);
      expect((await known('"v2"')).status).toBe(200); // 200, because the duration of a running task grows
    });

    test("a step on another version is refused with 412 and changes nothing", async () => {
      const id = await add({ type: ownType() });
      const old = { "if-match": '"v9", W/"v8"' };
      await expectProblem(await call("PATCH", `/api/task/${id}`, { name: "x" }, old), {
        status: 412,
        code: "version_mismatch",
      });
      await expectProblem(await post(`/api/task/${id}/cancel`, undefined, old), {
        status: 412,
        code: "version_mismatch",
      });
      await expectProblem(await call("DELETE", `/api/task/${id}`, undefined, old), {
        status: 412,
        code: "version_mismatch",
      });
      expect(await see(id)).toMatchObject({ name: "a task", status: "pending", version: 1 });
      const current = { "if-match": '"v1"' };
      expect((await call("PATCH", `/api/task/${id}`, { name: "x" }, current)).status).toBe(200);
      expect((await call("DELETE", `/api/task/${id}`, undefined, { "if-match": "*" })).status).toBe(204);
    });

    test("of ten edits of one version one is executed", async () => {
      const id = await add({ type: ownType() });
      const edits = Array.from({ length: 10 }, (_, n) =>
        call("PATCH", `/api/task/${id}`, { name: `edit ${n}` }, { "if-match": '"v1"' }),
      );
      const statuses = (await Promise.all(edits)).map(({ status }) => status).toSorted();
      expect(statuses).toEqual([200, ...new Array(9).fill(412)]);
    });
  });

  describe("cancelling and trying again", () => {
    test("a pending task is cancelled at once, and an ended one cannot be cancelled", async () => {
      const id = await add({ type: ownType() });
      const response = await post(`/api/task/${id}/cancel`);
      expect(response.status).toBe(200);
      expect(await jsonOf(response)).toMatchObject({ status: "cancelled", attempt: 0 });
      await expectProblem(await post(`/api/task/${id}/cancel`), { status: 409, code: "wrong_status" });
    });

    test("a running task is asked to stop; a success still counts, a failure becomes cancelled", async () => {
      for (const [outcome, status] of [
        [DONE, "done"],
        [FAILED, "cancelled"],
      ] as const) {
        const type = ownType();
        const id = await add({ type });
        const { token } = await start(type);
        const response = await post(`/api/task/${id}/cancel`, {});
        expect(response.status).toBe(202);
        expect(await jsonOf(response)).toMatchObject({ status: "running", cancel_requested: true });
        await engine.settle(id, token, outcome);
        expect((await see(id)).status).toBe(status);
      }
    });

    test("a retried task is pending again, keeps its history, and counts its attempts from 0", async () => {
      const type = ownType();
      const id = await add({ type, max_attempts: 1 });
      const { token } = await start(type);
      await expectProblem(await post(`/api/task/${id}/retry`), { status: 409, code: "wrong_status" });
      await engine.settle(id, token, FAILED);
      const response = await post(`/api/task/${id}/retry`);
      expect(response.status).toBe(200);
      expect(await jsonOf(response)).toMatchObject({
        status: "pending",
        attempt: 0,
        error: null,
        attempts: [{ attempt: 1, outcome: "failed", error: { code: "broken" } }],
      });
    });

    test("a retry is refused while another live task holds the key", async () => {
      const type = ownType();
      const id = await add({ type, key: type });
      await post(`/api/task/${id}/cancel`);
      await add({ type, key: type });
      await expectProblem(await post(`/api/task/${id}/retry`), { status: 409, code: "key_taken" });
    });

    test("they accept only an empty body", async () => {
      const id = await add({ type: ownType() });
      await expectProblem(await post(`/api/task/${id}/cancel`, { force: true }), {
        status: 400,
        code: "invalid",
      });
      await expectProblem(await post("/api/task/999999999/retry"), { status: 404, code: "not_found" });
    });
  });

  describe("the log", () => {
    test("is read from after a given line", async () => {
      const type = ownType();
      const id = await add({ type });
      const { token } = await start(type);
      const log = [
        { level: "info", message: "one" },
        { level: "warn", message: "два" },
      ] as const;
      await engine.extend([{ id, token, progress: null, log }]);
      const lines = async (query: string) => (await call("GET", `/api/task/${id}/log${query}`)).json();
      expect(await lines("")).toMatchObject([
        { n: 1, level: "info", message: "one" },
        { n: 2, level: "warn", message: "два" },
      ]);
      expect(await lines("?after=1")).toMatchObject([{ n: 2 }]);
      await expectProblem(await call("GET", `/api/task/${id}/log?after=x`), { status: 400, code: "invalid" });
      await expectProblem(await call("GET", "/api/task/999999999/log"), { status: 404, code: "not_found" });
    });
  });

  describe("finding", () => {
    test("by type, prefix, tag, status and search words together", async () => {
      const type = `${ownType()}.x`;
      const prefix = type.replace(".x", ".*");
      const a = await add({ type, name: "Привет мир", tags: ["red", "big"] });
      const b = await add({
        type: type.replace(".x", ".y"),
        name: "other",
        tags: ["red"],
        payload: { who: "ПРИВЕТ" },
      });
      const c = await add({ type, name: "third", tags: ["blue"] });
      await post(`/api/task/${c}/cancel`);
      const find = (query: string) => idsAt(`/api/task?type=${prefix}${query}`);
      expect(await find("")).toEqual([a, b, c]);
      expect(await idsAt(`/api/task?type=${type}`)).toEqual([a, c]);
      expect(await find("&tag=red")).toEqual([a, b]);
      expect(await find("&tag=red&tag=big")).toEqual([a]);
      expect(await find("&status=cancelled&status=done")).toEqual([c]);
      expect(await find(`&q=${encodeURIComponent("пРиВеТ")}`)).toEqual([a, b]);
      expect(await find(`&q=${encodeURIComponent("payload.who:привет")}`)).toEqual([b]);
      expect(await find("&sort=-id")).toEqual([c, b, a]);
      expect(await find("&sort=-finished_at")).toEqual([c]);
    });

    test("pages by cursor in every order, and a cursor of another order is refused", async () => {
      const type = ownType();
      await post(
        "/api/task",
        Array.from({ length: 7 }, (_, n) => ({ name: `t${n}`, type })),
      );
      for (const id of await idsAt(`/api/task?type=${type}`)) await post(`/api/task/${id}/cancel`);
      for (const sort of ["id", "-id", "finished_at", "-finished_at"]) {
        const whole = await idsAt(`/api/task?type=${type}&sort=${sort}`);
        const found: number[] = [];
        for (
          let next: string | undefined = `/api/task?type=${type}&sort=${sort}&limit=3`;
          next !== undefined;
        ) {
          const response: Response = await call("GET", next);
          found.push(...((await response.json()) as { id: number }[]).map(({ id }) => id));
          next = /<([^>]+)>; rel="next"/.exec(response.headers.get("link") ?? "")?.[1];
        }
        expect({ sort, found }).toEqual({ sort, found: whole });
        expect(found.length).toBe(7);
      }
      const page = await call("GET", `/api/task?type=${type}&limit=3`);
      const [, cursor] = /cursor=([\w-]+)/.exec(page.headers.get("link") ?? "") ?? [];
      await expectProblem(await call("GET", `/api/task?sort=-id&limit=3&cursor=${cursor}`), {
        status: 400,
        code: "invalid",
      });
    });

    test("counts exactly on request, but not for a search", async () => {
      const type = ownType();
      await post(
        "/api/task",
        Array.from({ length: 5 }, () => ({ name: "x", type })),
      );
      const exact = { prefer: "count=exact" };
      const response = await call("GET", `/api/task?type=${type}&limit=2`, undefined, exact);
      expect(response.headers.get("x-total-count")).toBe("5");
      await expectProblem(await call("GET", "/api/task?q=x", undefined, exact), {
        status: 400,
        code: "invalid",
      });
    });

    test.each(["type=a%20b", "sort=name", "q=", "limit=0", "status=weird", "cursor=!"])(
      "%s is refused",
      async (query) => {
        await expectProblem(await call("GET", `/api/task?${query}`), { status: 400, code: "invalid" });
      },
    );

    test("a hundred pages contain each permanent task exactly once while others are created and deleted", async () => {
      const type = ownType();
      const staying = new Set<number>();
      const batch = Array.from({ length: PAGE }, () => ({ name: "x", type }));
      for (let page = 0; page < 100; page++) {
        const { task_ids } = (await (await post("/api/task", batch)).json()) as { task_ids: number[] };
        for (const id of task_ids) staying.add(id);
      }
      const found: number[] = [];
      for (let next: string | undefined = `/api/task?type=${type}&limit=${PAGE}`; next !== undefined; ) {
        const response: Response = await call("GET", next);
        found.push(...((await response.json()) as { id: number }[]).map(({ id }) => id));
        next = /<([^>]+)>; rel="next"/.exec(response.headers.get("link") ?? "")?.[1];
        const leaving = [...staying].slice(0, 3);
        await Promise.all(leaving.map((id) => call("DELETE", `/api/task/${id}`)));
        for (const id of leaving) staying.delete(id);
        await add({ type: `${type}.later` });
      }
      expect(found.length).toBeGreaterThanOrEqual(staying.size);
      const listed = new Set(found);
      expect(listed.size).toBe(found.length);
      expect([...staying].filter((id) => !listed.has(id))).toEqual([]);
      expect(found).toEqual(found.toSorted((a, b) => a - b));
    }, 600_000);
  });

  describe("acting on many", () => {
    const bulk = async (body: Json) => jsonOf(await post("/api/task/bulk", body));

    test("a dry run counts and changes nothing; the action leaves out tasks that were created later", async () => {
      const type = ownType();
      await post(
        "/api/task",
        Array.from({ length: 6 }, () => ({ name: "x", type })),
      );
      const filter = { type: [type] };
      const plan = await bulk({ filter, action: "cancel", dry_run: true });
      expect(plan).toEqual({ count: 6, up_to_id: expect.any(Number), dry_run: true });
      const later = await add({ type });
      const done = await bulk({ filter, action: "cancel", up_to_id: plan.up_to_id });
      expect(done).toEqual({ count: 6, refused: 0, next: null });
      expect(await idsAt(`/api/task?type=${type}&status=pending`)).toEqual([later]);
      expect(await bulk({ filter, action: "cancel" })).toEqual({ count: 1, refused: 6, next: null });
      expect(await bulk({ filter, action: "retry" })).toEqual({ count: 7, refused: 0, next: null });
      expect(await bulk({ filter, action: "delete" })).toEqual({ count: 7, refused: 0, next: null });
      expect(await idsAt(`/api/task?type=${type}`)).toEqual([]);
    });

    test("a single value means a list with that value, as in a query", async () => {
      const type = ownType();
      await add({ type, tags: ["one"] });
      await add({ type });
      const count = (filter: Json) => bulk({ filter, action: "cancel", dry_run: true });
      expect(await count({ type })).toMatchObject({ count: 2 });
      expect(await count({ type, tag: "one", status: "pending" })).toMatchObject({ count: 1 });
      const filter = { type: "no type", status: "weird" };
      const refused = await post("/api/task/bulk", { filter, action: "cancel" });
      const problem = await expectProblem(refused, { status: 400, code: "invalid" });
      expect(problem.errors?.map(({ pointer }) => pointer).sort()).toEqual([
        "/filter/status/0",
        "/filter/type/0",
      ]);
    });

    test("an empty filter is accepted only with an explicit confirmation", async () => {
      await expectProblem(await post("/api/task/bulk", { filter: {}, action: "cancel" }), {
        status: 400,
        code: "invalid",
      });
      expect(await bulk({ filter: {}, action: "cancel", all: true, dry_run: true })).toMatchObject({
        dry_run: true,
      });
    });

    test.each([
      { filter: { status: ["weird"] }, action: "cancel" },
      { filter: { name: "x" }, action: "cancel" },
      { filter: { tag: ["x"] }, action: "explode" },
      { filter: { tag: ["x"] } },
      { action: "cancel" },
    ])("%j is refused", async (body) => {
      await expectProblem(await post("/api/task/bulk", body), { status: 400, code: "invalid" });
    });
  });
});
