/** Invalid requests, each with the exact status and code of its answer. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { ProblemCode } from "../src/wire/problem.ts";
import { type RunningApp, startApp } from "./support/app.ts";
import { expectProblem } from "./support/problem.ts";
import { exchange, type RawRequest } from "./support/raw.ts";

type Headers = readonly (readonly [string, string])[];
type Refused = {
  readonly it: string;
  readonly send: RawRequest | string;
  /** The pointers of the invalid fields. */
  readonly pointers?: readonly string[];
  readonly allow?: string;
};

const JSON_TYPE: Headers = [["Content-Type", "application/json"]];
const BODY_BYTES = 1_048_576;
const MOZILLA = ["User-Agent", "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0"] as const;

const get = (target: string, headers: Headers = []): RawRequest => ({ target, headers });
const post = (body: RawRequest["body"], headers: Headers = JSON_TYPE): RawRequest => ({
  method: "POST",
  target: "/api/task",
  headers,
  ...(body === undefined ? {} : { body }),
});
const patch = (body: string, target = "/api/task/1"): RawRequest => ({
  method: "PATCH",
  target,
  headers: JSON_TYPE,
  body,
});
const call = (method: string, target: string, headers: Headers = []): RawRequest => ({
  method,
  target,
  headers,
});
const named = (name: string): string => JSON.stringify({ name });
const bytes = (...parts: (string | readonly number[])[]): Uint8Array =>
  Buffer.concat(parts.map((part) => (typeof part === "string" ? Buffer.from(part) : Buffer.from(part))));
const nested = (depth: number): string => `{"name":"x","a":${"[".repeat(depth - 1)}${"]".repeat(depth - 1)}}`;
const padded = (length: number): string => '{"name":"x"}'.padEnd(length, " ");

// ---- 400 invalid: JSON that is not a valid task

const unknownFields = (count: number): Record<string, number> =>
  Object.fromEntries(Array.from({ length: count }, (_, n) => [`k${n}`, 1]));

