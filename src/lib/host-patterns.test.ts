import { describe, expect, test } from "bun:test";
import { matchesName, parseHostPattern } from "./host-patterns.ts";

describe("a pattern is", () => {
  const one = (name: string, port: number | null = null) => ({ name, isWildcard: false, port });
  const below = (name: string, port: number | null = null) => ({ name, isWildcard: true, port });
  test.each([
    ["tasks.example.com", one("tasks.example.com")],
    ["Tasks.Example.COM", one("tasks.example.com")],
    ["tasks.example.com.", one("tasks.example.com")],
    ["tasks.example.com:8443", one("tasks.example.com", 8443)],
    ["tasks.example.com.:8443", one("tasks.example.com", 8443)],
    ["tasks", one("tasks")],
    ["my_app", one("my_app")],
    ["bücher.example", one("xn--bcher-kva.example")],
    ["*.example.com", below("example.com")],
    ["*.example.com:80", below("example.com", 80)],
    ["*.bücher.example", below("xn--bcher-kva.example")],
    ["10.1.2.3", one("10.1.2.3")],
    ["10.1.2.3:8080", one("10.1.2.3", 8080)],
    ["::1", one("::1")],
    ["[::1]", one("::1")],
    ["[FE80::1]:8080", one("fe80::1", 8080)],
    ["FE80:0:0::1", one("fe80::1")],
    ["[fe80:0:0::1]", one("fe80::1")],
  ] as const)("%s", (text, expected) => {
    expect(parseHostPattern(text)).toEqual(expected);
  });
});

test.each([
  ...[
    "",
    ".",
    "*",
    "*.",
    "*.*.example.com",
    "a.*.example.com",
    "*example.com",
    "a..example.com",
    ".example.com",
  ],
  ...["http://tasks.example.com", "tasks.example.com/", "tasks.example.com/tasks", "//tasks.example.com"],
  ...[
    "tasks.example.com;",
    "a.example;b.example",
    "a.example b.example",
    "user@a.example",
    "a.example?",
    "a.example#",
  ],
  ...["a.example:", "a.example:0", "a.example:65536", "a.example:http", "a.example:80:80", "a.example:*"],
  ...[
    "1.2.3",
    "0x7f000001",
    "*.10.1.2.3",
    "[::1",
    "::1]",
    "[a.example]",
    "[::1]x",
    "::1:80:g",
    "a%20b",
    "%61.example",
  ],
])("%j is not a pattern", (text) => {
  expect(parseHostPattern(text)).toBeNull();
});

test.each([
  ["tasks.example.com", "tasks.example.com", true],
  ["tasks.example.com", "a.tasks.example.com", false],
  ["tasks.example.com", "example.com", false],
  ["*.example.com", "tasks.example.com", true],
  ["*.example.com", "a.b.example.com", true],
  ["*.example.com", "example.com", false],
  ["*.example.com", ".example.com", false],
  ["*.example.com", "evilexample.com", false],
  ["*.example.com", "tasks.example.com.evil", false],
] as const)("whether %s matches %s: %p", (text, name, expected) => {
  const pattern = parseHostPattern(text);
  expect(pattern !== null && matchesName(pattern, name)).toBe(expected);
});
