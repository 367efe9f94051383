/**
 * All stores give the same answers: random requests with hostile values go to four servers, one on each store. The text of every
 * answer is compared with the answer of the server on the memory store. No answer is a 5xx. ALIKE_SEED=… repeats a run,
 * ALIKE_RUNS=… sets the number of runs.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { type RunningApp, startApp } from "./support/app.ts";
import { createRawClient, type RawClient } from "./support/raw.ts";
import { sharedPostgres, sharedRedis } from "./support/servers/shared.ts";
import { uniqueName } from "./support/stores.ts";

const RUNS = Number(process.env.ALIKE_RUNS || 20);
const STEPS = 40;
const SEED = Number(process.env.ALIKE_SEED || Math.floor(Math.random() * 2 ** 31));
const TIMEOUT_MS = 60_000 + RUNS * 3_000;

/** `@n` in target and body stands for the id of the n-th task, `@token` for the token of its latest lease. */
type Step = {
  readonly method: string;
  readonly target: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: string | null;
  /** The n of `@n`. */
  readonly at: number;
};

// ---- values, as JSON text, because JavaScript cannot represent numbers such as 1e999

const json = (value: unknown): string => JSON.stringify(value);

const utf16 = fc
  .array(fc.oneof(fc.nat(0x7f), fc.integer({ min: 0xd700, max: 0xe0ff }), fc.nat(0xffff)), { maxLength: 8 })
  .map((units) => String.fromCharCode(...units));
const text = fc.oneof(
  fc.constantFrom(
    "x",
    "нет",
    "a b",
    "payload.a:1",
    "payload.0.length:x",
    "a*",
    "%",
    "_",
    "\\",
    "'",
    '"',
    "",
    " ",
  ),
  fc.constantFrom(
    "\0",
    "a\0b",
    "\ud800",
    "x\udc00",
    "\udc00\ud800",
    "\ufffd",
    "\uffff",
    "\u2028",
    "\u0130ſßΣς",
    "💩",
  ),
  fc.constantFrom(
    "__proto__",
    "null",
    "$1",
    "{}",
    "ARGV[1]",
    "x".repeat(64),
    "x".repeat(65),
    "я".repeat(256),
  ),
  utf16,
);
const textJson = text.map(json);

const number = fc.oneof(
  fc.constantFrom(
    "0",
    "-0",
    "-0.0",
    "1",
    "1.0",
    "1e0",
    "10E-1",
    "-1",
    "0.5",
    "1.5",
    "99.99",
    "100",
    "100.00000000000001",
  ),
  fc.constantFrom("1000", "1001", "-1000", "1000000", "1000001", "2147483647", "2147483648", "4294967296"),
  fc.constantFrom("9007199254740991", "9007199254740992", "9007199254740993", "9223372036854775808"),
  fc.constantFrom(
    "1e15",
    "1e16",
    "1e308",
    "-1e308",
    "1e309",
    "1e999",
    "-1e999",
    "5e-324",
    "1e-400",
    "3889108265204450030",
  ),
);

const duration = fc
  .constantFrom(
    ...[
      "0s",
      "0",
      "-0",
      "1ns",
      "1us",
      "0.5ms",
      "1ms",
      "1.2345s",
      "2.0005s",
      "1.5s",
      "30s",
      "1h",
      "24h",
      "-1s",
      "-1ns",
    ],
    ...[
      "72h",
      "8760h",
      "8760.0000001h",
      "876000h",
      "876000h1ns",
      "2562047h47m16.854775807s",
      "1e3s",
      "1",
      "",
      "١s",
      "1s\0",
    ],
  )
  .map(json);

/** No time or delay ends while the test runs: whether a task is due would depend on the speed of the machine. */
const delay = fc
  .constantFrom(
    ...["0s", "0", "-0", "3600.0005s", "1h", "24h", "8760h", "8760.0000001h", "876000h", "876000h1ns"],
    ...["-1s", "-1ns", "2562047h47m16.854775807s", "1e3h", "1", "", "1h\0"],
  )
  .map(json);

