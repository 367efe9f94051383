import { expect, test } from "bun:test";
import { NOON } from "../../../test/support/tasks.ts";
import { briefly, clockTime, timeWithDistance, wireMs } from "./time.ts";

test.each([
  [-5, "0ms"],
  [0, "0ms"],
  [999, "999ms"],
  [1_000, "1.0s"],
  [9_999, "9.9s"],
  [10_000, "10s"],
  [59_999, "59s"],
  [60_000, "1m00s"],
  [3_599_999, "59m59s"],
  [3_600_000, "1h00m"],
  [86_399_999, "23h59m"],
  [90_000_000, "1d01h"],
])("%p ms are %p", (ms, text) => {
  expect(briefly(ms)).toBe(text);
});

test.each([
  [0, "2026-01-01 12:00:00Z (now)"],
  [999, "2026-01-01 12:00:00Z (now)"],
  [-60_000, "2026-01-01 11:59:00Z (1m00s ago)"],
  [3_600_000, "2026-01-01 13:00:00Z (in 1h00m)"],
])("a time %p ms from now is %p", (ms, text) => {
  expect(timeWithDistance(new Date(NOON + ms).toISOString(), NOON)).toBe(text);
});

test("times and durations of the API are read", () => {
  expect(clockTime("2026-01-31T12:00:00.123Z")).toBe("2026-01-31 12:00:00Z");
  expect([wireMs("4m2.5s"), wireMs("nonsense")]).toEqual([242_500, 0]);
});
