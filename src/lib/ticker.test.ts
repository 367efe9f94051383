import { expect, test } from "bun:test";
import { createManualClock } from "../../test/support/clock.ts";
import { createTicker } from "./ticker.ts";

test("a ticker calls at each interval until the function returns false, and can be started again", async () => {
  const clock = createManualClock();
  const calls: number[] = [];
  const ticker = createTicker({ clock, everyMs: 100, tick: () => calls.push(clock.monotonic()) % 3 !== 0 });
  ticker.start();
  ticker.start();
  await clock.advance(99);
  expect(calls).toEqual([]);
  await clock.advance(1_001);
  expect(calls).toEqual([100, 200, 300]);
  ticker.start();
  await clock.advance(100);
  expect(calls).toEqual([100, 200, 300, 1_200]);
});

test("the function learns how late its call is", async () => {
  const clock = createManualClock();
  const lateMs: number[] = [];
  const ticker = createTicker({ clock, everyMs: 100, tick: (late) => lateMs.push(late) < 3 });
  ticker.start();
  await clock.advance(100);
  await clock.stall(750);
  await clock.advance(100);
  expect(lateMs).toEqual([0, 650, 0]);
});

test("a function that starts its own ticker during a call is still called once in each interval", async () => {
  const clock = createManualClock();
  let calls = 0;
  const ticker = createTicker({
    clock,
    everyMs: 100,
    tick: () => {
      calls++;
      ticker.start();
      return true;
    },
  });
  ticker.start();
  await clock.advance(300);
  expect(calls).toBe(3);
});