const time = fc
  .constantFrom(
    ...[
      "2026-01-31T12:00:00Z",
      "2026-01-31t12:00:00.123456789z",
      "2027-02-30T00:00:00Z",
      "2026-02-29T12:00:00Z",
    ],
    ...[
      "0000-01-01T00:00:00Z",
      "0001-01-01T00:00:00Z",
      "0001-01-01T00:00:00+00:01",
      "9999-12-31T23:59:59.999Z",
    ],
    ...["9999-12-31T23:59:59-00:01", "2026-12-31T23:59:60Z", "2026-01-01T24:00:00Z", "2026-01-01T12:60:00Z"],
    ...["1969-12-31T23:59:59.999Z", "1970-01-01T00:00:00Z", "2026-01-31T12:00:00+24:00", "2026-01-31", "x"],
  )
  .map(json);

const type = fc
  .oneof({ weight: 4, arbitrary: fc.constantFrom("a", "a.b", "b_c") }, { weight: 1, arbitrary: text })
  .map(json);
const pattern = fc
  .oneof({ weight: 4, arbitrary: fc.constantFrom("a", "a*", "*", "b_*") }, { weight: 1, arbitrary: text })
  .map(json);

const listOf = (member: fc.Arbitrary<string>, most = 3): fc.Arbitrary<string> =>
  fc.array(member, { maxLength: most }).map((members) => `[${members.join()}]`);
const anyJson = fc.oneof(
  fc.json({ maxDepth: 3 }),
  textJson,
  number,
  fc.tuple(textJson, textJson, number).map(([a, b, n]) => `{${a}: ${b},"2":${n},"1":[${n},{ }]}`),
  fc.constantFrom("null", " [ ] ", "true", '"\\u0000\\ud800"', `${"[".repeat(60)}${"]".repeat(60)}`),
);

/** Mostly a value of the right kind, sometimes a value of another kind. */
const mostly = (member: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.oneof({ weight: 9, arbitrary: member }, { weight: 1, arbitrary: fc.oneof(anyJson, number, textJson) });

type Fields = Readonly<Record<string, fc.Arbitrary<string>>>;

/** An object with these members and some of the optional ones. */
const objectOf = (required: Fields, optional: Fields = {}): fc.Arbitrary<string> =>
  fc.record({ ...required, ...optional }, { requiredKeys: Object.keys(required) }).map(
    (members) =>
      `{${Object.entries(members)
        .map(([name, value]) => `${json(name)}:${value}`)
        .join()}}`,
  );

// ---- requests

const name = fc.oneof(
  { weight: 3, arbitrary: fc.constant('"someName"') },
  { weight: 1, arbitrary: textJson },
);
const backoff = objectOf({ base: duration, max: duration });
const fields: Fields = {
  description: mostly(textJson),
  payload: anyJson,
  priority: mostly(number),
  run_at: mostly(time),
  timeout: mostly(duration),
  max_attempts: mostly(number),
  tags: mostly(listOf(textJson)),
  labels: mostly(objectOf({ l: textJson, "app/name": textJson })),
};
/** Few optional fields: with many, almost every create would have an invalid field. */
const specOf = (optional: Fields): fc.Arbitrary<string> =>
  fc
    .subarray(Object.keys(optional), { maxLength: 3 })
    .chain((names) =>
      objectOf({ name, ...Object.fromEntries(names.map((each) => [each, optional[each] ?? name])) }),
    );
const spec = specOf({
  ...fields,
  type,
  delay: mostly(delay),
  backoff: mostly(backoff),
  key: mostly(textJson),
});

const step = (
  method: string,
  target: fc.Arbitrary<string> | string,
  body: fc.Arbitrary<string> | null = null,
  headers: fc.Arbitrary<Step["headers"]> = fc.constant([]),
): fc.Arbitrary<Step> =>
  fc
    .record({
      at: fc.nat(5),
      target: typeof target === "string" ? fc.constant(target) : target,
      body: body ?? fc.constant(null),
      headers,
    })
    .map((drawn) => ({ ...drawn, method }));

const idempotency = fc.oneof(
  { weight: 2, arbitrary: fc.constant<Step["headers"]>([]) },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom("k", " ", "'", "\\", "k".repeat(255), "k".repeat(256), "\u00ff")
      .map((key) => [["Idempotency-Key", key]] as const),
  },
);
const condition = fc.constantFrom<Step["headers"]>(
  [],
  [["If-Match", '"v1"']],
  [["If-Match", '"v9007199254740993"']],
  [["If-Match", "*"]],
);