const fields: readonly Refused[] = [
  { it: "a task without a name", send: post("{}"), pointers: ["/name"] },
  ...["null", "7", "true", "[]", '["x"]', "{}", "1e400"].map((value) => ({
    it: `the name ${value}`,
    send: post(`{"name":${value}}`),
    pointers: ["/name"],
  })),
  { it: "an empty name", send: post(named("")), pointers: ["/name"] },
  { it: "a name of spaces", send: post(named("   ")), pointers: ["/name"] },
  { it: "a name of tabs and line ends", send: post(named("\t\r\n\v\f")), pointers: ["/name"] },
  { it: "a name of Unicode spaces", send: post(named("\u00a0\u2003\u3000\ufeff")), pointers: ["/name"] },
  { it: "a name of 256 letters", send: post(named("x".repeat(256))), pointers: ["/name"] },
  { it: "a name of 256 emoji", send: post(named("🦊".repeat(256))), pointers: ["/name"] },
  { it: "a name with a lone high surrogate", send: post('{"name":"\\ud800"}'), pointers: ["/name"] },
  { it: "a name with a lone low surrogate", send: post('{"name":"x\\udc00"}'), pointers: ["/name"] },
  {
    it: "a name with its surrogates swapped",
    send: post('{"name":"\\udd8a\\ud83e"}'),
    pointers: ["/name"],
  },
  { it: "a name with NUL", send: post('{"name":"a\\u0000b"}'), pointers: ["/name"] },
  ...["7", "false", "[]", "{}"].map((value) => ({
    it: `the description ${value}`,
    send: post(`{"name":"x","description":${value}}`),
    pointers: ["/description"],
  })),
  {
    it: "a description of 10,001 letters",
    send: post(JSON.stringify({ name: "x", description: "x".repeat(10_001) })),
    pointers: ["/description"],
  },
  {
    it: "a description of 10,001 emoji",
    send: post(JSON.stringify({ name: "x", description: "🦊".repeat(10_001) })),
    pointers: ["/description"],
  },
  {
    it: "a description with NUL",
    send: post('{"name":"x","description":"\\u0000"}'),
    pointers: ["/description"],
  },
  {
    it: "a description with a lone surrogate",
    send: post('{"name":"x","description":"\\ud83d!"}'),
    pointers: ["/description"],
  },
  {
    it: "two faults, which are both named",
    send: post('{"name":"","description":7}'),
    pointers: ["/name", "/description"],
  },
  ...["id", "status", "created_at", "duration", "version", "attempt", "result"].map((field) => ({
    it: `the field ${field}, which only the server sets`,
    send: post(`{"name":"x","${field}":1}`),
    pointers: [`/${field}`],
  })),
  {
    it: "an unknown field",
    send: post('{"name":"x","a/b~c":1}'),
    pointers: ["/a~1b~0c"],
  },
  {
    it: "80,000 unknown fields",
    send: post(JSON.stringify({ name: "x", ...unknownFields(80_000) })),
    pointers: Array.from({ length: 100 }, (_, n) => `/k${n}`),
  },
  {
    it: "a thousand tasks with sixty unknown fields each",
    send: post(JSON.stringify(Array.from({ length: 1_000 }, () => ({ name: "x", ...unknownFields(60) })))),
  },
  {
    it: "a field whose name is 900,000 letters long",
    send: post(JSON.stringify({ name: "x", ["k".repeat(900_000)]: 1 })),
    pointers: [`/${"k".repeat(255)}`],
  },
  {
    it: "a label named __proto__",
    send: post('{"name":"x","labels":{"__proto__":"a"}}'),
    pointers: ["/labels/__proto__"],
  },
  {
    it: "the key __proto__",
    send: post('{"name":"x","__proto__":{"admin":true}}'),
    pointers: ["/__proto__"],
  },
  { it: "a name inside __proto__ only", send: post('{"__proto__":{"name":"x"}}') },
  {
    it: "the key constructor",
    send: post('{"name":"x","constructor":{"prototype":{}}}'),
    pointers: ["/constructor"],
  },
  { it: "a name in capitals", send: post('{"NAME":"x"}'), pointers: ["/name", "/NAME"] },
  ...["null", "true", "7", '"text"', "[]", '[{"name":""}]'].map((value) => ({
    it: `the body ${value}`,
    send: post(value),
  })),
  {
    it: "a valid name and then an invalid one, because the last one counts",
    send: post('{"name":"x","name":7}'),
    pointers: ["/name"],
  },
  {
    it: "64 levels below an unknown key, which are parsed",
    send: post(nested(64)),
    pointers: ["/a"],
  },
  { it: "an empty patch", send: patch("{}") },
  { it: "a patch of the name to null", send: patch('{"name":null}'), pointers: ["/name"] },
  { it: "a patch of the name to white space", send: patch('{"name":" "}'), pointers: ["/name"] },
  {
    it: "a patch of the name to 256 code points",
    send: patch(named("é".repeat(256))),
    pointers: ["/name"],
  },
  { it: "a patch of the status", send: patch('{"status":"done"}'), pointers: ["/status"] },
  {
    it: "a patch of the id beside a good name",
    send: patch('{"name":"y","id":2}'),
    pointers: ["/id"],
  },
  { it: "the patch null", send: patch("null") },
  { it: "a patch that is an array", send: patch('["name"]') },
  ...["/api/task/1/cancel", "/api/task/1/retry", "/api/worker/w/drain"].flatMap((target) =>
    ["[]", '""', '{"a":1}'].map((value) => ({
      it: `${value} sent to ${target}, which needs no body`,
      send: { ...post(value), target },
    })),
  ),
  ...["PATCH", "DELETE"].map((method) => ({
    it: `${method} with an empty If-Match, which names no version`,
    send: { ...patch(named("y")), method, headers: [...JSON_TYPE, ["If-Match", ""] as const] },
    pointers: ["/If-Match"],
  })),
];

const WRONG_IDS = [
  "0",
  "-1",
  "+1",
  "01",
  "1.0",
  "1e3",
  "0x1",
  "1_000",
  "9007199254740992",
  "99999999999999999999",
  "abc",
  "NaN",
  "Infinity",
  "null",
  "%20",
  "1%20",
  "1%00",
  "%00",
  "1%2F",
  "%zz",
  "%2e%2e",
  "%D9%A3",
  "1;2",
  "1,2",
  "1'--",
  "{{7*7}}",
];

const ids: readonly Refused[] = [
  ...WRONG_IDS.map((id) => ({ it: `the id ${id}`, send: get(`/api/task/${id}`), pointers: ["/id"] })),
  { it: "a patch of the id 0", send: patch(named("y"), "/api/task/0"), pointers: ["/id"] },
  { it: "a delete of the id 1e3", send: call("DELETE", "/api/task/1e3"), pointers: ["/id"] },
  { it: "a delete of the id -1", send: call("DELETE", "/api/task/-1"), pointers: ["/id"] },
];

