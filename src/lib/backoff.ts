export type BackoffLimits = {
  /** After the first failure. Each further failure doubles the delay. */
  readonly firstMs: number;
  readonly longestMs: number;
};

/** The delay after a failure; `earlierFailures` is the number of failures in a row before it. */
export const backoffMs = ({ firstMs, longestMs }: BackoffLimits, earlierFailures: number): number =>
  Math.min(longestMs, firstMs * 2 ** earlierFailures);

/** Counts failures in a row, and returns how long to wait after each. */
export interface Backoff {
  /** Counts a failure; returns how many milliseconds to wait before the next attempt. */
  failed(): number;
  /** Resets the count. */
  reset(): void;
  /** Failures since the last success. */
  readonly failures: number;
}

export function createBackoff(limits: BackoffLimits): Backoff {
  let failures = 0;
  return {
    failed: () => backoffMs(limits, failures++),
    reset: () => {
      failures = 0;
    },
    get failures() {
      return failures;
    },
  };
}
