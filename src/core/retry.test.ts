import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { decideRetry } from "./retry.ts";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;

const FACTS = {
  failures: 1,
  maxAttempts: 3,
  retryable: true,
  retryAfterMs: null,
  backoff: { baseMs: SECOND, maxMs: 60 * MINUTE },
  random: 0.5,
};

describe("whether a failed task runs again", () => {
  test.each([
    { failures: 1, maxAttempts: 1, retryable: true, retry: false },
    { failures: 1, maxAttempts: 2, retryable: true, retry: true },
    { failures: 2, maxAttempts: 2, retryable: true, retry: false },
    { failures: 3, maxAttempts: 2, retryable: true, retry: false },
    { failures: 2, maxAttempts: 3, retryable: true, retry: true },
    { failures: 1, maxAttempts: 3, retryable: false, retry: false },
  ])("$failures of $maxAttempts failures, retryable $retryable: $retry", ({ retry, ...facts }) => {
    expect(decideRetry({ ...FACTS, ...facts }).retry).toBe(retry);
  });

  test("a delay that the worker gives does not allow a retry after the last attempt", () => {
    expect(decideRetry({ ...FACTS, failures: 3, retryAfterMs: 5 })).toEqual({ retry: false });
    expect(decideRetry({ ...FACTS, retryable: false, retryAfterMs: 5 })).toEqual({ retry: false });
  });
});

describe("the delay before the retry is", () => {
  /** The longest delay: the jitter is close to 1. */
  const longest = (failures: number, backoff = FACTS.backoff): number => {
    const decision = decideRetry({ ...FACTS, failures, maxAttempts: 10_000, backoff, random: 1 - 2 ** -53 });
    return decision.retry ? decision.delayMs : Number.NaN;
  };

  test.each([
    { failures: 1, under: SECOND },
    { failures: 2, under: 2 * SECOND },
    { failures: 3, under: 4 * SECOND },
    { failures: 4, under: 8 * SECOND },
    { failures: 12, under: 2_048 * SECOND },
    { failures: 13, under: 60 * MINUTE },
    { failures: 14, under: 60 * MINUTE },
    { failures: 60, under: 60 * MINUTE },
    { failures: 5_000, under: 60 * MINUTE },
  ])("less than $under ms after failure $failures", ({ failures, under }) => {
    expect(longest(failures)).toBe(under - 1);
  });

  test("at most the cap, which may be lower than the base", () => {
    expect(longest(1, { baseMs: 10 * SECOND, maxMs: SECOND })).toBe(SECOND - 1);
  });

  test.each([
    [0, 0],
    [0.25, 1_000],
    [0.5, 2_000],
    [0.999, 3_996],
  ])("the share %d of the whole interval if that is the random number", (random, delayMs) => {
    expect(decideRetry({ ...FACTS, failures: 3, maxAttempts: 9, random })).toEqual({ retry: true, delayMs });
  });

  test.each([0, 1, 7 * MINUTE, 48 * 60 * MINUTE])("%d ms, if the worker says so", (retryAfterMs) => {
    expect(decideRetry({ ...FACTS, retryAfterMs })).toEqual({ retry: true, delayMs: retryAfterMs });
  });

  test("a whole number of milliseconds up to the cap, for any backoff and any number of failures", () => {
    const facts = fc.record({
      failures: fc.integer({ min: 1, max: 2_000 }),
      baseMs: fc.integer({ min: 0, max: 3_600_000 }),
      maxMs: fc.integer({ min: 0, max: 86_400_000 }),
      random: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    });
    fc.assert(
      fc.property(facts, ({ failures, baseMs, maxMs, random }) => {
        const decision = decideRetry({
          ...FACTS,
          failures,
          maxAttempts: 2_001,
          backoff: { baseMs, maxMs },
          random,
        });
        const delayMs = decision.retry ? decision.delayMs : Number.NaN;
        expect(Number.isSafeInteger(delayMs)).toBe(true);
        expect(delayMs).toBeGreaterThanOrEqual(0);
        expect(delayMs).toBeLessThanOrEqual(maxMs);
      }),
      { numRuns: 2_000, examples: [[{ failures: 2_000, baseMs: 0, maxMs: 1, random: 0.5 }]] },
    );
  });
});