const queries: readonly Refused[] = [
  ["nope=1", "/nope"],
  ["__proto__=1", "/__proto__"],
  ["constructor=1", "/constructor"],
  ["LIMIT=1", "/LIMIT"],
  ["limit=0", "/limit"],
  ["limit=-1", "/limit"],
  ["limit=1001", "/limit"],
  ["limit=1.5", "/limit"],
  ["limit=1e2", "/limit"],
  ["limit=", "/limit"],
  ["limit=abc", "/limit"],
  ["limit=10%00", "/limit"],
  ["limit=1&limit=2", "/limit"],
  ["limit[]=1", "/limit[]"],
  ["cursor=", "/cursor"],
  ["cursor=abc", "/cursor"],
  ["cursor=%ff", "/cursor"],
  ["cursor=aWQ6MQ&cursor=aWQ6MQ", "/cursor"],
  ["cursor=aWQ6MA", "/cursor"],
  ["status=", "/status/0"],
  ["status=weird", "/status/0"],
  ["status=DONE", "/status/0"],
  ["status=done&status=weird", "/status/1"],
  ["status=done,failed", "/status/0"],
  ["tag=%00", "/tag/0"],
  ["tag=x&tag=a%00b", "/tag/1"],
  ["view=", "/view"],
  ["view=FULL", "/view"],
  ["view=full&view=full", "/view"],
].map(([query, pointer]) => ({
  it: `the list with ?${query}`,
  send: get(`/api/task?${query}`),
  pointers: [pointer ?? ""],
}));

const waitsAndEvents: readonly Refused[] = [
  ["task/1?wait=", "/wait"],
  ["task/1?wait=30", "/wait"],
  ["task/1?wait=-1s", "/wait"],
  ["task/1?wait=60.001s", "/wait"],
  ["task/1?wait=1h", "/wait"],
  ["task/1?wait=1s&wait=2s", "/wait"],
  ["task/999999?wait=61s", "/wait"],
  ["events?nope=1", "/nope"],
  ["events?task=", "/task/0"],
  ["events?task=0", "/task/0"],
  ["events?task=1&task=x", "/task/1"],
  ["events?task=1,2", "/task/0"],
  ["events?task=9007199254740992", "/task/0"],
  ["events?type=", "/type/0"],
  ["events?type=a*b", "/type/0"],
  ["events?type=a%20b", "/type/0"],
  ["events?type=%00", "/type/0"],
  [`events?type=${"a".repeat(65)}`, "/type/0"],
  ["events?status=weird", "/status/0"],
  ["events?status=done&status=DONE", "/status/1"],
].map(([target, pointer]) => ({
  it: `GET /api/${target}`,
  send: get(`/api/${target}`),
  pointers: [pointer ?? ""],
}));

// ---- 400 malformed_body: invalid JSON

const malformed: readonly Refused[] = [
  { it: "no body", send: post(undefined) },
  { it: "an empty body", send: post("") },
  { it: "an empty body in chunks", send: { ...post(""), chunked: true } },
  { it: "a body of white space", send: post(" \n") },
  { it: "a body of one word with a megabyte", send: post("x".repeat(BODY_BYTES)) },
  ...[
    '{"name":"x"',
    '{"name":',
    '{"name":"x',
    "{name:'x'}",
    '{"name":"x",}',
    '{"name":"x"}}',
    '{"name":"x"} {"name":"y"}',
    '{"name":"a\nb"}',
    '{"name":"\\x41"}',
    '{"name":"\\u12"}',
    '{"name":NaN}',
    '{"name":01}',
    '{"name":"x"/**/}',
    "undefined",
    "name=x",
    "<name>x</name>",
  ].map((text) => ({ it: `the body ${JSON.stringify(text)}`, send: post(text) })),
  { it: "a byte that is not UTF-8", send: post(bytes('{"name":"', [0xff], '"}')) },
  { it: "an overlong slash", send: post(bytes('{"name":"', [0xc0, 0xaf], '"}')) },
  { it: "half a euro sign", send: post(bytes('{"name":"', [0xe2, 0x82], '"}')) },
  { it: "a surrogate in UTF-8", send: post(bytes('{"name":"', [0xed, 0xa0, 0x80], '"}')) },
  { it: "a code point beyond Unicode", send: post(bytes('{"name":"', [0xf4, 0x90, 0x80, 0x80], '"}')) },
  { it: "UTF-16", send: post(Buffer.from('{"name":"x"}', "utf16le")) },
  { it: "a patch that is not UTF-8", send: { ...patch(""), body: bytes('{"name":"', [0xfe], '"}') } },
  { it: "65 levels", send: post(nested(65)) },
  { it: "10,000 levels", send: post(nested(10_000)) },
  { it: "500,000 brackets that are never closed", send: post("[".repeat(500_000)) },
  { it: "10,000 nested objects", send: post('{"name":'.repeat(10_000)) },
  { it: "a patch without a body", send: call("PATCH", "/api/task/1") },
];

