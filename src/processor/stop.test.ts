import { describe, expect, test } from "bun:test";
import { createStop, onOrder, order, signalOf } from "./stop.ts";

describe("an order to stop", () => {
  test("aborts a signal that was read before", () => {
    const stop = createStop();
    const signal = signalOf(stop);
    const reasons: unknown[] = [];
    signal.addEventListener("abort", () => reasons.push(signal.reason));
    expect([stop.reason, signal.aborted]).toEqual([null, false]);
    order(stop, "cancelled");
    expect(reasons).toEqual(["cancelled"]);
    expect(signalOf(stop)).toBe(signal);
  });

  test("has aborted a signal that is read afterwards", () => {
    const stop = createStop();
    order(stop, "timeout");
    expect([signalOf(stop).aborted, signalOf(stop).reason]).toEqual([true, "timeout"]);
  });

  test("counts once, with its first reason", () => {
    const stop = createStop();
    const heard: string[] = [];
    onOrder(stop, (reason) => heard.push(reason));
    order(stop, "lost");
    order(stop, "shutdown");
    expect([stop.reason, signalOf(stop).reason, heard]).toEqual(["lost", "lost", ["lost"]]);
  });

  test("reaches its listeners without a signal, also one that is added afterwards", () => {
    const stop = createStop();
    const heard: string[] = [];
    onOrder(stop, (reason) => heard.push(`first ${reason}`));
    onOrder(stop, (reason) => heard.push(`second ${reason}`));
    order(stop, "shutdown");
    onOrder(stop, (reason) => heard.push(`late ${reason}`));
    expect(heard).toEqual(["first shutdown", "second shutdown", "late shutdown"]);
    expect(stop.controller).toBeNull();
  });
});
