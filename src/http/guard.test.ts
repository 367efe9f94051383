import { describe, expect, test } from "bun:test";
import { problemOf } from "./errors.ts";
import { createGuard, HEADER_BYTES, type RequestHeaders, URL_BYTES } from "./guard.ts";

const guard = createGuard({ httpHost: "Tasks.Internal", allowedHosts: ["tasks.example"] });

/** The code of the refusal; null for a request that may pass. */
function verdict(headers: RequestHeaders, method = "GET", target = "/"): string | null {
  try {
    guard(new Request(`http://localhost${target}`, { method }), headers);
    return null;
  } catch (thrown) {
    return problemOf(thrown)?.code ?? String(thrown);
  }
}

const BROWSER = { "user-agent": "Mozilla/5.0" };

describe("a browser may reach the server as", () => {
  test.each([
    ["localhost", null],
    ["LocalHost:8080", null],
    ["localhost.:8080", null],
    ["tasks.internal", null],
    ["TASKS.internal:80", null],
    ["tasks.example.", null],
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
    expect(verdict({ host })).toBeNull(); // who is no browser cannot be lured
  });
});

describe("a change may come from", () => {
  const rows: readonly (readonly [string, RequestHeaders, string | null])[] = [
    ["a client that says nothing of itself", {}, null],
    ["a page of the same origin", { origin: "http://localhost:8080" }, null],
    ["one behind a proxy that speaks https", { origin: "https://localhost:8080" }, null],
    ["the same origin by the browser's word", { "sec-fetch-site": "same-origin" }, null],
    ["the address bar", { "sec-fetch-site": "none" }, null],
    ["another port", { origin: "http://localhost:3000" }, "forbidden_origin"],
    ["no port", { origin: "http://localhost" }, "forbidden_origin"],
    ["a hidden origin", { origin: "null" }, "forbidden_origin"],
    ["an empty origin", { origin: "" }, "forbidden_origin"],
    ["another site", { "sec-fetch-site": "cross-site" }, "forbidden_origin"],
    ["a sibling site", { "sec-fetch-site": "same-site" }, "forbidden_origin"],
    [
      "another site in our name",
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