// ---- 413, 414, 431: too long

const tooLarge: readonly Refused[] = [
  { it: "one byte over 1 MiB", send: post(padded(BODY_BYTES + 1)) },
  { it: "one byte over 1 MiB in chunks", send: { ...post(padded(BODY_BYTES + 1)), chunked: true } },
  { it: "2 MiB", send: post(padded(2 * BODY_BYTES)) },
  { it: "2 MiB in chunks", send: { ...post(padded(2 * BODY_BYTES)), chunked: true } },
  { it: "a patch of 2 MiB", send: patch(padded(2 * BODY_BYTES)) },
  {
    it: "a Content-Length of a terabyte",
    send: "POST /api/task HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1099511627776\r\n\r\n{",
  },
];

const tooLongUrls: readonly Refused[] = [
  { it: "a path of 20 KiB", send: get(`/${"a".repeat(20 * 1_024)}`) },
  { it: "a query of 20 KiB", send: get(`/api/task?q=${"a".repeat(20 * 1_024)}`) },
  { it: "an id of 20 KiB", send: get(`/api/task/${"1".repeat(20 * 1_024)}`) },
  {
    it: "a POST to a query of 20 KiB",
    send: { ...post(named("x")), target: `/api/task?${"a".repeat(20_480)}` },
  },
  { it: "a URL of 8,193 bytes", send: get(`/api/task?${"a".repeat(8_193 - "/api/task?".length)}`) },
];

const tooLongHeaders: readonly Refused[] = [
  { it: "a header of 20 KiB", send: get("/api/task", [["X-Long", "a".repeat(20 * 1_024)]]) },
  {
    it: "150 headers of 20 KiB in all",
    send: get(
      "/api/task",
      Array.from({ length: 150 }, (_, at) => [`X-${at}`, "a".repeat(137)] as const),
    ),
  },
  {
    it: "a cookie of 20 KiB on a POST",
    send: post(named("x"), [...JSON_TYPE, ["Cookie", "a".repeat(20_480)]]),
  },
];

// ---- 415: declared as another type than JSON

const mediaTypes: readonly Refused[] = [
  ...[
    "text/html",
    "application/xml",
    "application/problem+json",
    "application/jsonp",
    "multipart/form-data; boundary=x",
    "json",
    "application/json, text/plain",
    "application/json; charset=latin1",
    "application/json; charset=utf-16",
    "text/plain; charset=iso-8859-1",
  ].map((type) => ({ it: `a body of ${type}`, send: post(named("x"), [["Content-Type", type]]) })),
  ...["gzip", "br", "GZIP", "identity, gzip"].map((coding) => ({
    it: `a body in ${coding}`,
    send: post(named("x"), [...JSON_TYPE, ["Content-Encoding", coding]]),
  })),
  {
    it: "a patch of XML",
    send: { ...patch("<x/>"), headers: [["Content-Type", "text/xml"]] },
  },
  {
    it: "plain text from a page of the same origin",
    send: post(named("x"), [
      ["Content-Type", "text/plain"],
      ["Origin", "http://localhost"],
    ]),
  },
  {
    it: "a form from a page of the same origin",
    send: post(named("x"), [
      ["Content-Type", "application/x-www-form-urlencoded"],
      ["Sec-Fetch-Site", "same-origin"],
    ]),
  },
  {
    it: "no type at all from a browser",
    send: post(named("x"), [["Sec-Fetch-Site", "none"]]),
  },
];

// ---- 404 and 405

