/** The five basic calls over HTTP: exact bytes, tasks from their creation to their end, long lists, and lists that fail. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Engine } from "../src/engine/engine.ts";
import { type RunningApp, startApp } from "./support/app.ts";
import { createManualClock, type ManualClock } from "./support/clock.ts";
import { eventually } from "./support/eventually.ts";
import { openHttpServer } from "./support/http-server.ts";
import { expectProblem } from "./support/problem.ts";
import { ConnectionCut, encode, exchange, openConnection } from "./support/raw.ts";

type Summary = {
  readonly id: number;
  readonly name: string;
  readonly description: string;
  readonly status: string;
};
type Whole = Summary & {
  readonly created_at: string;
  readonly duration: string;
  readonly started_at: string | null;
  readonly finished_at: string | null;
  readonly updated_at: string;
  readonly error: { readonly code: string; readonly message: string } | null;
  readonly version: number;
};

const SECOND = 1_000;
const MINUTE = 60 * SECOND;

const post = (url: string, body: unknown): Promise<Response> =>
  fetch(`${url}/api/task`, { method: "POST", body: JSON.stringify(body) });
const patch = (url: string, id: number, body: unknown): Promise<Response> =>
  fetch(`${url}/api/task/${id}`, {
    method: "PATCH",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
const remove = (url: string, id: number): Promise<Response> =>
  fetch(`${url}/api/task/${id}`, { method: "DELETE" });
/** The body of an answer, with the type that the test expects. */
const json = async <T>(response: Response | Promise<Response>): Promise<T> =>
  (await (await response).json()) as T;
const getTask = (url: string, id: number): Promise<Whole> => json<Whole>(fetch(`${url}/api/task/${id}`));
const getList = (url: string, query = ""): Promise<Summary[]> =>
  json<Summary[]>(fetch(`${url}/api/task${query}`));
const idsOf = (tasks: readonly Summary[]): number[] => tasks.map(({ id }) => id);

/** Logged lines as objects. */
const events = (app: RunningApp): Record<string, unknown>[] =>
  app.lines.map((line) => JSON.parse(line) as Record<string, unknown>); // each line is an object

// ---- bytes

type Scenario = {
  readonly it: string;
  readonly call: readonly [method: string, path: string, body?: string, type?: string];
  readonly status: number;
  /** The whole body, or its beginning. */
  readonly body?: string;
  readonly begins?: string;
  /** The exact headers, in addition to those of every answer. */
  readonly headers?: Readonly<Record<string, string | null>>;
};

const JSON_HEADERS = { "content-type": "application/json" };
const NO_CONTENT = { "content-type": null };
const NOT_FOUND =
  '{"error":"Task not found","type":"about:blank","title":"Not Found","status":404,"detail":"Task not found",' +
  '"code":"not_found","request_id":"';

