import { describe, expect, test } from "bun:test";
import { parseHostPattern } from "../../lib/host-patterns.ts";
import { type Problem, problemOf } from "../../wire/problem.ts";
import { ANONYMOUS } from "../access.ts";
import type { Call, RequestHeaders, Route } from "../route.ts";
import { HEADER_BYTES, URL_BYTES } from "./lengths.ts";
import { passStages, type Stage } from "./stage.ts";
import { createStages } from "./stages.ts";

const ALLOWED = [
  "tasks.example",
  "other.example:8443",
  "*.wild.example",
  "*.far.example:8443",
  "10.0.0.7:8080",
];
const stages = createStages({
  httpHost: "Tasks.Internal",
  allowedHosts: ALLOWED.map((text) => parseHostPattern(text)).filter((pattern) => pattern !== null),
});

const ROUTE: Route = {
  id: "route",
  summary: "",
  access: "manage",
  answers: {},
  problems: [],
  run: ({ reply }) => reply(204, null),
};

const callOf = (headers: RequestHeaders, method = "GET", target = "/"): Call => ({
  route: ROUTE,
  request: new Request(`http://localhost${target}`, { method }),
  headers,
  params: {},
  principal: ANONYMOUS,
  requestId: "1",
  reply: (status) => new Response(null, { status }),
  cut: () => undefined,
});

/** The refusal; null for a request that may pass. */
function refusalOf(...request: Parameters<typeof callOf>): Problem | null {
  try {
    passStages(callOf(...request), stages);
    return null;
  } catch (thrown) {
    const problem = problemOf(thrown);
    if (problem === null) throw thrown;
    return problem;
  }
}

const verdict = (...request: Parameters<typeof refusalOf>): string | null =>
  refusalOf(...request)?.code ?? null;

const BROWSER = { "user-agent": "Mozilla/5.0" };

describe("a browser may use the Host", () => {
  test.each([
    ["localhost", null],
    ["LocalHost:8080", null],
    ["localhost.:8080", null],
    ["tasks.internal", null],
    ["TASKS.internal:80", null],
    ["tasks.example.", null],
    ["tasks.example:9999", null],
    ["other.example", null],
    ["other.example:8443", null],
    ["other.example:9999", null],
    ["a.wild.example", null],
    ["a.b.WILD.example.:80", null],
    ["wild.example", "forbidden_host"],
    ["evilwild.example", "forbidden_host"],
    ["0.0.0.0:8080", null],
    ["10.1.2.3", null],
    ["[::1]", null],
    ["[fe80::1]:8080", null],
    ["", "forbidden_host"],
    ["evil.example", "forbidden_host"],
    ["tasks.example.evil", "forbidden_host"],
    ["evil.tasks.example", "forbidden_host"],
    ["localhost.evil", "forbidden_host"],
    ["1.2.3.4.evil", "forbidden_host"],
    ["1.2.3", "forbidden_host"],
    ["0x7f000001", "forbidden_host"],
  ] as const)("%j: %p", (host, expected) => {
    expect(verdict({ host, ...BROWSER })).toBe(expected);
    expect(verdict({ host, "sec-fetch-site": "none" })).toBe(expected);
    expect(verdict({ host })).toBeNull(); // without a browser's User-Agent there is no page, so every Host is accepted
  });
});

