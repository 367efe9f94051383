import { expect, test } from "bun:test";
import { createManualClock, settled } from "../../test/support/clock.ts";
import { createLoop } from "./loop.ts";

const EVERY_MS = 100;
const AFTER_ERROR_MS = 1_000;

/** A loop with a manual clock; `begun` has the start of each round, in milliseconds since the loop's start. */
function createRounds(round: (nth: number) => Promise<number> = async () => EVERY_MS, firstAfterMs?: number) {
  const clock = createManualClock();
  const begun: number[] = [];
  const errors: unknown[] = [];
  const loop = createLoop({
    after: clock.after,
    ...(firstAfterMs !== undefined && { firstAfterMs }),
    round: () => {
      begun.push(clock.monotonic());
      return round(begun.length);
    },
    onError: (error) => {
      errors.push(error);
      return AFTER_ERROR_MS;
    },
  });
  return { clock, loop, begun, errors };
}

test("a loop does nothing before it is started", async () => {
  const { clock, begun } = createRounds();
  await clock.advance(10 * EVERY_MS);
  expect(begun).toEqual([]);
});

test("the first round begins at once, the next after the delay that it returned", async () => {
  const { clock, loop, begun } = createRounds();
  loop.start();
  expect(begun).toEqual([0]);
  await clock.advance(EVERY_MS - 1);
  expect(begun).toEqual([0]);
  await clock.advance(1);
  expect(begun).toEqual([0, 100]);
});

test("a first delay: the first round waits for it, and stop cancels it", async () => {
  for (const stopped of [false, true]) {
    const { clock, loop, begun } = createRounds(undefined, 30);
    loop.start();
    await clock.advance(29);
    expect(begun).toEqual([]);
    if (stopped) await loop.stop();
    await clock.advance(101);
    expect(begun).toEqual(stopped ? [] : [30, 130]);
  }
});

test("each round returns the delay before the next one", async () => {
  const { clock, loop, begun } = createRounds(async (nth) => nth * 10);
  loop.start();
  await clock.advance(100);
  expect(begun).toEqual([0, 10, 30, 60, 100]);
});

test("after a round with the delay 0 the event loop turns before the next round", async () => {
  const { clock, loop, begun } = createRounds(async (nth) => (nth < 3 ? 0 : EVERY_MS));
  loop.start();
  await settled();
  expect(begun).toEqual([0]);
  await clock.advance(0);
  expect(begun).toEqual([0, 0, 0]);
});

test("the delay before a round counts from the end of the round before", async () => {
  const { promise, resolve } = Promise.withResolvers<number>();
  const { clock, loop, begun } = createRounds((nth) => (nth === 1 ? promise : Promise.resolve(EVERY_MS)));
  loop.start();
  await clock.advance(5 * EVERY_MS);
  expect(begun).toEqual([0]);
  resolve(EVERY_MS);
  await clock.advance(EVERY_MS - 1);
  expect(begun).toEqual([0]);
  await clock.advance(1);
  expect(begun).toEqual([0, 600]);
});

test("a round that fails is reported and tried again after the delay that the report returns", async () => {
  const fault = new Error("a failure");
  const { clock, loop, begun, errors } = createRounds(async (nth) => {
    if (nth === 1) throw fault;
    return EVERY_MS;
  });
  loop.start();
  await clock.advance(AFTER_ERROR_MS - 1);
  expect(begun).toEqual([0]);
  expect(errors).toEqual([fault]);
  await clock.advance(1 + EVERY_MS);
  expect(begun).toEqual([0, 1_000, 1_100]);
  expect(errors).toEqual([fault]);
});

test("a loop continues after any number of failures", async () => {
  const { clock, loop, begun, errors } = createRounds(() => Promise.reject(new Error("always")));
  loop.start();
  await clock.advance(5 * AFTER_ERROR_MS);
  expect([begun.length, errors.length]).toEqual([6, 6]);
});

test("a round that throws before it returns a promise is a failure like any other", async () => {
  const fault = new Error("at once");
  const { clock, loop, begun, errors } = createRounds((nth) => {
    if (nth === 1) throw fault;
    return Promise.resolve(EVERY_MS);
  });
  loop.start();
  await clock.advance(AFTER_ERROR_MS);
  expect(errors).toEqual([fault]);
  expect(begun).toEqual([0, 1_000]);
  await loop.stop();
});

test("a stopped loop begins no more rounds", async () => {
  const { clock, loop, begun } = createRounds();
  loop.start();
  await clock.advance(EVERY_MS);
  await loop.stop();
  await clock.advance(10 * EVERY_MS);
  expect(begun).toEqual([0, 100]);
});

test("stop waits for the round under way, and no other follows", async () => {
  const { promise, resolve } = Promise.withResolvers<number>();
  const { clock, loop, begun } = createRounds(() => promise);
  loop.start();
  let stopped = false;
  const stopping = loop.stop().then(() => {
    stopped = true;
  });
  await clock.advance(EVERY_MS);
  expect(stopped).toBe(false);
  resolve(EVERY_MS);
  await stopping;
  await clock.advance(10 * EVERY_MS);
  expect(begun).toEqual([0]);
});

test("stop also resolves when the round under way fails", async () => {
  const { promise, reject } = Promise.withResolvers<number>();
  const { clock, loop, begun, errors } = createRounds(() => promise);
  loop.start();
  const stopping = loop.stop();
  reject(new Error("late"));
  expect(await stopping).toBeUndefined();
  await clock.advance(2 * AFTER_ERROR_MS);
  expect(begun).toEqual([0]);
  expect(errors.length).toBe(1);
});

test("a round may stop its own loop", async () => {
  const { clock, loop, begun } = createRounds(async (nth) => {
    if (nth === 2) void loop.stop();
    return EVERY_MS;
  });
  loop.start();
  await clock.advance(10 * EVERY_MS);
  expect(begun).toEqual([0, 100]);
});

test("a second stop has no effect", async () => {
  const { loop } = createRounds();
  loop.start();
  expect(await Promise.all([loop.stop(), loop.stop()])).toEqual([undefined, undefined]);
  expect(await loop.stop()).toBeUndefined();
});

test("a second start has no effect", async () => {
  const { clock, loop, begun } = createRounds();
  loop.start();
  loop.start();
  await clock.advance(EVERY_MS);
  expect(begun).toEqual([0, 100]);
});

test("a loop that was stopped does not start", async () => {
  const { clock, loop, begun } = createRounds();
  await loop.stop();
  loop.start();
  await clock.advance(10 * EVERY_MS);
  expect(begun).toEqual([]);
});