const scenarios: readonly Scenario[] = [
  {
    it: "the list of a store without tasks is an empty array",
    call: ["GET", "/api/task"],
    status: 200,
    body: "[]",
    headers: JSON_HEADERS,
  },
  {
    it: "the answer to a create has the id and the location of the task",
    call: ["POST", "/api/task", '{"name":"someName","description":"some description"}'],
    status: 201,
    body: '{"message":"Task created successfully","task_id":1}',
    headers: { ...JSON_HEADERS, location: "/api/task/1" },
  },
  {
    it: "a refused create uses no id",
    call: ["POST", "/api/task", '{"name":""}'],
    status: 400,
    headers: { "content-type": "application/problem+json", location: null },
  },
  {
    it: "the path may end in a slash, and the location does not",
    call: ["POST", "/api/task/", '{"name":"  two  "}'],
    status: 201,
    body: '{"message":"Task created successfully","task_id":2}',
    headers: { location: "/api/task/2" },
  },
  {
    it: "a body with curl's form type is read as JSON",
    call: ["POST", "/api/task", '{"name":"three","description":null}', "application/x-www-form-urlencoded"],
    status: 201,
    body: '{"message":"Task created successfully","task_id":3}',
  },
  {
    it: "the list has four fields for each task, in the order of ids",
    call: ["GET", "/api/task"],
    status: 200,
    body:
      '[{"id":1,"name":"someName","description":"some description","status":"pending"},' +
      '{"id":2,"name":"two","description":"","status":"pending"},' +
      '{"id":3,"name":"three","description":"","status":"pending"}]',
    headers: { ...JSON_HEADERS, link: null },
  },
  {
    it: "the list's path may end in a slash",
    call: ["GET", "/api/task/?limit=1"],
    status: 200,
    body: '[{"id":1,"name":"someName","description":"some description","status":"pending"}]',
  },
  {
    it: "the JSON of a task begins with the six fields of the first version",
    call: ["GET", "/api/task/1"],
    status: 200,
    begins:
      '{"id":1,"name":"someName","description":"some description","status":"pending",' +
      '"created_at":"2026-01-01T00:00:00.000Z","duration":"0s"',
    headers: JSON_HEADERS,
  },
  {
    it: "the task's path may end in a slash",
    call: ["GET", "/api/task/2/"],
    status: 200,
    begins: '{"id":2,"name":"two","description":"","status":"pending",',
  },
  {
    it: "the answer to a patch has the id",
    call: ["PATCH", "/api/task/1", '{"name":" newName "}'],
    status: 200,
    body: '{"message":"Task updated successfully","task_id":1}',
    headers: JSON_HEADERS,
  },
  {
    it: "a patch of the name keeps the description",
    call: ["GET", "/api/task/1"],
    status: 200,
    begins: '{"id":1,"name":"newName","description":"some description","status":"pending",',
  },
  {
    it: "a patch's path may end in a slash",
    call: ["PATCH", "/api/task/1/", '{"description":"other"}', "application/merge-patch+json"],
    status: 200,
    body: '{"message":"Task updated successfully","task_id":1}',
  },
  {
    it: "a patch of the description to null empties it",
    call: ["PATCH", "/api/task/2", '{"description":null}'],
    status: 200,
  },
  {
    it: "the list shows patched tasks",
    call: ["GET", "/api/task?limit=2"],
    status: 200,
    body:
      '[{"id":1,"name":"newName","description":"other","status":"pending"},' +
      '{"id":2,"name":"two","description":"","status":"pending"}]',
  },
  {
    it: "the answer to a delete has no body",
    call: ["DELETE", "/api/task/2"],
    status: 204,
    body: "",
    headers: NO_CONTENT,
  },
  {
    it: "a deleted task is not found",
    call: ["GET", "/api/task/2"],
    status: 404,
    begins: NOT_FOUND,
    headers: { "content-type": "application/problem+json" },
  },
  {
    it: "a deleted task cannot be patched",
    call: ["PATCH", "/api/task/2", '{"name":"x"}'],
    status: 404,
    begins: NOT_FOUND,
  },
  {
    it: "a deleted task cannot be deleted again",
    call: ["DELETE", "/api/task/2"],
    status: 404,
    begins: NOT_FOUND,
  },
  { it: "a delete's path may end in a slash", call: ["DELETE", "/api/task/3/"], status: 204, body: "" },
  {
    it: "an id is never used twice",
    call: ["POST", "/api/task", '{"name":"four"}', "text/plain;charset=UTF-8"],
    status: 201,
    body: '{"message":"Task created successfully","task_id":4}',
    headers: { location: "/api/task/4" },
  },
  {
    it: "deleted tasks are not in the list",
    call: ["GET", "/api/task"],
    status: 200,
    body:
      '[{"id":1,"name":"newName","description":"other","status":"pending"},' +
      '{"id":4,"name":"four","description":"","status":"pending"}]',
  },
  {
    it: "HEAD of the list is its GET without the body",
    call: ["HEAD", "/api/task"],
    status: 200,
    body: "",
    headers: { ...JSON_HEADERS, "content-length": "127" },
  },
  {
    it: "HEAD of a task is its GET without the body",
    call: ["HEAD", "/api/task/1/"],
    status: 200,
    body: "",
    headers: JSON_HEADERS,
  },
  {
    it: "HEAD of a missing task is a 404 without a body",
    call: ["HEAD", "/api/task/2"],
    status: 404,
    body: "",
    headers: { "content-type": "application/problem+json" },
  },
  {
    it: "OPTIONS lists the methods of the list",
    call: ["OPTIONS", "/api/task"],
    status: 204,
    body: "",
    headers: { allow: "GET, POST, HEAD, OPTIONS" },
  },
  {
    it: "OPTIONS lists the methods of a task, even if the task does not exist",
    call: ["OPTIONS", "/api/task/2/"],
    status: 204,
    body: "",
    headers: { allow: "GET, PATCH, DELETE, HEAD, OPTIONS" },
  },
  {
    it: "the server is alive",
    call: ["GET", "/livez"],
    status: 200,
    body: '{"status":"alive"}',
    headers: JSON_HEADERS,
  },
  {
    it: "the server is ready, and describes how it keeps its tasks",
    call: ["GET", "/readyz"],
    status: 200,
    body: '{"status":"ready","store":"Memory of this process: all tasks are lost when it ends"}',
    headers: JSON_HEADERS,
  },
];

