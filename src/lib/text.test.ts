import { describe, expect, test } from "bun:test";
import { textOf } from "./text.ts";

const circular: Record<string, unknown> = {};
circular.self = circular;

const hostile = new Proxy(
  {},
  {
    get() {
      throw new Error("no property");
    },
    getPrototypeOf() {
      throw new Error("no prototype");
    },
    ownKeys() {
      throw new Error("no keys");
    },
  },
);

describe("the text of", () => {
  test.each<[string, unknown, string]>([
    ["a string", "as it is", "as it is"],
    ["undefined", undefined, "undefined"],
    ["null", null, "null"],
    ["a number", 1.5, "1.5"],
    ["a bigint", 10n ** 20n, "100000000000000000000"],
    ["a symbol", Symbol("s"), "Symbol(s)"],
    ["an object", { a: [1, "two"] }, '{"a":[1,"two"]}'],
    ["a list", [1, null], "[1,null]"],
    ["an error", new RangeError("too far"), "RangeError: too far"],
    ["an invalid date", new Date(Number.NaN), "Invalid Date"],
    ["an object without a prototype", Object.create(null), "{}"],
    ["an object whose JSON is nothing", { toJSON: () => undefined, toString: () => "itself" }, "itself"],
    ["a circular object", circular, "a value that cannot be shown"],
    ["an object with a bigint", { n: 1n }, "a value that cannot be shown"],
    ["a hostile proxy", hostile, "a value that cannot be shown"],
    ["a revoked proxy", revoked(), "a value that cannot be shown"],
    ["an error whose text throws", errorThatThrows(), "a value that cannot be shown"],
  ])("%s", (_, value, text) => {
    expect(textOf(value)).toBe(text);
  });
});

function revoked(): unknown {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

function errorThatThrows(): unknown {
  return Object.defineProperty(new Error("x"), "message", {
    get() {
      throw new Error("not readable");
    },
  });
}
