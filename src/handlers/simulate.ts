import type { Clock } from "../core/clock.ts";
import { formatDurationMs } from "../core/duration.ts";
import { fail, type Handler } from "../processor/handler.ts";

export type Simulation = {
  readonly minMs: number;
  readonly maxMs: number;
  /** From 0 to 1. */
  readonly failureRate: number;
  readonly clock: Clock;
  /** Draws from [0, 1). */
  readonly random: () => number;
};

/** Progress is shown in up to twenty steps, none shorter than this. */
const STEP_MS = 250;
const STEPS_AT_MOST = 20;

/**
 * Stands in for real work: takes a time drawn evenly between the two bounds, shows its progress as it goes and fails as
 * often as it is told to. An abort ends it at once.
 */
export const createSimulate =
  (simulation: Simulation): Handler =>
  async (_task, { signal, progress }) => {
    const { minMs, maxMs, failureRate, random } = simulation;
    const durationMs = Math.round(minMs + random() * (maxMs - minMs));
    const fails = random() < failureRate;
    const steps = Math.min(STEPS_AT_MOST, Math.ceil(durationMs / STEP_MS));
    for (let step = 1; step <= steps; step++) {
      await sleep(durationMs / steps, signal, simulation.clock);
      if (step < steps) progress(Math.round((100 * step) / steps), "simulating");
    }
    if (!fails) return { simulated: formatDurationMs(durationMs) };
    return fail(`Simulated failure: ${failureRate} of all simulated tasks fail (SIMULATE_FAILURE_RATE)`, {
      code: "simulated_failure",
    });
  };

/** Rejects as soon as the signal aborts. */
function sleep(ms: number, signal: AbortSignal, clock: Clock): Promise<void> {
  return new Promise((resolve, reject) => {
    const cancelTimer = clock.after(ms, () => {
      signal.removeEventListener("abort", onAbort);
      resolve();
    });
    const onAbort = (): void => {
      cancelTimer();
      reject(new Error("aborted"));
    };
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
  });
}
