import { describe, expect, test } from "bun:test";
import { createStop } from "./stop.ts";

describe("an order to stop", () => {
  test("aborts a signal that was read before", () => {
    const stop = createStop();
    const { signal } = stop;
    const reasons: unknown[] = [];
    signal.addEventListener("abort", () => reasons.push(signal.reason));
    expect([stop.reason, signal.aborted]).toEqual([null, false]);
    stop.order("cancelled");
    expect(reasons).toEqual(["cancelled"]);
    expect(stop.signal).toBe(signal);
  });

  test("has aborted a signal that is read afterwards", () => {
    const stop = createStop();
    stop.order("timeout");
    expect([stop.signal.aborted, stop.signal.reason]).toEqual([true, "timeout"]);
  });

  test("counts once, with its first reason", () => {
    const stop = createStop();
    stop.order("lost");
    stop.order("shutdown");
    expect([stop.reason, stop.signal.reason]).toEqual(["lost", "lost"]);
  });
});