const ALWAYS = {
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
};

describe("byte for byte:", () => {
  let server: RunningApp;
  beforeAll(async () => {
    server = await startApp({ ROLE: "api" }, { clock: createManualClock() });
  });
  afterAll(() => server.stop());

  test.each(scenarios.map((scenario) => [scenario.it, scenario] as const))("%s", async (_, scenario) => {
    const [method, path, body, type = "application/json"] = scenario.call;
    const response = await fetch(`${server.url}${path}`, {
      method,
      ...(body === undefined ? {} : { body, headers: { "content-type": type } }),
    });
    const text = await response.text();
    expect(`${response.status} ${text}`).toStartWith(String(scenario.status));
    if (scenario.body !== undefined) expect(text).toBe(scenario.body);
    if (scenario.begins !== undefined) expect(text).toStartWith(scenario.begins);
    for (const [name, value] of Object.entries({ ...ALWAYS, ...scenario.headers })) {
      expect(`${name}: ${response.headers.get(name)}`).toBe(`${name}: ${value}`);
    }
    expect(response.headers.get("x-request-id")).toMatch(/^[\w.:-]{1,64}$/);
  });

  test.each(["/api/task", "/api/task/1", "/api/task?limit=1", "/openapi.json", "/nope"])(
    "HEAD %s has the headers of the GET",
    async (path) => {
      const headersOf = async (method: string): Promise<Record<string, string>> => {
        const { headers } = await exchange(server.url, { method, target: path });
        for (const name of ["date", "x-request-id"]) headers.delete(name);
        return headers.toJSON();
      };
      const ofGet = await headersOf("GET");
      expect(ofGet["content-length"]).toMatch(/^[1-9]/);
      const ofHead = await headersOf("HEAD");
      if (path !== "/nope") return expect(ofHead).toEqual(ofGet);
      const { "content-length": _, ...others } = ofGet; // the length depends on the request id
      expect(ofHead).toMatchObject(others);
    },
  );
});

// ---- a task from its creation to its end