const hostileQuery = fc.oneof(
  fc.constantFrom(
    "%00",
    "a%00b",
    "%ED%A0%80",
    "%FF",
    "%zz",
    "%F0%9F%92%A9",
    "",
    "+",
    "a%20%09b",
    "%25",
    "%5C",
    "%27",
  ),
  text.map((value) => encodeURIComponent(value.toWellFormed())),
);
const cursorText = fc.oneof(
  fc.constantFrom(
    "id:1",
    "id:9007199254740991",
    "id:9007199254740992",
    "-id:1",
    "id:0",
    "id:1:1",
    "\0",
    "id:1\0",
  ),
  fc.constantFrom(
    "finished_at:1:-1",
    "finished_at:9007199254740991:9999999999999999",
    "-finished_at:1:-9999999999999999",
    "-finished_at:2:0",
  ),
);
const cursor = cursorText.map((place) => Buffer.from(place).toString("base64url"));
const parameter = fc.oneof(
  fc.tuple(fc.constantFrom("tag", "type", "q"), hostileQuery),
  fc.tuple(fc.constant("type"), fc.constantFrom("a", "a*", "*", "b_*")),
  fc.tuple(
    fc.constant("q"),
    fc.constantFrom("x", "payload.a:1", "payload.2:1e999", "payload.%00:x", "payload.a:%00", "ẞ"),
  ),
  fc.tuple(fc.constant("status"), fc.constantFrom("pending", "running", "done", "cancelled", "%00")),
  fc.tuple(fc.constant("limit"), fc.constantFrom("1", "3", "1000", "0", "1e2", "9".repeat(20), "-0")),
  fc.tuple(fc.constant("sort"), fc.constantFrom("id", "-id", "finished_at", "-finished_at")),
  fc.tuple(fc.constant("view"), fc.constantFrom("full", "state")),
  fc.tuple(fc.constant("cursor"), fc.oneof(cursor, hostileQuery)),
);
const listTarget = fc
  .array(parameter, { maxLength: 3 })
  .map((pairs) => `/api/task?${pairs.map((pair) => pair.join("=")).join("&")}`);

const bulkBody = objectOf(
  {
    filter: objectOf(
      {},
      {
        status: fc.constantFrom('["pending"]', '["running","done"]'),
        type: listOf(pattern),
        tag: mostly(listOf(textJson)),
        q: textJson,
      },
    ),
    action: fc.constantFrom('"cancel"', '"retry"', '"delete"'),
  },
  {
    all: fc.constantFrom("true", "false"),
    dry_run: fc.constantFrom("true", "false"),
    up_to_id: number,
    after_id: number,
  },
);

const worker = fc.oneof({ weight: 3, arbitrary: fc.constant('"w"') }, { weight: 1, arbitrary: textJson });
/** Leases are longer than the test, because their ends are not compared. */
const lease = fc.constantFrom('"1h"', '"24h"', '"3600.0005s"', '"24h1ns"', '"0.9995s"', '""');
const claimBody = objectOf(
  {
    worker,
    types: mostly(fc.array(pattern, { minLength: 1, maxLength: 3 }).map((types) => `[${types.join()}]`)),
  },
  {
    max: mostly(number),
    lease,
    wait: fc.constantFrom('"0s"', '"-0s"', '"1ns"', '"61s"'),
    slots: number,
    request: textJson,
  },
);
const goodClaim = objectOf({
  worker: fc.constant('"w"'),
  types: fc.constant('["*"]'),
  max: fc.constant("2"),
  lease: fc.constant('"1h"'),
});
const token = fc.oneof({ weight: 4, arbitrary: fc.constant('"@token"') }, { weight: 1, arbitrary: textJson });
const beatBody = objectOf({
  worker,
  leases: fc
    .array(
      objectOf(
        { id: fc.oneof(fc.constant("@id"), number), token },
        {
          progress: objectOf({ percent: mostly(number) }, { message: mostly(textJson) }),
          log: listOf(
            fc.oneof(textJson, objectOf({ level: fc.constantFrom('"warn"', '"error"'), message: textJson })),
          ),
        },
      ),
      { maxLength: 2 },
    )
    .map((leases) => `[${leases.join()}]`),
});
const failBody = objectOf(
  { token, retry_after: mostly(delay) },
  {
    error: objectOf({}, { code: textJson, message: textJson }),
    retryable: fc.constantFrom("true", "false"),
  },
);
const completesBody = objectOf({
  tasks: fc
    .array(objectOf({ id: fc.oneof(fc.constant("@id"), number), token }, { result: anyJson }), {
      minLength: 1,
      maxLength: 2,
    })
    .map((tasks) => `[${tasks.join()}]`),
});