describe("a change may come from", () => {
  const rows: readonly (readonly [string, RequestHeaders, string | null])[] = [
    ["a client without an Origin", {}, null],
    ["a page of the same origin", { origin: "http://localhost:8080" }, null],
    ["a page behind a proxy with https", { origin: "https://localhost:8080" }, null],
    ["the same origin by Sec-Fetch-Site", { "sec-fetch-site": "same-origin" }, null],
    ["the address bar", { "sec-fetch-site": "none" }, null],
    ["another port", { origin: "http://localhost:3000" }, "forbidden_origin"],
    ["no port", { origin: "http://localhost" }, "forbidden_origin"],
    ["an opaque origin", { origin: "null" }, "forbidden_origin"],
    ["an empty origin", { origin: "" }, "forbidden_origin"],
    ["another site", { "sec-fetch-site": "cross-site" }, "forbidden_origin"],
    ["a sibling site", { "sec-fetch-site": "same-site" }, "forbidden_origin"],
    [
      "another site with the Origin of the server",
      { origin: "http://localhost:8080", "sec-fetch-site": "cross-site" },
      "forbidden_origin",
    ],
  ];
  test.each(rows)("%s", (_, headers, expected) => {
    const all = { host: "localhost:8080", ...headers };
    for (const method of ["POST", "PATCH", "DELETE", "PUT", "PROPFIND"])
      expect(verdict(all, method)).toBe(expected);
    for (const method of ["GET", "HEAD", "OPTIONS"]) expect(verdict(all, method)).toBeNull();
  });
});

describe("behind a proxy that adds its own port to the Host, a page may make changes from", () => {
  test.each([
    ["http://tasks.internal", "tasks.internal:80", null],
    ["https://tasks.internal", "Tasks.Internal:443", null],
    ["http://[::1]", "[::1]:80", null],
    ["http://tasks.internal", "tasks.internal:443", "forbidden_origin"],
    ["https://tasks.internal", "tasks.internal:80", "forbidden_origin"],
    ["http://tasks.internal", "tasks.internal:8080", "forbidden_origin"],
    ["http://evil.internal", "tasks.internal:80", "forbidden_origin"],
    ["http://tasks.internal.evil", "tasks.internal:80", "forbidden_origin"],
  ] as const)("%s, Host: %s: %p", (origin, host, expected) => {
    expect(verdict({ host, origin }, "POST")).toBe(expected);
  });
});

describe("behind a proxy that has changed the Host, a page may make changes from", () => {
  test.each([
    ["http://tasks.example", null],
    ["https://tasks.example", null],
    ["https://tasks.example:443", null],
    ["https://Tasks.Example.", null],
    ["http://tasks.example:8443", "forbidden_origin"],
    ["http://tasks.example:443", "forbidden_origin"],
    ["https://other.example:8443", null],
    ["https://other.example", "forbidden_origin"],
    ["http://a.wild.example", null],
    ["http://a.b.wild.example", null],
    ["http://wild.example", "forbidden_origin"],
    ["http://evilwild.example", "forbidden_origin"],
    ["https://a.far.example:8443", null],
    ["https://a.far.example", "forbidden_origin"],
    ["http://10.0.0.7:8080", null],
    ["http://10.0.0.7", "forbidden_origin"],
    ["http://10.0.0.8:8080", "forbidden_origin"],
    ["http://localhost", "forbidden_origin"],
    ["http://tasks.internal", "forbidden_origin"],
    ["http://tasks.example.evil", "forbidden_origin"],
    ["http://tasks.example@evil.example", "forbidden_origin"],
    ["ftp://tasks.example", "forbidden_origin"],
    ["chrome-extension://tasks.example", "forbidden_origin"],
    ["tasks.example", "forbidden_origin"],
    ["null", "forbidden_origin"],
  ] as const)("%s: %p", (origin, expected) => {
    expect(verdict({ host: "127.0.0.1:8080", origin }, "POST")).toBe(expected);
    // If the browser sends Sec-Fetch-Site, that header decides.
    const marked = { host: "127.0.0.1:8080", origin, "sec-fetch-site": "cross-site" };
    expect(verdict(marked, "POST")).toBe("forbidden_origin");
  });
});

