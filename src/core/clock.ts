/**
 * The only source of time. app.ts passes the system's clock, tests pass one that they set.
 * - `now`: wall time, epoch milliseconds; may jump.
 * - `monotonic`: milliseconds since some start; never goes back.
 * - `after`: calls `run` once, no sooner than `delayMs` from now; the answer cancels it.
 */
export interface Clock {
  now(): number;
  monotonic(): number;
  after(delayMs: number, run: () => void): () => void;
}