const steps = fc.array(
  fc.oneof(
    { weight: 8, arbitrary: step("POST", "/api/task", spec, idempotency) },
    { weight: 3, arbitrary: step("POST", "/api/task", listOf(spec), idempotency) },
    { weight: 4, arbitrary: step("PATCH", "/api/task/@id", objectOf({}, { name, ...fields }), condition) },
    { weight: 2, arbitrary: step("GET", "/api/task/@id") },
    { weight: 1, arbitrary: step("GET", fc.constantFrom("/api/task/@id/explain", "/api/stats")) },
    { weight: 6, arbitrary: step("GET", listTarget) },
    { weight: 3, arbitrary: step("POST", "/api/task/bulk", bulkBody) },
    { weight: 3, arbitrary: step("POST", "/api/worker/claim", claimBody) },
    { weight: 4, arbitrary: step("POST", "/api/worker/claim", goodClaim) },
    { weight: 3, arbitrary: step("POST", "/api/worker/heartbeat", beatBody) },
    {
      weight: 2,
      arbitrary: step("POST", "/api/task/@id/complete", objectOf({ token }, { result: anyJson })),
    },
    { weight: 2, arbitrary: step("POST", "/api/worker/complete", completesBody) },
    { weight: 2, arbitrary: step("POST", "/api/task/@id/fail", failBody) },
    {
      weight: 1,
      arbitrary: step("POST", "/api/task/@id/release", objectOf({ token }, { delay: mostly(delay) })),
    },
    { weight: 1, arbitrary: step("POST", "/api/task/@id/cancel", null, condition) },
    { weight: 1, arbitrary: step("POST", "/api/task/@id/retry", null, condition) },
    { weight: 1, arbitrary: step("DELETE", "/api/task/@id", null, condition) },
    {
      weight: 1,
      arbitrary: step(
        "GET",
        fc.constantFrom(
          "/api/task/@id/log",
          "/api/task/@id/log?after=2147483647",
          "/api/task/@id/log?after=2147483648",
        ),
      ),
    },
    {
      weight: 1,
      arbitrary: step(
        "POST",
        hostileQuery.map((worker) => `/api/worker/${worker}/drain`),
      ),
    },
    {
      weight: 1,
      arbitrary: step(
        "DELETE",
        hostileQuery.map((worker) => `/api/worker/${worker}/drain`),
      ),
    },
    {
      weight: 1,
      arbitrary: step(
        "GET",
        fc.constantFrom(
          ...["0", "-0", "9007199254740991", "9007199254740992", "1e3"].map((id) => `/api/task/${id}`),
        ),
      ),
    },
  ),
  { minLength: STEPS, maxLength: STEPS },
);

/** Each of these was a 503 on one store only. */
const EXAMPLES: [Step[]][] = [
  { method: "GET", target: "/api/task?tag=%00", body: null },
  { method: "POST", target: "/api/task/bulk", body: '{"filter":{"tag":["\\ud800"]},"action":"cancel"}' },
  {
    method: "POST",
    target: "/api/worker/heartbeat",
    body: '{"worker":"w","leases":[{"id":1,"token":"\\u0000"}]}',
  },
  { method: "POST", target: "/api/task", body: '{"name":"x","timeout":"1.2345s"}' },
].map((request) => [[{ ...request, headers: [], at: 0 }]]);

// ---- four servers

type Side = {
  readonly name: string;
  readonly server: RunningApp;
  readonly client: RawClient;
  tokens: Map<number, string>;
};

