import { describe, expect, test } from "bun:test";
import { FAILURES } from "../core/outcome.ts";
import { attempt } from "./execute.ts";
import { fail, type HandlerContext, type HandlerTask, snooze } from "./handler.ts";

const task: HandlerTask = {
  ...{ id: 1, name: "n", description: "", type: "t", tags: [], labels: {}, attempt: 1 },
  ...{ payload: null, payloadText: null, losses: 0, createdAt: 0 },
};
const context: HandlerContext = {
  signal: new AbortController().signal,
  progress: () => undefined,
  log: () => undefined,
};
const outcomeOf = (run: () => unknown) => attempt(async () => run(), task, context);
const throwing = (thrown: unknown) =>
  outcomeOf(() => {
    throw thrown;
  });
const everythingThrows: ProxyHandler<object> = new Proxy(
  {},
  {
    get: () => () => {
      throw new Error("a trap");
    },
  },
);
const hostile = new Proxy({}, everythingThrows);
const circular: Record<string, unknown> = {};
circular.self = circular;

describe("an attempt", () => {
  test.each<[string, unknown, string | null]>([
    ["nothing", undefined, null],
    ["null", null, "null"],
    ["a function", () => 1, null],
    ["a value that JSON has", { a: ["ж", 1e21] }, '{"a":["ж",1e+21]}'],
  ])("that returns %s is done", async (_, value, result) => {
    expect(await outcomeOf(() => value)).toEqual({ kind: "done", result });
  });

  test.each<[string, unknown, string]>([
    ["a bigint", { n: 1n }, "BigInt"],
    ["a circular object", circular, "circular|cyclic"],
    [
      "an object whose toJSON throws",
      {
        toJSON: () => {
          throw new Error("no JSON of it");
        },
      },
      "no JSON of it",
    ],
    [
      "a getter that throws",
      {
        get x() {
          throw new Error("no x");
        },
      },
      "no x",
    ],
  ])("that returns %s fails permanently, with a message", async (_, value, words) => {
    expect(await outcomeOf(() => value)).toEqual({
      kind: "failed",
      error: {
        code: FAILURES.resultNotJson,
        message: expect.stringMatching(new RegExp(`^The result cannot be written as JSON: .*(${words})`)),
      },
      retryable: false,
      retryAfterMs: null,
    });
  });

  test.each<[string, unknown, string]>([
    ["an error", new Error("broken"), "broken"],
    ["an error without a message", new RangeError(), "RangeError"],
    ["a text", "just so", "just so"],
    ["an object", { reason: "full" }, '{"reason":"full"}'],
    ["nothing", undefined, "undefined"],
    ["a hostile proxy", hostile, "a value that cannot be shown"],
    [
      "an error whose message is hostile",
      Object.assign(new Error(), { message: hostile }),
      "a value that cannot be shown",
    ],
  ])("that throws %s fails and may be tried again", async (_, thrown, message) => {
    expect(await throwing(thrown)).toEqual({
      kind: "failed",
      error: { code: FAILURES.handlerError, message },
      retryable: true,
      retryAfterMs: null,
    });
  });

  test("that returns a hostile proxy, or a promise of one, fails", async () => {
    expect((await outcomeOf(() => hostile)).kind).toBe("failed");
    expect(
      (
        await outcomeOf(() => ({
          // biome-ignore lint/suspicious/noThenProperty: a handler may return such an object
          get then() {
            throw new Error("no then");
          },
        }))
      ).kind,
    ).toBe("failed");
  });

  test("treats a thrown verdict like a returned one", async () => {
    expect(await throwing(snooze("1s"))).toEqual({ kind: "released", delayMs: 1_000 });
  });

  test("accepts any value in the fields of a verdict", async () => {
    const loose = fail as unknown as (message: unknown, how?: unknown) => ReturnType<typeof fail>;
    expect(await throwing(loose({ a: 1 }, null))).toMatchObject({
      ...{ retryable: true, error: { code: FAILURES.handlerError, message: '{"a":1}' } },
    });
    expect(await throwing(loose(new Error("x"), { code: 7, retryable: 0 }))).toMatchObject({
      ...{ retryable: false, error: { code: "7", message: "Error: x" } },
    });
  });
});
