/**
 * Preloaded into the server under test (bun --preload): measures the lag of its event loop. A timer of 5 ms is set
 * again and again; its delay is the lag. LAG_PORT answers with the lags since the last request.
 */
import { percentile } from "./report.ts";

export type Lag = {
  readonly samples: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
};

const EVERY_MS = 5;
let lags: number[] = [];

const sample = (): void => {
  const dueAt = performance.now() + EVERY_MS;
  setTimeout(() => {
    lags.push(Math.max(0, performance.now() - dueAt));
    sample();
  }, EVERY_MS).unref();
};

const report = (): Lag => {
  const taken = lags;
  lags = [];
  return {
    samples: taken.length,
    p50Ms: percentile(taken, 0.5),
    p99Ms: percentile(taken, 0.99),
    maxMs: percentile(taken, 1),
  };
};

sample();
Bun.serve({
  hostname: "127.0.0.1",
  port: Number(process.env.LAG_PORT),
  fetch: () => Response.json(report()),
}).unref();