const unknownRoutes: readonly Refused[] = [
  "/api",
  "/api/",
  "/api/tasks",
  "/API/TASK",
  "//api/task",
  "/api//task",
  "/api/task//",
  "/api/task/1//",
  "/api/task/1/x",
  "/api/%74ask",
  "/api/task%2F1",
  "/api/task/../task",
  "/api/./task",
  "/api/task/1/../1",
  "/api\\task",
  "/api/task;v=1",
  "/.env",
  "/src/main.ts",
  "/favicon.ico",
  "/livez/x",
].map((target) => ({ it: `GET ${target}`, send: get(target) }));

const moreUnknown: readonly Refused[] = [
  { it: "POST to an unknown path", send: { ...post(named("x")), target: "/api/nope" } },
  { it: "DELETE of an unknown path", send: call("DELETE", "/api/nope/1") },
  { it: "OPTIONS of an unknown path", send: call("OPTIONS", "/nope") },
  { it: "PROPFIND of an unknown path", send: call("PROPFIND", "/nope") },
];

const missing: readonly Refused[] = [
  { it: "GET of the greatest id", send: get("/api/task/9007199254740991") },
  { it: "GET of an id that was never given", send: get("/api/task/2") },
  { it: "PATCH of an id that was never given", send: patch(named("y"), "/api/task/2") },
  { it: "DELETE of an id that was never given", send: call("DELETE", "/api/task/2") },
];

const LIST_ALLOWS = "GET, POST, HEAD, OPTIONS";
const TASK_ALLOWS = "GET, PATCH, DELETE, HEAD, OPTIONS";
const READ_ALLOWS = "GET, HEAD, OPTIONS";
const BULK_ALLOWS = "POST, OPTIONS";

const methods: readonly Refused[] = [
  ["PUT", "/api/task", LIST_ALLOWS],
  ["PATCH", "/api/task", LIST_ALLOWS],
  ["DELETE", "/api/task", LIST_ALLOWS],
  ["DELETE", "/api/task/", LIST_ALLOWS],
  ["TRACE", "/api/task", LIST_ALLOWS],
  ["PROPFIND", "/api/task", LIST_ALLOWS],
  ["QUERY", "/api/task", LIST_ALLOWS],
  ["POST", "/api/task/1", TASK_ALLOWS],
  ["PUT", "/api/task/1", TASK_ALLOWS],
  ["TRACE", "/api/task/1/", TASK_ALLOWS],
  ["LOCK", "/api/task/1", TASK_ALLOWS],
  ["GET", "/api/task/bulk", BULK_ALLOWS],
  ["PATCH", "/api/task/bulk/", BULK_ALLOWS],
  ["DELETE", "/api/task/bulk", BULK_ALLOWS],
  ["PUT", "/api/task/bulk", BULK_ALLOWS],
  ["POST", "/api/events", READ_ALLOWS],
  ["DELETE", "/api/events/", READ_ALLOWS],
  ["POST", "/livez", READ_ALLOWS],
  ["DELETE", "/readyz", READ_ALLOWS],
  ["PUT", "/openapi.json", READ_ALLOWS],
].map(([method = "", target = "", allow = ""]) => ({
  it: `${method} ${target}`,
  send: call(method, target),
  allow,
}));

// ---- 403 and the Host header

const UNSAFE = [
  post(named("x")),
  patch(named("y")),
  call("DELETE", "/api/task/1"),
  call("PUT", "/api/task/1"),
] as const;
const FOREIGN: readonly (readonly [string, Headers])[] = [
  ["another origin", [["Origin", "http://evil.example"]]],
  ["an opaque origin", [["Origin", "null"]]],
  ["another port of this host", [["Origin", "http://localhost:3000"]]],
  ["an origin that only begins like the server's", [["Origin", "http://localhost.evil.example"]]],
  ["an invalid origin", [["Origin", "localhost"]]],
  ["another site", [["Sec-Fetch-Site", "cross-site"]]],
  ["a sibling of this site", [["Sec-Fetch-Site", "same-site"]]],
  [
    "another site with the Origin of the server",
    [
      ["Origin", "http://localhost"],
      ["Sec-Fetch-Site", "cross-site"],
    ],
  ],
  ["a site that is not a token", [["Sec-Fetch-Site", "SAME-ORIGIN?"]]],
];

const foreignOrigins: readonly Refused[] = UNSAFE.flatMap((request) =>
  FOREIGN.map(([source, headers]) => ({
    it: `a ${request.method} from ${source}`,
    send: { ...request, headers: [...(request.headers ?? []), ...headers] },
  })),
);

