import { expect, test } from "bun:test";
import { createBackoff } from "./backoff.ts";

test("the delay doubles with each failure up to the longest, and begins again after a success", () => {
  const backoff = createBackoff({ firstMs: 500, longestMs: 5_000 });
  expect(Array.from({ length: 6 }, backoff.failed)).toEqual([500, 1_000, 2_000, 4_000, 5_000, 5_000]);
  expect(backoff.failures).toBe(6);
  backoff.reset();
  expect([backoff.failures, backoff.failed()]).toEqual([0, 500]);
});

test("the delay stays the longest after any number of failures", () => {
  const backoff = createBackoff({ firstMs: 1, longestMs: 1_000 });
  for (let n = 0; n < 5_000; n++) backoff.failed();
  expect(backoff.failed()).toBe(1_000);
});
