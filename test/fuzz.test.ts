/**
 * Five thousand requests, valid and invalid: no answer is a 5xx, and the OpenAPI document allows every
 * answer. `FUZZ_SEED=…` repeats a run, `FUZZ_RUNS=…` sets how often fifty requests are sent.
 */

import { afterAll, beforeAll, expect, test } from "bun:test";
import fc from "fast-check";
import { isTaskError } from "../src/core/error.ts";
import { type RunningApp, startApp } from "./support/app.ts";
import { createOpenApiChecker, fetchOpenApi, type OpenApiChecker } from "./support/openapi.ts";
import { createRawClient, type RawClient, type RawRequest } from "./support/raw.ts";

const RUNS = Number(process.env.FUZZ_RUNS || 100);
const STEPS = 50;
const SEED = Number(process.env.FUZZ_SEED || Date.now() % 2 ** 31);

/** A request; `@n` in its target stands for the id of the n-th task of this run, alive or not. */
type Step = {
  readonly request: RawRequest;
  /** The status of the answer if the task exists; null if every documented answer is right. */
  readonly expects: 200 | 201 | 204 | null;
};
type Header = readonly [string, string];

// ---- valid requests

const JSON_TYPE: Header = ["Content-Type", "application/json"];

const name = fc
  .string({ unit: "grapheme", minLength: 1, maxLength: 40 })
  .filter((text) => text.trim() !== "");
const description = fc.option(fc.string({ unit: "grapheme", maxLength: 80 }));
const span = fc.constantFrom("0s", "1ms", "1.5s", "72h");
/** Without a key: another live task could have it, and the answer would differ. */
const createBody = fc.record(
  {
    name,
    description,
    type: fc.constantFrom("simulate", "video.encode", "a_b-c"),
    payload: fc.jsonValue({ maxDepth: 3 }),
    priority: fc.integer({ min: -1_000, max: 1_000 }),
    delay: span,
    timeout: fc.constantFrom("1ms", "10s", null),
    max_attempts: fc.integer({ min: 1, max: 9 }),
    backoff: fc.record({ base: span, max: span }),
    tags: fc.array(fc.constantFrom("x", "нет", "a b"), { maxLength: 3 }),
    labels: fc.dictionary(fc.constantFrom("l", "a.b/c", "9"), fc.constantFrom("", "x", "нет"), {
      maxKeys: 3,
    }),
  },
  { requiredKeys: ["name"] },
);
const patchBody = fc.oneof(fc.record({ name }), fc.record({ description }), fc.record({ name, description }));
const slash = fc.constantFrom("", "/");
const someTask = fc.tuple(fc.nat(20), slash).map(([at, end]) => `/api/task/@${at}${end}`);

const create = fc.tuple(createBody, slash, fc.boolean()).map(
  ([body, end, chunked]): Step => ({
    request: {
      method: "POST",
      target: `/api/task${end}`,
      headers: [JSON_TYPE],
      body: JSON.stringify(body),
      chunked,
    },
    expects: 201,
  }),
);
/** With few keys, so that some keys are repeated, with the same body or another one. */
const createOnce = fc.tuple(name, fc.constantFrom("k1", "k2", "k3")).map(
  ([name, key]): Step => ({
    request: {
      method: "POST",
      target: "/api/task",
      headers: [JSON_TYPE, ["Idempotency-Key", key]],
      body: JSON.stringify({ name: name.length % 2 === 0 ? "even" : name }),
    },
    expects: null,
  }),
);
const read = fc
  .tuple(fc.constantFrom("GET", "HEAD"), someTask)
  .map(([method, target]): Step => ({ request: { method, target }, expects: 200 }));
/** `*` matches every version of a task that exists. */
const readKnown = someTask.map(
  (target): Step => ({ request: { target, headers: [["If-None-Match", "*"]] }, expects: null }),
);
const wait = fc
  .tuple(someTask, fc.constantFrom("0s", "1ms", "2.5ms"))
  .map(([target, time]): Step => ({ request: { target: `${target}?wait=${time}` }, expects: 200 }));