describe("with the default settings,", () => {
  let clock: ManualClock;
  const start = (random: () => number): Promise<RunningApp> => {
    clock = createManualClock();
    const defaults = { DISPATCH_INTERVAL: "", SIMULATE_MIN: "", SIMULATE_MAX: "", SIMULATE_FAILURE_RATE: "" };
    return startApp(defaults, { clock, random });
  };

  test("a task is pending for a second, runs with a growing duration, and is done with a fixed one", async () => {
    const server = await start(() => 0.5);
    await post(server.url, { name: "x" });
    await clock.advance(SECOND - 1);
    expect(await getTask(server.url, 1)).toMatchObject({
      status: "pending",
      duration: "0s",
      started_at: null,
    });
    await clock.advance(1);
    expect(await getTask(server.url, 1)).toMatchObject({ status: "running", duration: "0s" });
    await clock.advance(2_348);
    expect(await getTask(server.url, 1)).toMatchObject({ status: "running", duration: "2.348s" });
    await clock.advance(3 * MINUTE);
    expect(await getTask(server.url, 1)).toMatchObject({ status: "running", duration: "3m2.348s" });
    await clock.advance(MINUTE);
    const done = await getTask(server.url, 1);
    expect(done).toMatchObject({ status: "done", duration: "4m0s", error: null });
    await clock.advance(60 * MINUTE);
    expect(await getTask(server.url, 1)).toEqual(done);
    await server.stop();
  });

  test.each([
    { draw: 0.2, status: "done", duration: "3m24s" },
    { draw: 0.999999, status: "done", duration: "5m0s" },
    { draw: 0.1999, status: "failed", duration: "3m23.988s" },
    { draw: 0, status: "failed", duration: "3m0s" },
  ])("work with the random number $draw ends $status after $duration", async ({ draw, status, duration }) => {
    const server = await start(() => draw);
    await post(server.url, { name: "x" });
    await clock.advance(SECOND + 3 * MINUTE - 1);
    expect((await getTask(server.url, 1)).status).toBe("running");
    await clock.advance(2 * MINUTE + 1);
    const ended = await getTask(server.url, 1);
    expect(ended).toMatchObject({ status, duration });
    expect(ended.error?.code ?? null).toBe(status === "failed" ? "simulated_failure" : null);
    await server.stop();
  });

  test("of 25 tasks ten run, and each end is followed by a start at once", async () => {
    const server = await start(Math.random);
    await server.app.engine.create(Array.from({ length: 25 }, (_, at) => ({ name: `task ${at + 1}` })));
    await clock.advance(SECOND);
    const statuses = async (): Promise<string[]> => (await getList(server.url)).map(({ status }) => status);
    expect(await statuses()).toEqual([...Array(10).fill("running"), ...Array(15).fill("pending")]);

    for (let seconds = 0; seconds < 15 * 60; seconds += 10) {
      await clock.advance(10 * SECOND);
      const now = await statuses();
      const running = now.filter((status) => status === "running").length;
      expect(running).toBe(
        Math.min(10, now.filter((status) => status !== "done" && status !== "failed").length),
      );
    }
    const tasks = await json<Whole[]>(fetch(`${server.url}/api/task?view=full`));
    const starts = tasks.map(({ started_at }) => started_at ?? "never");
    const ends = tasks.map(({ finished_at }) => finished_at ?? "never").sort();
    expect(starts).toEqual(starts.toSorted());
    expect(starts.slice(10)).toEqual(ends.slice(0, 15));
    await server.stop();
  });
});

describe("a patch changes a task that is", () => {
  const EVERY = ["pending", "running", "done", "failed", "cancelled"] as const;
  test.each(EVERY)("%s", async (status) => {
    const clock = createManualClock();
    const draw = status === "failed" ? 0 : 0.5;
    const server = await startApp(
      { DISPATCH_INTERVAL: "1s", SIMULATE_MIN: "10s", SIMULATE_MAX: "10s", SIMULATE_FAILURE_RATE: "0.2" },
      { clock, random: () => draw },
    );
    await post(server.url, { name: "before", description: "as it was" });
    if (status === "cancelled") await server.app.engine.cancel(1);
    else if (status !== "pending") await clock.advance(status === "running" ? 2 * SECOND : MINUTE);
    const before = await getTask(server.url, 1);
    expect(before.status).toBe(status);

    expect((await patch(server.url, 1, { name: "after" })).status).toBe(200);
    const after = await getTask(server.url, 1);
    expect(after).toEqual({
      ...before,
      name: "after",
      version: before.version + 1,
      updated_at: after.updated_at,
    });
    await clock.advance(MINUTE);
    expect(await getTask(server.url, 1)).toMatchObject({ name: "after", description: "as it was" });
    await server.stop();
  });
});

// ---- the delete of running tasks

