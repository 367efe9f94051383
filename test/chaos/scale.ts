/** The scale of these tests: small in every run of the tests, or full (`npm run chaos`). */
import { expect, test } from "bun:test";

export const isFull = process.env.CHAOS === "full";

export const scale = (usual: number, full: number): number => (isFull ? full : usual);

/** A short lease that a living worker keeps also on a busy machine: it renews it every third of that time. */
export const SHORT_LEASE_MS = scale(4_000, 1_000);

/** Only a test that hangs takes so long; its waits have limits of their own. */
const WITHIN_MS = 900_000;

/**
 * A claim that holds on each of these stores; its name begins with the store's. The stores are tested at the same time, because a test
 * mostly waits, and one after the other in `npm run chaos`, which measures.
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
 * A time limit is checked only when these tests run alone (`npm run chaos`). Beside other work the machine itself may stop for seconds:
 * there every test checks the order of events, and the time is only reported.
 */
export function expectWithin(ms: number, limitMs: number): void {
  if (isFull) expect(ms).toBeLessThan(limitMs);
}

/** Prints numbers that are not checked. */
export function report(what: string, numbers: Readonly<Record<string, number | string>>): void {
  const words = Object.entries(numbers).map(([name, value]) => `${name} ${value}`);
  console.info(`  chaos: ${what}: ${words.join(", ")}`);
}

/** The value below which this share of all lies, rounded. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return Math.round(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN);
}

export const median = (values: readonly number[]): number => quantile(values, 0.5);
export const most = (values: readonly number[]): number => quantile(values, 1);
