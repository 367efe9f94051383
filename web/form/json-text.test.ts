import { describe, expect, test } from "bun:test";
import { printJson, readJson } from "./json-text.ts";

describe("JSON as a person types it", () => {
  test.each([
    ["", 1, 1, "value"],
    ["{", 1, 2, "key"],
    ["[1,]", 1, 4, "value"],
    ['{"a":1,}', 1, 8, "key"],
    ['{"a" 1}', 1, 6, "colon"],
    ['{"a":1 "b":2}', 1, 8, "commaOrEnd"],
    ['{\n  "a": nul\n}', 2, 8, "value"],
    ["{a:1}", 1, 2, "key"],
    ["[1] 2", 1, 5, "nothing"],
    ["[1}", 1, 3, "commaOrEnd"],
    ['["a\nb"]', 1, 4, "stringEnd"],
    ['"open', 1, 6, "stringEnd"],
    ['["\\x"]', 1, 3, "stringEnd"],
    ["01", 1, 1, "value"],
    ["]", 1, 1, "value"],
    ["{}}", 1, 3, "nothing"],
  ] as const)(
    "%j goes wrong at line %i, column %i, where a %s should stand",
    (text, line, column, expected) => {
      expect(readJson(text)).toEqual({ ok: false, fault: { line, column, expected } });
    },
  );

  test("the place of a fault is the one behind which nothing could be JSON", () => {
    const whole = printJson({ a: [1, -2.5e3, "x\\n", null, { b: true }], "": {}, c: [] });
    for (let cut = 0; cut < whole.length; cut++) {
      const read = readJson(`${whole.slice(0, cut)}\u0001`);
      expect(read.ok).toBe(false);
    }
  });

  test("a number that JavaScript would round is printed as it was typed", () => {
    const text = "[3889108265204450030,1e999,0.10]";
    const read = readJson(text);
    expect(read.ok && JSON.stringify(read.value)).toBe(text);
  });

  test("what is JSON is read, however deep, and a key called __proto__ is one like any other", () => {
    expect(readJson(' {"a":[1,"x"]} ')).toEqual({ ok: true, value: { a: [1, "x"] } });
    const read = readJson('{"__proto__":{"admin":true}}');
    expect(read.ok && Object.keys(Object(read.value))).toEqual(["__proto__"]);
    expect(readJson("[".repeat(5_000))).toMatchObject({ fault: { column: 5_001, expected: "value" } });
  });
});