const foreignHosts: readonly Refused[] = [
  ...[
    "evil.example",
    "evil.example:8080",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "evil.localhost",
    "tasks.example.evil",
    "2130706433",
  ].map((host) => ({
    it: `a browser's GET for ${host}`,
    send: get("/api/task", [["Host", host], MOZILLA]),
  })),
  {
    it: "a rebound page's GET with its origin",
    send: get("/api/task", [
      ["Host", "evil.example"],
      ["Origin", "http://evil.example"],
    ]),
  },
  {
    it: "a rebound page's GET of one task with its fetch metadata",
    send: get("/api/task/1", [
      ["Host", "evil.example"],
      ["Sec-Fetch-Site", "same-origin"],
    ]),
  },
  {
    it: "a rebound page's POST with Sec-Fetch-Site: same-origin",
    send: post(named("x"), [
      ...JSON_TYPE,
      ["Host", "evil.example"],
      ["Origin", "http://evil.example"],
      ["Sec-Fetch-Site", "same-origin"],
    ]),
  },
  {
    it: "a rebound page's DELETE",
    send: call("DELETE", "/api/task/1", [["Host", "evil.example"], MOZILLA]),
  },
  {
    it: "a rebound page's GET of an unknown path",
    send: get("/nope", [["Host", "evil.example"], MOZILLA]),
  },
];

const badHosts: readonly Refused[] = [
  ...["a b", "[::1", "localhost/path", "user@localhost", "a,b"].map((host) => ({
    it: `the Host ${JSON.stringify(host)}`,
    send: get("/api/task", [["Host", host]]),
  })),
  {
    it: "two Host headers",
    send: get("/api/task", [
      ["Host", "localhost"],
      ["Host", "evil.example"],
    ]),
  },
  {
    it: "two equal and valid Host headers on a POST",
    send: post(named("x"), [...JSON_TYPE, ["Host", "localhost"], ["Host", "localhost"]]),
  },
  { it: "an invalid Host for an unknown path", send: get("/nope", [["Host", "a b"]]) },
];

// ---- the tables against one server

const TABLES: readonly (readonly [number, ProblemCode, readonly Refused[]])[] = [
  [400, "invalid", [...fields, ...ids, ...queries, ...waitsAndEvents]],
  [400, "malformed_body", malformed],
  [400, "bad_host", badHosts],
  [403, "forbidden_origin", foreignOrigins],
  [403, "forbidden_host", foreignHosts],
  [404, "not_found", missing],
  [404, "unknown_route", [...unknownRoutes, ...moreUnknown]],
  [405, "method_not_allowed", methods],
  [413, "body_too_large", tooLarge],
  [414, "uri_too_long", tooLongUrls],
  [415, "unsupported_media_type", mediaTypes],
  [431, "headers_too_large", tooLongHeaders],
];

let server: RunningApp;

beforeAll(async () => {
  server = await startApp(
    { ROLE: "api", ALLOWED_HOSTS: "tasks.example, Other.Example" },
    { logLevel: "debug" },
  );
  await server.app.engine.create([{ name: "someName", description: "some description" }]);
});
afterAll(() => server.stop());

/** The state that a refused request must not change. */
const state = async (): Promise<string> => (await fetch(`${server.url}/api/task?view=full`)).text();

for (const [status, code, rows] of TABLES) {
  describe(`answered with ${status} ${code}:`, () => {
    test.each(rows.map((row) => [row.it, row] as const))("%s", async (_, { send, pointers, allow }) => {
      const before = await state();
      const response = await exchange(server.url, send);
      const problem = await expectProblem(response, { status, code });
      if (pointers !== undefined)
        expect(problem.errors?.map(({ pointer }) => pointer)).toEqual([...pointers]);
      expect(response.headers.get("allow")).toBe(allow ?? null);
      expect(await state()).toBe(before);
    });
  });
}

test("the tables above have at least sixty requests, all different", () => {
  const names = TABLES.flatMap(([, code, rows]) => rows.map((row) => `${code}: ${row.it}`));
  expect(names.length).toBeGreaterThanOrEqual(60);
  expect(new Set(names).size).toBe(names.length);
});

test("no request above was logged as an error of the server", () => {
  expect(server.lines.filter((line) => line.includes('"level":"error"'))).toEqual([]);
});

// ---- valid requests that look hostile

type Served = { readonly it: string; readonly send: RawRequest | string; readonly status: number };

const created = (it: string, send: RawRequest): Served => ({ it, send, status: 201 });
const read = (it: string, send: RawRequest): Served => ({ it, send, status: 200 });

