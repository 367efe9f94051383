import { expect, test } from "bun:test";
import type { Stats } from "../../../src/client/client.ts";
import { hasWork, lastHour } from "./minutes.ts";

const NOON = Date.UTC(2026, 0, 1, 12);
const MINUTE_MS = 60_000;

const statsWith = (minutes: readonly Partial<Stats["minutes"][number]>[]): Stats =>
  ({
    minutes: minutes.map((minute) => ({
      ...{ created: 0, done: 0, failed: 0, cancelled: 0, retried: 0, lost: 0 },
      ...{ wait: { total: "0s", longest: "0s" }, run: { total: "0s", longest: "0s" } },
      ...minute,
    })),
  }) as unknown as Stats; // lastHour reads only the minutes

test("the last hour has sixty minutes, including minutes without work", () => {
  const at = new Date(NOON - 2 * MINUTE_MS).toISOString();
  const run = { total: "3m", longest: "1m30s" };
  const minutes = lastHour(statsWith([{ at, done: 3, failed: 1, run }]), NOON + 59_999);
  expect(minutes).toHaveLength(60);
  expect(minutes.at(-1)?.at).toBe(NOON);
  expect(minutes.at(-3)).toMatchObject({
    done: 3,
    failed: 1,
    failedPercent: 25,
    runSeconds: 90,
    waitSeconds: null,
  });
  expect(minutes.at(-2)).toMatchObject({ done: 0, failedPercent: null, runSeconds: null });
  expect(hasWork(minutes)).toBe(true);
});

test("an hour without work has no data to draw, and older minutes do not count", () => {
  const at = new Date(NOON - 60 * MINUTE_MS).toISOString();
  expect(hasWork(lastHour(statsWith([{ at, done: 3 }]), NOON))).toBe(false);
  expect(hasWork(lastHour(statsWith([]), NOON))).toBe(false);
});
