import { describe, expect, test } from "bun:test";
import { TYPE_DEFAULTS } from "../core/lifecycle.ts";
import { readHandlers } from "./module.ts";

const work = async (): Promise<number> => 1;

describe("a module of handlers", () => {
  test("is read with the defaults of each type", () => {
    const backoff = { base: "2s", max: "1m" };
    const read = readHandlers({
      "image.resize": work,
      "video-encode_2": { handler: work, timeout: "90s", max_attempts: 5, backoff, delay: "500ms" },
      half: { handler: work, timeout: "1h" },
      fraction: { handler: work, timeout: "1.2345s", delay: "1us" },
    });
    expect([...read].map(([type, { defaults }]) => [type, defaults])).toEqual([
      ["image.resize", TYPE_DEFAULTS],
      [
        "video-encode_2",
        { delayMs: 500, timeoutMs: 90_000, maxAttempts: 5, backoff: { baseMs: 2_000, maxMs: 60_000 } },
      ],
      ["half", { ...TYPE_DEFAULTS, timeoutMs: 3_600_000 }],
      ["fraction", { ...TYPE_DEFAULTS, timeoutMs: 1_235, delayMs: 1 }],
    ]);
    for (const { handler } of read.values()) expect(handler).toBe(work);
  });

  const REFUSED: readonly (readonly [about: string, exported: unknown, message: string])[] = [
    ["nothing", undefined, "expected a default export of handlers by type"],
    ["null", null, "expected a default export of handlers by type"],
    ["an empty object", {}, "expected a default export of handlers by type"],
    ["a list", [work], "expected a default export of handlers by type"],
    ["a function alone", work, "expected a default export of handlers by type"],
    ["a type with a space", { "a b": work }, '"a b" must be 1 to 64 letters'],
    ["a type that is too long", { ["x".repeat(65)]: work }, "must be 1 to 64 letters"],
    ["a prefix", { "a.*": work }, '"a.*" must be 1 to 64 letters'],
    ["a text for a handler", { a: "work" }, '"a": expected a function'],
    ["null for a handler", { a: null }, '"a": expected a function'],
    ["an object without a handler", { a: { timeout: "1s" } }, '"a": expected a function'],
    ["an unknown field", { a: { handler: work, maxAttempts: 3 } }, '"a": there is no "maxAttempts"'],
    [
      "a timeout without a unit",
      { a: { handler: work, timeout: "30" } },
      '"a": timeout: expected a duration',
    ],
    ["a timeout as a number", { a: { handler: work, timeout: 30 } }, '"a": timeout: expected a duration'],
    [
      "a delay that is too long",
      { a: { handler: work, delay: "9000000h" } },
      '"a": delay: expected a duration',
    ],
    ["a negative delay", { a: { handler: work, delay: "-1s" } }, '"a": delay: expected a duration'],
    ["no attempts", { a: { handler: work, max_attempts: 0 } }, '"a": max_attempts: expected a whole number'],
    ["half an attempt", { a: { handler: work, max_attempts: 1.5 } }, '"a": max_attempts: expected'],
    [
      "a backoff without max",
      { a: { handler: work, backoff: { base: "1s" } } },
      '"a": backoff.max: expected',
    ],
    ["a backoff as a text", { a: { handler: work, backoff: "1s" } }, '"a": backoff: expected'],
    [
      "a backoff whose base is longer than max",
      { a: { handler: work, backoff: { base: "2s", max: "1s" } } },
      '"a": backoff: base must not be longer than max',
    ],
  ];
  test.each(REFUSED)("with %s is refused with a message", (_, exported, message) => {
    expect(() => readHandlers(exported)).toThrow(message);
    expect(() => readHandlers(exported)).toThrow(TypeError);
  });
});