const sides: Side[] = [];
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tasktrack-alike-"));
  const unique = uniqueName("alike");
  const urls = [
    "memory:",
    `sqlite:${join(folder, "tasks.db")}`,
    `${sharedPostgres()}?schema=${unique}`,
    `${sharedRedis()}?prefix=${unique}`,
  ];
  for (const url of urls) {
    const server = await startApp({ STORE_URL: url, ROLE: "api", LEASE: "3600.0005s" });
    sides.push({
      name: url.split(":", 1)[0] ?? url,
      server,
      client: createRawClient(server.url),
      tokens: new Map(),
    });
  }
});

afterAll(async () => {
  for (const { client, server } of sides) {
    client.close();
    await server.stop();
  }
  await rm(folder, { recursive: true });
});

type Answer = { readonly status: number; readonly body: string };

async function answerOf(
  side: Side,
  { method, target, headers, body, at }: Step,
  ids: readonly number[],
): Promise<Answer> {
  const id = ids.length === 0 ? 999_999 : (ids[at % ids.length] ?? 0);
  const fill = (written: string): string =>
    written.replaceAll("@id", String(id)).replaceAll("@token", side.tokens.get(id) ?? "1.none");
  const response = await side.client.send({
    method,
    target: fill(target),
    headers: body === null ? headers : [...headers, ["Content-Type", "application/json"]],
    ...(body === null ? {} : { body: fill(body) }),
  });
  const answer = await response.text();
  if (target.endsWith("/claim")) noteTokens(side, answer);
  // These two answers have times, durations and workers, so only their status is compared.
  const hasTimes = response.ok && /\/(?:explain|stats)$/.test(target);
  return { status: response.status, body: hasTimes ? "" : masked(answer) };
}

function noteTokens(side: Side, answer: string): void {
  const { tasks = [] } = JSON.parse(answer) as { tasks?: { id: number; lease: { token: string } }[] }; // a claim's answer, or a problem
  for (const { id, lease } of tasks) side.tokens.set(id, lease.token);
}

/** Replaces the values that differ between servers: times, growing durations, tokens and request ids. */
const masked = (answer: string): string =>
  answer
    .replaceAll(/"(created_at|updated_at|started_at|finished_at|at)":"[^"]*"/g, '"$1":"…"')
    .replaceAll(/"(duration|expires_in|request_id|token)":"[^"]*"/g, '"$1":"…"')
    .replaceAll(/"run_at":"2\d{3}-[^"]*"/g, '"run_at":"…"');

/** The ids of all tasks, oldest first. They are the same on all servers; otherwise an earlier step would have failed. */
async function idsOf({ client }: Side): Promise<number[]> {
  const response = await client.send({ target: "/api/task" });
  return ((await response.json()) as { id: number }[]).map(({ id }) => id); // in the form that the API documents
}

test(
  "every request has the same answer on every store, and no answer is a 5xx",
  async () => {
    console.log(`ALIKE_SEED=${SEED} ALIKE_RUNS=${RUNS}`);
    const seen = new Map<number, number>();
    const [oracle, ...others] = sides;
    if (oracle === undefined) throw new Error("there is no server to compare with");
    await fc.assert(
      fc.asyncProperty(steps, async (run) => {
        for (const step of run) {
          const ids = await idsOf(oracle);
          const expected = await answerOf(oracle, step, ids);
          seen.set(expected.status, (seen.get(expected.status) ?? 0) + 1);
          expect({ step, isFault: expected.status >= 500, expected }).toEqual({
            step,
            isFault: false,
            expected,
          });
          const answers = await Promise.all(others.map((side) => answerOf(side, step, ids)));
          for (const [at, { name }] of others.entries()) {
            expect({ step, store: name, answer: answers[at] }).toEqual({
              step,
              store: name,
              answer: expected,
            });
          }
        }
        await Promise.all(sides.map(clear));
      }),
      { seed: SEED, numRuns: RUNS, endOnFailure: true, examples: EXAMPLES },
    );
    expect([...seen.keys()]).toEqual(expect.arrayContaining([200, 201, 204, 400, 404, 409, 412]));
  },
  TIMEOUT_MS,
);

/** The next run begins without tasks. Keys and drained workers remain, the same on all servers. */
async function clear(side: Side): Promise<void> {
  side.tokens = new Map();
  const body = '{"filter":{},"all":true,"action":"delete"}';
  const headers = [["Content-Type", "application/json"]] as const;
  expect((await side.client.send({ method: "POST", target: "/api/task/bulk", headers, body })).status).toBe(
    200,
  );
}
