import { describe, expect, test } from "bun:test";
import { createContexts, type Unsent } from "./context.ts";

function open() {
  const unsent: Unsent = { progress: null, log: [] };
  let [reports, over] = [0, false];
  const contextOf = createContexts<Unsent>({
    signal: () => AbortSignal.abort("x"),
    isOver: () => over,
    onReport: () => void reports++,
  });
  const context = contextOf(unsent);
  const end = (): void => {
    over = true;
  };
  // Without types, as a module in JavaScript uses it.
  const loose = context as unknown as Record<"progress" | "log", (...words: unknown[]) => void>;
  return { unsent, loose, end, reports: () => reports };
}

const hostile = new Proxy(() => undefined, {
  get() {
    throw new Error("no property");
  },
});
const circular: Record<string, unknown> = {};
circular.self = circular;

describe("progress and log lines of a handler", () => {
  test.each<[unknown, unknown, number, string]>([
    [50, null, 50, ""],
    [50, undefined, 50, ""],
    [33.3, "a third", 33.3, "a third"],
    [-5, "", 0, ""],
    [100.000_000_1, "", 100, ""],
    [Number.NaN, "", 0, ""],
    [Number.POSITIVE_INFINITY, "", 0, ""],
    ["40", 7, 40, "7"],
    [40n, { at: "b" }, 40, '{"at":"b"}'],
    [null, "\ud800\0", 0, "\ufffd\ufffd"],
    [undefined, circular, 0, "a value that cannot be shown"],
    [Symbol("x"), Symbol("y"), 0, "Symbol(y)"],
    [hostile, hostile, 0, "a value that cannot be shown"],
    [{}, "x".repeat(10_001), 0, "x".repeat(10_000)],
  ])("progress(%p, %p)", (percent, message, kept, words) => {
    const { unsent, loose, reports } = open();
    loose.progress(percent, message);
    expect(unsent.progress).toEqual({ percent: kept, message: words });
    expect(reports()).toBe(1);
  });

  test.each<[unknown, unknown, string, string]>([
    ["x", "warning", "warn", "x"],
    ["x", "WARN", "warn", "x"],
    ["x", "fatal", "error", "x"],
    ["x", "trace", "debug", "x"],
    ["x", "loud", "info", "x"],
    ["x", null, "info", "x"],
    ["x", 30, "info", "x"],
    ["x", undefined, "info", "x"],
    [{ done: 3 }, "info", "info", '{"done":3}'],
    [undefined, "info", "info", "undefined"],
    [new TypeError("not so"), "error", "error", "TypeError: not so"],
    [12n, "info", "info", "12"],
    [hostile, hostile, "info", "a value that cannot be shown"],
  ])("log(%p, %p)", (message, level, kept, words) => {
    const { unsent, loose } = open();
    loose.log(message, level);
    expect(unsent.log).toEqual([{ level: kept, message: words } as Unsent["log"][number]]);
  });

  test("beyond a thousand lines the oldest are dropped", () => {
    const { unsent, loose } = open();
    for (let n = 0; n < 1_002; n++) loose.log(n);
    expect([unsent.log.length, unsent.log[0]?.message]).toEqual([1_000, "2"]);
  });

  test("have no effect after the end of the attempt", () => {
    const { unsent, loose, end, reports } = open();
    end();
    loose.progress(1);
    loose.log("late");
    expect({ unsent, reports: reports() }).toEqual({ unsent: { progress: null, log: [] }, reports: 0 });
  });
});