/** A HEAD request, because an event stream has no end. */
const follow = fc
  .constantFrom("", "?status=done", "?type=a.*&task=1")
  .map((query): Step => ({ request: { method: "HEAD", target: `/api/events${query}` }, expects: 200 }));
const edit = fc.tuple(someTask, patchBody).map(
  ([target, body]): Step => ({
    request: { method: "PATCH", target, headers: [JSON_TYPE], body: JSON.stringify(body) },
    expects: 200,
  }),
);
/** The status of the task may allow the call or not. */
const act = fc
  .tuple(
    fc.nat(20),
    fc.constantFrom("cancel", "retry", "log", "log?after=3"),
    fc.constantFrom<readonly Header[]>([], [["If-Match", '"v1"']]),
  )
  .map(
    ([at, verb, headers]): Step => ({
      request: {
        method: verb.startsWith("log") ? "GET" : "POST",
        target: `/api/task/@${at}/${verb}`,
        headers,
      },
      expects: null,
    }),
  );
const bulk = fc
  .record({
    filter: fc.record(
      { status: fc.constantFrom(["done"], ["failed", "cancelled"]), tag: fc.constant(["x"]) },
      { requiredKeys: [] },
    ),
    action: fc.constantFrom("cancel", "retry"),
    all: fc.boolean(),
    dry_run: fc.boolean(),
  })
  .map(
    (body): Step => ({
      request: { method: "POST", target: "/api/task/bulk", headers: [JSON_TYPE], body: JSON.stringify(body) },
      expects: null,
    }),
  );
/** No worker runs the claimed tasks: their leases expire after the run. */
const claimBody = fc.record(
  {
    worker: fc.constantFrom("w1", "раб"),
    types: fc.constantFrom(["video.*"], ["simulate", "a_b-c"]),
    max: fc.integer({ min: 1, max: 3 }),
    lease: fc.constantFrom("1s", "30s"),
    wait: fc.constantFrom("0s", "1ms"),
    request: fc.constantFrom("r1", "r2"),
  },
  { requiredKeys: ["worker", "types"] },
);
const token = fc.constantFrom("1.x", "", "2.long");
const workerSays = fc
  .oneof(
    claimBody.map((body) => ["/api/worker/claim", body] as const),
    fc
      .tuple(fc.nat(20), token)
      .map(
        ([id, token]) =>
          ["/api/worker/heartbeat", { worker: "w1", leases: [{ id: id + 1, token }] }] as const,
      ),
    fc
      .tuple(fc.nat(20), fc.constantFrom("complete", "fail", "release"), token)
      .map(([at, verb, token]) => [`/api/task/@${at}/${verb}`, { token }] as const),
    fc
      .tuple(token, claimBody)
      .map(([token, claim]) => ["/api/worker/complete", { tasks: [{ id: 1, token }], claim }] as const),
  )
  .map(
    ([target, body]): Step => ({
      request: { method: "POST", target, headers: [JSON_TYPE], body: JSON.stringify(body) },
      expects: null,
    }),
  );
const remove = someTask.map((target): Step => ({ request: { method: "DELETE", target }, expects: 204 }));
const list = fc
  .record(
    {
      limit: fc.integer({ min: 1, max: 1_000 }),
      status: fc.constantFrom("pending", "running", "done", "failed", "cancelled"),
      view: fc.constantFrom("full", "state"),
      type: fc.constantFrom("simulate", "video.*", "*"),
      tag: fc.constantFrom("x", "нет"),
      q: fc.constantFrom("a", "payload.a:b", "НЕТ"),
      sort: fc.constantFrom("id", "-id", "finished_at", "-finished_at"),
    },
    { requiredKeys: [] },
  )
  .map((query): Step => {
    const text = new URLSearchParams(Object.entries(query).map(([key, value]) => [key, String(value)]));
    return { request: { target: `/api/task?${text}` }, expects: 200 };
  });

// ---- invalid requests