describe("a refusal of another origin shows the compared headers", () => {
  const host = "127.0.0.1:8080";
  const messageOf = (headers: RequestHeaders): string =>
    refusalOf({ host, ...headers }, "POST")?.message ?? "";

  test("and the entry of ALLOWED_HOSTS that would allow the page", () => {
    const message = messageOf({ origin: "https://Tasks.example:9443" });
    expect(message).toContain('"https://Tasks.example:9443"');
    expect(message).toContain(`"${host}"`);
    const [, entry = ""] = /add (\S+) to ALLOWED_HOSTS/.exec(message) ?? [];
    const cured = createStages({ httpHost: "x", allowedHosts: [parseHostPattern(entry) ?? fail(entry)] });
    const call = callOf({ host, origin: "https://Tasks.example:9443" }, "POST");
    expect(passStages(call, cured)).toBe(call);
  });

  test("and no entry for a page without a host, or if Sec-Fetch-Site has decided", () => {
    expect(messageOf({ origin: "null" })).toContain('"null"');
    expect(messageOf({ origin: "null" })).not.toContain("ALLOWED_HOSTS");
    const message = messageOf({ origin: "http://a.example", "sec-fetch-site": "same-site" });
    for (const part of ['"same-site"', '"http://a.example"', `"${host}"`]) expect(message).toContain(part);
    expect(message).not.toContain("ALLOWED_HOSTS");
  });
});

function fail(entry: string): never {
  throw new Error(`${entry} is no entry of ALLOWED_HOSTS`);
}

describe("lengths are counted to the byte:", () => {
  test("the URL", () => {
    const target = (length: number): string => `/${"a".repeat(length - 1)}`;
    expect(verdict({ host: "localhost" }, "GET", target(URL_BYTES))).toBeNull();
    expect(verdict({ host: "localhost" }, "GET", target(URL_BYTES + 1))).toBe("uri_too_long");
  });

  test("the headers, each with its colon, space and line end", () => {
    const rest = HEADER_BYTES - "host: localhost\r\n".length - "x: \r\n".length;
    expect(verdict({ host: "localhost", x: "a".repeat(rest) })).toBeNull();
    expect(verdict({ host: "localhost", x: "a".repeat(rest + 1) })).toBe("headers_too_large");
  });
});

describe("a route needs its scope:", () => {
  const without = { ...ANONYMOUS, scopes: new Set(["read", "submit"] as const) };
  const pass = (call: Call) => passStages(call, stages);
  const call = callOf({ host: "localhost" });

  test("the anonymous principal has all of them", () => {
    for (const access of ["open", "submit", "read", "work", "manage", "admin"] as const)
      expect(pass({ ...call, route: { ...ROUTE, access } })).toMatchObject({ principal: ANONYMOUS });
  });

  test("a principal without it does not reach the route, unless the route is open", () => {
    const by = { ...call, principal: without };
    expect(() => pass(by)).toThrow("lacks the scope manage of route");
    expect(() => pass({ ...by, route: { ...ROUTE, access: "read" } })).not.toThrow();
    expect(() => pass({ ...by, route: { ...ROUTE, access: "open" } })).not.toThrow();
  });
});

describe("stages run in their order,", () => {
  const names: string[] = [];
  const naming =
    (name: string): Stage =>
    (call) => {
      names.push(name);
      return { ...call, requestId: name };
    };
  const later = (stage: Stage): Stage => {
    return async (call) => stage(call);
  };
  const call = callOf({});

  test("each with the call that the previous one returned", () => {
    names.length = 0;
    expect(passStages(call, [naming("a"), naming("b")])).toMatchObject({ requestId: "b" });
    expect(names).toEqual(["a", "b"]);
  });

  test("also after a stage that waits", async () => {
    names.length = 0;
    const passing = passStages(call, [naming("a"), later(naming("b")), naming("c"), later(naming("d"))]);
    expect(names).toEqual(["a", "b"]);
    expect(await passing).toMatchObject({ requestId: "d" });
    expect(names).toEqual(["a", "b", "c", "d"]);
  });

  test("and none after a stage that refuses", async () => {
    names.length = 0;
    const refusing: Stage = () => {
      throw new Error("no");
    };
    expect(() => passStages(call, [naming("a"), refusing, naming("b")])).toThrow("no");
    await expect(Promise.resolve(passStages(call, [later(refusing), naming("b")]))).rejects.toThrow("no");
    expect(names).toEqual(["a"]);
  });
});