describe("a delete of a running task", () => {
  test("aborts its work within 50 ms, frees its slot for the next task, and discards its outcome", async () => {
    const clock = createManualClock();
    const server = await startApp(
      { WORKER_CONCURRENCY: "1", SIMULATE_MIN: "1m", SIMULATE_MAX: "1m" },
      { clock, logLevel: "debug" },
    );
    await post(server.url, { name: "first" });
    await post(server.url, { name: "second" });
    await clock.advance(30 * SECOND);
    expect((await getList(server.url)).map(({ status }) => status)).toEqual(["running", "pending"]);

    expect((await remove(server.url, 1)).status).toBe(204);
    await clock.advance(50);
    expect(events(server)).toContainEqual(
      expect.objectContaining({ event: "task_stopping", task_id: 1, reason: "lost" }),
    );
    expect(server.app.processor?.running).toBe(1);
    const second = await getTask(server.url, 2);
    expect(second.status).toBe("running");
    expect(Date.parse(second.started_at ?? "") - clock.now()).toBeGreaterThanOrEqual(-50);

    await clock.advance(10 * MINUTE);
    await expectProblem(await fetch(`${server.url}/api/task/1`), { status: 404, code: "not_found" });
    expect(await getList(server.url)).toEqual([{ id: 2, name: "second", description: "", status: "done" }]);
    await server.stop();
  });

  test("aborts it within 50 ms, many at once", async () => {
    const clock = createManualClock();
    const server = await startApp(
      { WORKER_CONCURRENCY: "50", SIMULATE_MIN: "1h", SIMULATE_MAX: "1h" },
      { clock, logLevel: "debug" },
    );
    const ids = Array.from({ length: 50 }, (_, at) => at + 1);
    await Promise.all(ids.map((id) => post(server.url, { name: `task ${id}` })));
    await clock.advance(SECOND);
    expect(await getList(server.url, "?status=running")).toHaveLength(ids.length);
    for (const id of ids) expect((await remove(server.url, id)).status).toBe(204);
    await clock.advance(50);
    const stopped = events(server).filter(({ event }) => event === "task_stopping");
    expect(stopped.map(({ task_id }) => Number(task_id)).sort((x, y) => x - y)).toEqual(ids);
    expect(server.app.processor?.running).toBe(0);
    expect(await getList(server.url)).toEqual([]);
    await server.stop();
  });
});

// ---- lists

describe("a list", () => {
  let server: RunningApp;
  beforeAll(async () => {
    server = await startApp({ ROLE: "api" });
    await server.app.engine.create(Array.from({ length: 25 }, (_, at) => ({ name: `task ${at + 1}` })));
    for (const id of [3, 4, 5]) await server.app.engine.cancel(id);
    await server.app.engine.remove(7);
  });
  afterAll(() => server.stop());

  const NEXT = /^<([^>]+)>; rel="next"$/;

  /** All pages, by their Link headers. */
  async function walk(path: string): Promise<Summary[][]> {
    const pages: Summary[][] = [];
    for (let next: string | undefined = path; next !== undefined; ) {
      const response: Response = await fetch(`${server.url}${next}`);
      expect(response.status).toBe(200);
      pages.push(await json<Summary[]>(response));
      const link = response.headers.get("link");
      if (link !== null) expect(link).toMatch(NEXT);
      next = NEXT.exec(link ?? "")?.[1];
    }
    return pages;
  }

  test("is the same in pages as without pages", async () => {
    const whole = await getList(server.url);
    expect(whole).toHaveLength(24);
    for (const limit of [1, 5, 7, 23, 24, 25, 1_000]) {
      const pages = await walk(`/api/task?limit=${limit}`);
      expect(pages.flat()).toEqual(whole);
      expect(pages.every((page) => page.length <= limit)).toBe(true);
    }
  });

  test("links the next page with a path that keeps the filters", async () => {
    const response = await fetch(`${server.url}/api/task/?status=pending&limit=2&view=full`);
    const next = NEXT.exec(response.headers.get("link") ?? "")?.[1] ?? "";
    expect(next).toMatch(/^\/api\/task\/\?status=pending&limit=2&view=full&cursor=[\w-]+$/);
    expect(idsOf(await getList(server.url, next.slice("/api/task/".length)))).toEqual([6, 8]);
  });

  test.each([
    ["?status=cancelled", [3, 4, 5]],
    ["?status=cancelled&limit=2", [3, 4]],
    ["?status=done", []],
    ["?status=running&status=done&status=failed", []],
    ["?status=cancelled&status=cancelled", [3, 4, 5]],
  ])("filters by status: %s", async (query, ids) => {
    expect(idsOf(await getList(server.url, query))).toEqual(ids);
  });

  test("accepts several statuses, and has pages of them", async () => {
    const pages = await walk("/api/task?status=cancelled&status=pending&limit=6");
    expect(pages.flat()).toEqual(await getList(server.url));
  });

  test("continues after a task that is deleted between two pages", async () => {
    const first = await fetch(`${server.url}/api/task?limit=10`);
    const next = NEXT.exec(first.headers.get("link") ?? "")?.[1] ?? "";
    expect(idsOf(await json<Summary[]>(first)).at(-1)).toBe(11);
    await remove(server.url, 11);
    await remove(server.url, 12);
    expect(idsOf(await json<Summary[]>(fetch(`${server.url}${next}`))).slice(0, 2)).toEqual([13, 14]);
  });

  test("has all fields with view=full, the same as single reads", async () => {
    const [, second] = await json<Whole[]>(fetch(`${server.url}/api/task?view=full&limit=2`));
    expect(second).toEqual(await getTask(server.url, 2));
    const all = await json<Whole[]>(fetch(`${server.url}/api/task?view=full`));
    expect(all[2]).toEqual(await getTask(server.url, 3));
  });

  test("has all fields except payload and result with view=state", async () => {
    const [, second] = await json<Whole[]>(fetch(`${server.url}/api/task?view=state&limit=2`));
    const { payload, result, ...state } = await json<Record<string, unknown>>(
      fetch(`${server.url}/api/task/2`),
    );
    expect([payload, result]).not.toContain(undefined);
    expect<unknown>(second).toEqual(state);
  });
});