const targetText = fc.stringMatching(/^[!-~\u00a1-\u00ff]{0,30}$/); // the characters that a request line may have
const path = fc.oneof(
  { weight: 4, arbitrary: someTask },
  { weight: 2, arbitrary: fc.constantFrom("/api/task", "/api/task/", "/livez", "/readyz/", "/openapi.json") },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      "/api/task/bulk",
      "/api/task/1/cancel",
      "/api/task/2/retry/",
      "/api/task/x/log",
    ),
  },
  { weight: 2, arbitrary: targetText.map((text) => `/api/task/${text}`) },
  { weight: 1, arbitrary: fc.oneof(fc.integer(), fc.double(), fc.bigInt()).map((id) => `/api/task/${id}`) },
  { weight: 1, arbitrary: targetText.map((text) => `/${text}`) },
);
const parameter = fc.tuple(
  fc.oneof(
    fc.constantFrom(
      "limit",
      "cursor",
      "status",
      "view",
      "wait",
      "__proto__",
      "sort",
      "q",
      "tag",
      "type",
      "after",
    ),
    targetText,
  ),
  fc.oneof(
    fc.constantFrom("1", "0", "1ms", "61s", "full", "done", "aWQ6MQ", "%ff", "%00", "9".repeat(20)),
    targetText,
  ),
);
const query = fc
  .array(parameter, { maxLength: 3 })
  .map((parameters) =>
    parameters.length === 0 ? "" : `?${parameters.map((pair) => pair.join("=")).join("&")}`,
  );
const target = fc.oneof(
  { weight: 60, arbitrary: fc.tuple(path, query).map((parts) => parts.join("")) },
  { weight: 1, arbitrary: fc.constant(`/api/task?q=${"a".repeat(9_000)}`) },
);

const METHODS = [
  "GET",
  "POST",
  "PATCH",
  "DELETE",
  "HEAD",
  "OPTIONS",
  "PUT",
  "TRACE",
  "PROPFIND",
  "QUERY",
] as const;
const method = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom("GET", "POST", "PATCH", "DELETE") },
  { weight: 1, arbitrary: fc.constantFrom(...METHODS) },
);

const headerText = fc.stringMatching(/^[!-~\u00a1-\u00ff]([ -~\u00a1-\u00ff]{0,40}[!-~\u00a1-\u00ff])?$/);
const oneHeader = (key: string, ...values: readonly string[]): fc.Arbitrary<Header> =>
  fc
    .oneof({ weight: 3, arbitrary: fc.constantFrom(...values) }, headerText)
    .map((value) => [key, value] as const);