const servedBodies: readonly Served[] = [
  ...["null", "{}"].map((value) =>
    read(`${value} for the body that a drain does not need`, {
      ...post(value),
      target: "/api/worker/w/drain",
    }),
  ),
  ...[JSON_TYPE, [["Content-Type", "text/html"] as const], []].flatMap((headers) =>
    [false, true].map((chunked) =>
      read(`${chunked ? "no chunk" : "no byte"} of ${headers[0]?.[1] ?? "no type"} for a drain`, {
        ...{ ...post("", headers), target: "/api/worker/w/drain", chunked },
      }),
    ),
  ),
  created("a name of 255 letters", post(named("x".repeat(255)))),
  created("a name of 255 emoji", post(named("🦊".repeat(255)))),
  created("a name of 255 letters in white space", post(named(` \t${"x".repeat(255)}\n `))),
  created("a name in every script", post(named("नमस्ते مرحبا 你好 \u202e"))),
  created("a surrogate pair, escaped", post('{"name":"\\ud83e\\udd8a"}')),
  created("markup, which is treated as text", post(named("<script>alert(1)</script>"))),
  created("a name that exists already", post(named("someName"))),
  created(
    "a description of 10,000 emoji",
    post(JSON.stringify({ name: "x", description: "🦊".repeat(10_000) })),
  ),
  created("a description of null", post('{"name":"x","description":null}')),
  created("a key twice, of which the last one counts", post('{"name":7,"name":"x"}')),
  created("brackets within a text", post(named("[{".repeat(100)))),
  created("brackets behind an escaped quote", post(named(`"\\"${"[".repeat(100)}`))),
  created("white space around the JSON", post(' \r\n\t{"name":"x"}\n')),
  created("a byte order mark", post(bytes([0xef, 0xbb, 0xbf], '{"name":"x"}'))),
  created("exactly 1 MiB", post(padded(BODY_BYTES))),
  created("exactly 1 MiB in chunks", { ...post(padded(BODY_BYTES)), chunked: true }),
];

const servedTypes: readonly Served[] = [
  ...[
    "application/json; charset=utf-8",
    'Application/JSON;charset="UTF-8"',
    "application/merge-patch+json",
    "text/plain",
    "text/plain;charset=UTF-8",
    "application/x-www-form-urlencoded",
  ].map((type) => created(`a body of ${type}`, post(named("x"), [["Content-Type", type]]))),
  created("a body without a type", post(named("x"), [])),
  created(
    "a body with the encoding identity",
    post(named("x"), [...JSON_TYPE, ["Content-Encoding", "identity"]]),
  ),
  created(
    "Node's fetch",
    post(named("x"), [
      ["Content-Type", "text/plain;charset=UTF-8"],
      ["Sec-Fetch-Mode", "cors"],
      ["User-Agent", "node"],
    ]),
  ),
];

const servedOrigins: readonly Served[] = [
  created("a page of this origin", post(named("x"), [...JSON_TYPE, ["Origin", "http://localhost"]])),
  created(
    "a page of this origin according to its browser",
    post(named("x"), [
      ...JSON_TYPE,
      ["Origin", "http://localhost"],
      ["Sec-Fetch-Site", "same-origin"],
      MOZILLA,
    ]),
  ),
  created("a request from the address bar", post(named("x"), [...JSON_TYPE, ["Sec-Fetch-Site", "none"]])),
  created(
    "a page of an allowed host",
    post(named("x"), [...JSON_TYPE, ["Host", "other.example:81"], ["Origin", "http://other.example:81"]]),
  ),
  read(
    "a GET of another page, which cannot read the answer",
    get("/api/task", [
      ["Origin", "http://evil.example"],
      ["Sec-Fetch-Site", "cross-site"],
    ]),
  ),
  ...[
    "localhost",
    "LOCALHOST:8080",
    "localhost.",
    "127.0.0.1:8080",
    "192.168.1.2",
    "[::1]:8080",
    "tasks.example",
    "OTHER.example:9",
  ].map((host) => read(`a browser's GET for ${host}`, get("/api/task", [["Host", host], MOZILLA]))),
  read(
    "curl for a foreign host",
    get("/api/task", [
      ["Host", "evil.example"],
      ["User-Agent", "curl/8.14.1"],
    ]),
  ),
  ...["", "%00", "localhost:99999", "a_b", "xn--e1afmkfd.example"].map((host) =>
    read(
      `the Host ${JSON.stringify(host)}, if the client is not a browser`,
      get("/api/task", [["Host", host]]),
    ),
  ),
  read("a client without User-Agent for a foreign host", get("/api/task/1", [["Host", "evil.example"]])),
];

