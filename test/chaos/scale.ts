/** The scale of these tests: small in every run of the tests, or full (`npm run chaos`). */
import { expect, test } from "bun:test";

export const isFull = process.env.CHAOS === "full";

export const scale = (usual: number, full: number): number => (isFull ? full : usual);

/** A short lease that a running worker keeps even on a busy machine. It is renewed after each third of its length. */
export const SHORT_LEASE_MS = scale(4_000, 1_000);

/** Only a test that hangs takes this long. Its waits have their own limits. */
const WITHIN_MS = 900_000;

/**
 * Tests a claim on each of these stores. The stores are tested at the same time, because a test mostly waits; in `npm run chaos`,
 * which measures, they are tested one after another.
 */
export function testStores<Name extends string>(
  names: readonly Name[],
  claim: string,
  body: (name: Name) => Promise<void>,
): void {
  const enter = isFull ? test : test.concurrent;
  for (const name of names) enter(`${name}: ${claim}`, () => body(name), WITHIN_MS);
}

/**
 * A time limit is checked only when these tests run alone (`npm run chaos`). Beside other work the machine may stop
 * for seconds; then each test checks only the order of events, and reports the time.
 */
export function expectWithin(ms: number, limitMs: number): void {
  if (isFull) expect(ms).toBeLessThan(limitMs);
}

/** Prints numbers that are not checked. */
export function report(what: string, numbers: Readonly<Record<string, number | string>>): void {
  const words = Object.entries(numbers).map(([name, value]) => `${name} ${value}`);
  console.info(`  chaos: ${what}: ${words.join(", ")}`);
}

/** The quantile of the values for this share, rounded. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return Math.round(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN);
}

export const median = (values: readonly number[]): number => quantile(values, 0.5);
export const most = (values: readonly number[]): number => quantile(values, 1);