/** A second HTTP server on the same engine; the test controls its lists. */
const openListServer = (engine: Engine, list: Engine["list"]) => openHttpServer({ ...engine, list });

describe("a whole list that is streamed", () => {
  const PAGE = 1_000;
  const PAGES = 20;
  const COUNT = PAGE * PAGES;
  /** So long that no buffer between store and client can hold the whole list. The store has this text once. */
  const DESCRIPTION = "x".repeat(5_000);
  let server: RunningApp;

  beforeAll(async () => {
    server = await startApp({ ROLE: "api" });
    for (let page = 0; page < PAGES; page++) {
      await server.app.engine.create(Array(PAGE).fill({ name: "one of many", description: DESCRIPTION }));
    }
  });
  afterAll(() => server.stop());

  test("reads only what its client reads, delays no other request, and ends when its client disconnects", async () => {
    let pagesRead = 0;
    const httpServer = openListServer(server.app.engine, (query) => {
      pagesRead++;
      return server.app.engine.list(query);
    });
    const reader = openConnection(httpServer.url);
    reader.pause();
    reader.write(encode({ target: "/api/task" }));
    await eventually(
      () => pagesRead,
      (pages) => pages > 0,
    );
    for (let n = 0; n < 200; n++) expect((await getTask(httpServer.url, 1)).id).toBe(1);
    expect(pagesRead).toBeLessThan(PAGES);
    reader.close();
    expect(await getList(httpServer.url, "?limit=1000")).toHaveLength(PAGE);
    await httpServer.close();
  });

  test("is not read at all for HEAD", async () => {
    const response = await exchange(server.url, { method: "HEAD", target: "/api/task" });
    expect(response.status).toBe(200);
    expect(await response.text()).toBe("");
  });

  test("is one array that has each remaining task once, while others are created and deleted", async () => {
    const response = await fetch(`${server.url}/api/task`);
    const decoder = new TextDecoder();
    let text = "";
    let doomed = COUNT;
    let created = 0;
    for await (const chunk of response.body ?? []) {
      text += decoder.decode(chunk as Uint8Array, { stream: true }); // the chunks of a fetched body are bytes
      for (let n = 0; n < 3 && doomed > 0; n++, doomed -= 3) {
        expect((await remove(server.url, doomed)).status).toBe(204);
      }
      if (created++ < 10) expect((await post(server.url, { name: "late" })).status).toBe(201);
    }
    const ids = idsOf(JSON.parse(text) as Summary[]); // the tests above show the form
    expect(ids.every((id, at) => at === 0 || id > (ids[at - 1] ?? 0))).toBe(true);
    const listed = new Set(ids);
    const isSurvivor = (id: number): boolean => id % 3 !== COUNT % 3;
    const everyId = Array.from({ length: COUNT }, (_, at) => at + 1);
    expect(everyId.filter((id) => isSurvivor(id) && !listed.has(id))).toEqual([]);
    // The list overlapped with the changes: some deleted tasks are missing, and some new tasks are present.
    expect(everyId.every((id) => listed.has(id))).toBe(false);
    expect(ids.some((id) => id > COUNT)).toBe(true);
  });
});

