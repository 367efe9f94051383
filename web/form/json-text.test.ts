import { describe, expect, test } from "bun:test";
import { jsonFault, optionalJsonFault } from "./json-text.ts";

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
    "%j has its error at line %i, column %i, and a %s was expected",
    (text, line, column, expected) => {
      expect(jsonFault(text)).toEqual({ line, column, expected });
    },
  );

  test("the position of an error is the first one where no valid JSON can continue", () => {
    const whole = JSON.stringify({ a: [1, -2.5e3, "x\\n", null, { b: true }], "": {}, c: [] }, null, 2);
    for (let cut = 0; cut < whole.length; cut++) {
      expect(jsonFault(`${whole.slice(0, cut)}\u0001`)).not.toBeNull();
    }
  });

  test.each([' {"a":[1,"x"]} ', '{"__proto__":{"admin":true}}', "[3889108265204450030,1e999,0.10]", "null"])(
    "%s is JSON",
    (text) => {
      expect(jsonFault(text)).toBeNull();
    },
  );

  test("the position of an error is found at any nesting depth", () => {
    expect(jsonFault("[".repeat(5_000))).toMatchObject({ column: 5_001, expected: "value" });
  });

  test("an optional field accepts blank text and rejects invalid JSON", () => {
    expect(optionalJsonFault(" \n")).toBeNull();
    expect(optionalJsonFault("{}")).toBeNull();
    expect(optionalJsonFault(" {")).toMatchObject({ column: 3, expected: "key" });
  });
});