const header: fc.Arbitrary<Header> = fc.oneof(
  { weight: 6, arbitrary: fc.constant(JSON_TYPE) },
  oneHeader(
    "Content-Type",
    "text/plain",
    "text/html",
    "application/json; charset=latin1",
    "multipart/form-data",
  ),
  oneHeader("Content-Encoding", "identity", "gzip"),
  oneHeader("Origin", "null", "http://localhost", "http://evil.example"),
  oneHeader("Sec-Fetch-Site", "same-origin", "none", "cross-site"),
  oneHeader("User-Agent", "curl/8", "Mozilla/5.0"),
  oneHeader("Host", "localhost", "127.0.0.1:8080", "evil.example", "a,b", "[::1]"),
  oneHeader("X-Request-Id", "mine", "x".repeat(100)),
  oneHeader("Accept", "*/*", "text/html"),
  oneHeader("If-Match", '"v1"', "*"),
  oneHeader("Range", "bytes=0-1"),
  oneHeader("Prefer", "wait=0", "count=exact", "return=minimal, wait=x"),
  oneHeader("If-None-Match", '"v1"', "*", 'W/"v2"'),
  oneHeader("Idempotency-Key", "k"),
  oneHeader("X-HTTP-Method-Override", "DELETE"),
  fc.tuple(fc.stringMatching(/^X-[A-Za-z0-9!#$%&'*+.^_`|~-]{1,20}$/), headerText),
);
const headers = fc.oneof(
  { weight: 60, arbitrary: fc.uniqueArray(header, { maxLength: 4, selector: ([key]) => key.toLowerCase() }) },
  { weight: 1, arbitrary: fc.constant<Header[]>([["X-Long", "a".repeat(17_000)]]) },
);

const wildFields = fc.dictionary(
  fc.oneof(
    fc.constantFrom(
      "name",
      "description",
      "id",
      "status",
      "__proto__",
      "constructor",
      "type",
      "payload",
      "priority",
      "run_at",
      "timeout",
      "tags",
      "labels",
      "key",
      "filter",
    ),
    fc.string(),
  ),
  fc.oneof(fc.string({ unit: "binary" }), fc.jsonValue()),
);
const wildText = fc.oneof(
  wildFields.map((fields) => JSON.stringify(fields)),
  fc.json(),
  createBody.map((body) => JSON.stringify(body)),
  patchBody.map((body) => JSON.stringify(body)),
  fc.tuple(createBody, fc.nat(60)).map(([body, end]) => JSON.stringify(body).slice(0, end)),
  fc.constantFrom('{"name":"\\ud800"}', '{"name":"\\u0000"}', '{"name":1e999}', "[".repeat(5_000), ""),
);
const body = fc.oneof(
  { weight: 20, arbitrary: wildText },
  { weight: 3, arbitrary: fc.uint8Array({ maxLength: 60 }) },
  { weight: 6, arbitrary: fc.constant(undefined) },
);
const wild = fc
  .record({ method, target, headers, body, chunked: fc.boolean() })
  .map(({ body: sent, ...request }): Step => {
    return { request: sent === undefined ? request : { ...request, body: sent }, expects: null };
  });
const TOO_LARGE = '{"name":"x"}'.padEnd(1_048_577, " ");
const huge = fc.boolean().map(
  (chunked): Step => ({
    request: { method: "POST", target: "/api/task", headers: [JSON_TYPE], body: TOO_LARGE, chunked },
    expects: null,
  }),
);

const steps = fc.array(
  fc.oneof(
    { weight: 80, arbitrary: create },
    { weight: 40, arbitrary: read },
    { weight: 10, arbitrary: readKnown },
    { weight: 10, arbitrary: wait },
    { weight: 10, arbitrary: follow },
    { weight: 40, arbitrary: edit },
    { weight: 10, arbitrary: createOnce },
    { weight: 40, arbitrary: act },
    { weight: 5, arbitrary: bulk },
    { weight: 30, arbitrary: workerSays },
    { weight: 40, arbitrary: remove },
    { weight: 20, arbitrary: list },
    { weight: 280, arbitrary: wild },
    { weight: 2, arbitrary: huge },
  ),
  { minLength: STEPS, maxLength: STEPS },
);

// ---- one run

let server: RunningApp;
let client: RawClient;
let checker: OpenApiChecker;
const seen = new Map<number, number>(); // status → how often

beforeAll(async () => {
  const env = { SIMULATE_MIN: "0s", SIMULATE_MAX: "10ms", SIMULATE_FAILURE_RATE: "0.3" };
  server = await startApp(env, { logLevel: "debug" }); // at this level each request writes log lines, which are tested as well
  client = createRawClient(server.url);
  checker = createOpenApiChecker(await fetchOpenApi(server.url));
});
afterAll(async () => {
  client.close();
  await server.stop();
});

/** The tasks of one run, in order of creation. */
type Known = { readonly id: number; alive: boolean }[];

async function take(step: Step, known: Known): Promise<void> {
  const at = /@(\d+)/.exec(step.request.target)?.[1];
  const task = at === undefined || known.length === 0 ? undefined : known[Number(at) % known.length];
  const request = {
    ...step.request,
    target: step.request.target.replace(/@\d+/, String(task?.id ?? 999_999_999)),
  };
  const response = await client.send(request);
  seen.set(response.status, (seen.get(response.status) ?? 0) + 1);

  const answer = { method: "GET", ...request };
  const isShown = (isPage(answer) && PAGE_STATUSES.has(response.status)) || isRefusedPage(answer, response);
  const faults = isShown ? [] : await checker.faults(answer, response.clone());
  expect({ request, status: response.status, faults }).toEqual({
    request,
    status: expect.any(Number),
    faults: [],
  });
  expect({ request, isFault: response.status >= 500 }).toEqual({ request, isFault: false });
  const isMissed = at !== undefined && (!task?.alive || strays.has(task.id));
  if (step.expects !== null) expect(response.status).toBe(isMissed ? 404 : step.expects);
  if (response.status === 201) known.push(...(await createdIds(response)).map((id) => ({ id, alive: true })));
  if (response.status !== 204 || request.method !== "DELETE") return;
  if (task !== undefined) task.alive = false;
  else strays.add(strayOf(request));
}

/** The web UI's pages are not part of the API or of its document; a request for HTML gets them. */
const isPage = ({ target }: { readonly target: string }): boolean =>
  /^\/(?:tasks|tasks\/[^/]*|new|overview)?\/?(?:\?.*)?$/.test(target);
const PAGE_STATUSES: ReadonlySet<number> = new Set([200, 204, 304]);

/** Paths outside of the API are refused with a page if the request accepts HTML. */
const isRefusedPage = (
  { method, target, headers = [] }: RawRequest,
  { status, headers: answered }: Response,
): boolean =>
  answered.get("content-type") === "text/html; charset=utf-8" &&
  status >= 400 &&
  (method === "GET" || method === "HEAD") &&
  headers.some(([name, value]) => name.toLowerCase() === "accept" && value.includes("text/html")) &&
  !/^\/(?:api|livez|readyz|openapi\.json)(?:\/|$)/.test(
    URL.parse(target, "http://localhost")?.pathname ?? "/api",
  );

/** The answer to a cancel of a task that runs at this moment, which depends on the machine. task-model.test.ts tests it. */
const BY_CHANCE = 202;

/** Tasks that were deleted because a random id was the id of another command's task. */
const strays = new Set<number>();

/** Reads only the path, because a query may have an invalid percent encoding. */
const strayOf = ({ target }: RawRequest): number =>
  Number(/\/task\/(\d+)/.exec(decodeURI(target.split("?", 1)[0] ?? ""))?.[1]);

const removeIfThere = (id: number): Promise<void> =>
  server.app.engine.remove(id).catch((error: unknown) => {
    if (!isTaskError(error, "not_found") || !strays.has(id)) throw error;
  });

/** The tasks of a 201. None for a repeated answer, because its tasks may have been deleted. */
async function createdIds(response: Response): Promise<number[]> {
  const answer = (await response.json()) as { task_id: number } | { task_ids: number[] }; // the checker has checked the form
  if (response.headers.get("idempotent-replayed") !== null) return [];
  if ("task_ids" in answer) return answer.task_ids;
  expect(response.headers.get("location")).toBe(`/api/task/${answer.task_id}`);
  return [answer.task_id];
}

test(
  "no answer is a 5xx, and the OpenAPI document allows every answer",
  async () => {
    console.log(`fuzz: FUZZ_SEED=${SEED}`);
    await fc.assert(
      fc.asyncProperty(steps, async (run) => {
        const known: Known = [];
        for (const step of run) await take(step, known);
        for (const { id, alive } of known) if (alive) await removeIfThere(id);
      }),
      { seed: SEED, numRuns: RUNS },
    );
    expect([...seen.values()].reduce((sum, count) => sum + count, 0)).toBe(RUNS * STEPS);
    const statuses = [200, 201, 204, 304, 400, 403, 404, 405, 409, 412, 413, 414, 415, 422, 431];
    expect(statuses.filter((status) => !seen.has(status))).toEqual([]);
    expect([...seen.keys()].filter((status) => status !== BY_CHANCE && !statuses.includes(status))).toEqual(
      [],
    );
    expect(server.lines.filter((line) => line.includes('"level":"error"'))).toEqual([]);
  },
  { timeout: 300_000 + RUNS * 1_000 },
);