const servedRest: readonly Served[] = [
  read("an id whose digits are escaped", get("/api/task/%31")),
  read("a question mark with nothing behind it", get("/api/task?")),
  read("a task's path with a slash at its end", get("/api/task/1/")),
  { it: "HTTP/1.0, which needs no Host", send: "GET /api/task HTTP/1.0\r\n\r\n", status: 200 },
  { it: "HTTP/1.0 for one task", send: "GET /api/task/1 HTTP/1.0\r\nHost: localhost\r\n\r\n", status: 200 },
  {
    it: "a POST with Expect: 100-continue",
    send: post(named("x"), [...JSON_TYPE, ["Expect", "100-continue"]]),
    status: 201,
  },
  read("a URL of 8,000 bytes", get(`/api/task/1?${"a".repeat(8_000 - "/api/task/1?".length)}`)),
  read("headers of 15 KiB", get("/api/task", [["X-Long", "a".repeat(15 * 1_024)]])),
];

describe("served:", () => {
  const rows = [...servedBodies, ...servedTypes, ...servedOrigins, ...servedRest];
  test.each(rows.map((row) => [row.it, row] as const))("%s", async (_, { send, status }) => {
    const response = await exchange(server.url, send);
    expect(`${response.status} ${await response.text()}`).toStartWith(String(status));
    expect(response.headers.get("x-request-id")).not.toBeEmpty();
    expect(response.headers.get("access-control-allow-origin")).toBeNull();
  });
});

test("a preflight of another origin gets no permission", async () => {
  const response = await exchange(
    server.url,
    call("OPTIONS", "/api/task", [
      ["Origin", "http://evil.example"],
      ["Access-Control-Request-Method", "POST"],
      ["Access-Control-Request-Headers", "content-type"],
    ]),
  );
  expect(response.status).toBe(204);
  const names = [...response.headers.keys()].filter((name) => name.startsWith("access-control-"));
  expect(names).toEqual([]);
});

// ---- request ids

describe("a request id", () => {
  test.each(["a", "0f8e-4c:1.2_3", "x".repeat(64)])("of the client is kept: %s", async (id) => {
    const response = await exchange(server.url, get("/nope", [["X-Request-Id", id]]));
    expect((await expectProblem(response, { status: 404, code: "unknown_route" })).request_id).toBe(id);
  });

  test.each(["", "<script>", "a b", "x".repeat(65), "a\tb", "ä"])(
    "that could be harmful is replaced: %j",
    async (id) => {
      const response = await exchange(server.url, get("/nope", [["X-Request-Id", id]]));
      const problem = await expectProblem(response, { status: 404, code: "unknown_route" });
      expect(problem.request_id).toMatch(/^[\w.:-]{1,64}$/);
      expect(problem.request_id).not.toBe(id);
    },
  );
});

// ---- invalid HTTP: the runtime answers before there is a request

describe("refused with 400 by the HTTP parser:", () => {
  const head = "POST /api/task HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
  const rows: readonly (readonly [string, string])[] = [
    ["noise", "\x00\x01\x02 noise\r\n\r\n"],
    ["no Host in HTTP/1.1", "GET /api/task HTTP/1.1\r\n\r\n"],
    ["a length that is not a number", `${head}Content-Length: abc\r\n\r\n{}`],
    ["a negative length", `${head}Content-Length: -1\r\n\r\n{}`],
    ["two lengths", `${head}Content-Length: 2\r\nContent-Length: 12\r\n\r\n{"name":"x"}`],
    [
      "a length and chunks, as for request smuggling",
      `${head}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    ],
    ["chunks and another coding", `${head}Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n`],
  ];
  test.each(rows)("%s", async (_, text) => {
    const before = await state();
    const response = await exchange(server.url, text);
    expect(response.status).toBe(400);
    expect(await state()).toBe(before);
  });
});

test("a client that disconnects in the middle of its body is not logged as an error of the server", async () => {
  const before = await state();
  const cut = "POST /api/task HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n";
  expect((await exchange(server.url, cut)).status).toBe(400);
  expect(await state()).toBe(before);
  expect(server.lines.filter((line) => line.includes('"level":"error"'))).toEqual([]);
});
