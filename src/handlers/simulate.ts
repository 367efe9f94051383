import type { Clock } from "../core/clock.ts";
import { formatDurationMs } from "../core/duration.ts";
import { onAbort } from "../lib/waiting.ts";
import { fail, type Handler, type HandlerContext } from "../processor/handler.ts";

export type Simulation = {
  readonly minMs: number;
  readonly maxMs: number;
  /** From 0 to 1. */
  readonly failureRate: number;
  readonly clock: Clock;
  /** A random number from [0, 1). */
  readonly random: () => number;
};

/** Progress is reported in up to twenty steps, each at least this long. */
const STEP_MS = 250;
const STEPS_AT_MOST = 20;

/** The phases of the simulated work, each from a share of its duration on. */
const PHASES = [
  { from: 0, words: "reading the input" },
  { from: 0.2, words: "working" },
  { from: 0.8, words: "writing the result" },
] as const;

/** Shorter work writes no log: in a load test of short tasks, their log lines would be most of the load. */
const LOGGED_FROM_MS = 1_000;

/**
 * Simulates work. It takes a duration drawn evenly between the two bounds, reports progress and fails at the
 * given rate. An abort ends it at once.
 */
export const createSimulate =
  (simulation: Simulation): Handler =>
  async (_task, { signal, progress, log: write }) => {
    const { minMs, maxMs, failureRate, random } = simulation;
    const durationMs = Math.round(minMs + random() * (maxMs - minMs));
    const fails = random() < failureRate;
    const log: HandlerContext["log"] = durationMs < LOGGED_FROM_MS ? () => undefined : write;
    log(`This is simulated work: it takes ${formatDurationMs(durationMs)}`);
    await simulateWork(durationMs, { signal, progress, log }, simulation.clock);
    if (!fails) {
      log("Done");
      return { simulated: formatDurationMs(durationMs) };
    }
    log(`The work fails because of SIMULATE_FAILURE_RATE=${failureRate}`, "warn");
    return fail(`Simulated failure: ${failureRate} of all simulated tasks fail (SIMULATE_FAILURE_RATE)`, {
      code: "simulated_failure",
    });
  };

/**
 * Waits for the duration and reports progress; rejects as soon as the signal aborts. One timer and one
 * listener serve all steps.
 */
function simulateWork(
  durationMs: number,
  { signal, progress, log }: HandlerContext,
  clock: Clock,
): Promise<void> {
  const steps = Math.min(STEPS_AT_MOST, Math.ceil(durationMs / STEP_MS));
  const startedAt = clock.monotonic();
  return new Promise((resolve, reject) => {
    let step = 0;
    let phase = "";
    let cancelTimer = (): void => undefined;
    const show = (): void => {
      const before = phase;
      phase = PHASES.findLast(({ from }) => step >= from * steps)?.words ?? "";
      if (phase !== before) log(phase.charAt(0).toUpperCase() + phase.slice(1));
      if (step > 0) progress(Math.round((100 * step) / steps), phase);
    };
    const next = (): void => {
      if (step < steps) show();
      if (step >= steps) {
        unlisten();
        resolve();
        return;
      }
      step++;
      const dueAt = startedAt + (durationMs * step) / steps; // counted from the start, so that delays of steps do not add up
      cancelTimer = clock.after(dueAt - clock.monotonic(), next);
    };
    const unlisten = onAbort(signal, () => {
      cancelTimer();
      reject(new Error("aborted"));
    });
    if (!signal.aborted) next();
  });
}