describe("a list without pages whose store fails in the middle", () => {
  let server: RunningApp;
  let httpServer: ReturnType<typeof openListServer>;

  beforeAll(async () => {
    server = await startApp({ ROLE: "api" });
    const { engine } = server.app;
    for (let page = 0; page < 2; page++) await engine.create(Array(1_000).fill({ name: "one of many" }));
    httpServer = openListServer(engine, (query) =>
      query.after === null ? engine.list(query) : Promise.reject(new Error("the disk is gone")),
    );
  });
  afterAll(async () => {
    await httpServer.close();
    await server.stop();
  });

  test("is cut off, so that it never looks complete", async () => {
    const thrown = await exchange(httpServer.url, { target: "/api/task" }).catch((error: unknown) => error);
    expect(thrown).toBeInstanceOf(ConnectionCut);
    const { received } = thrown as ConnectionCut; // as the line above checks
    expect(received).toStartWith("HTTP/1.1 200 ");
    expect(received).not.toEndWith("0\r\n\r\n");
  });

  test("is an error to a client that reads it", async () => {
    const readAll = async (): Promise<string> => (await fetch(`${httpServer.url}/api/task`)).text();
    expect(await readAll().catch(() => "cut")).toBe("cut");
  });

  test("is an error in the log", () => {
    const isError = (line: string): boolean =>
      line.includes('"level":"error"') && line.includes("the disk is gone");
    expect(httpServer.lines.filter(isError)).not.toEqual([]);
  });

  test("is a 500 without details if it fails before the first byte", async () => {
    const response = await fetch(`${httpServer.url}/api/task?cursor=aWQ6MQ`);
    const problem = await expectProblem(response, { status: 500, code: "internal" });
    expect(problem.error).not.toInclude("disk");
  });
});

describe("a list of a few tasks among many", () => {
  const MANY = 12_000; // more than the store examines in one step
  let server: RunningApp;

  beforeAll(async () => {
    server = await startApp({ ROLE: "api" });
    const { engine } = server.app;
    for (let made = 0; made < MANY; made += 1_000)
      await engine.create(Array(1_000).fill({ name: "one of many" }));
    await engine.cancel(7);
    await engine.cancel(MANY);
  });
  afterAll(() => server.stop());

  test.each(["?status=cancelled", "?status=cancelled&limit=10"])("is complete: %s", async (query) => {
    const found: Summary[] = [];
    // A search that takes longer than its time is continued on the next page, so a busy machine may need several.
    for (let next: string | undefined = `/api/task${query}`; next !== undefined; ) {
      const response: Response = await fetch(`${server.url}${next}`);
      found.push(...((await response.json()) as Summary[]));
      next = /<([^>]+)>; rel="next"/.exec(response.headers.get("link") ?? "")?.[1];
    }
    expect(found.map(({ id }) => id)).toEqual([7, MANY]);
  });

  test("is [] if there are none", async () => {
    const response = await fetch(`${server.url}/api/task?status=failed`);
    expect(await response.text()).toBe("[]");
  });

  test.each(["?status=failed", "?status=failed&limit=10"])(
    "lets other requests run between two reads of the store: %s",
    async (query) => {
      let looks = 0;
      let turns = 0;
      const httpServer = openListServer(server.app.engine, async () => {
        if (looks++ === 0) setImmediate(() => turns++);
        return { tasks: [], next: looks < 5 ? { id: looks, finishedAt: null } : null };
      });
      const response = await fetch(`${httpServer.url}/api/task${query}`);
      expect(await response.text()).toBe("[]");
      expect([looks, turns]).toEqual([5, 1]);
      await httpServer.close();
    },
  );

  test("was read with a turn of the event loop after each read of the store", async () => {
    const order: string[] = [];
    const httpServer = openListServer(server.app.engine, async () => {
      order.push("look");
      setImmediate(() => order.push("turn"));
      return { tasks: [], next: order.length < 6 ? { id: 1, finishedAt: null } : null };
    });
    await fetch(`${httpServer.url}/api/task?limit=10`);
    expect(order.slice(0, 5)).toEqual(["look", "turn", "look", "turn", "look"]);
    await httpServer.close();
  });
});
