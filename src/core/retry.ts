import type { Backoff } from "./task.ts";

export type RetryDecision = { readonly retry: true; readonly delayMs: number } | { readonly retry: false };

/** With more doublings the number would not be exact. */
const DOUBLINGS_AT_MOST = 52;

/**
 * Whether a task that has now failed `failures` times runs again, and after how long. `random` is drawn from [0, 1)
 * by the caller: full jitter spreads the retries of a thousand tasks that failed together over the whole interval.
 */
export function decideRetry(facts: {
  readonly failures: number;
  readonly maxAttempts: number;
  readonly retryable: boolean;
  readonly retryAfterMs: number | null;
  readonly backoff: Backoff;
  readonly random: number;
}): RetryDecision {
  if (!facts.retryable || facts.failures >= facts.maxAttempts) return { retry: false };
  if (facts.retryAfterMs !== null) return { retry: true, delayMs: facts.retryAfterMs };
  const { baseMs, maxMs } = facts.backoff;
  const ceilingMs = Math.min(maxMs, baseMs * 2 ** Math.min(facts.failures - 1, DOUBLINGS_AT_MOST));
  return { retry: true, delayMs: Math.floor(facts.random * ceilingMs) };
}
