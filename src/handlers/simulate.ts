import type { Clock } from "../core/clock.ts";
import { formatDurationMs } from "../core/duration.ts";
import { fail, type Handler, type HandlerContext } from "../processor/handler.ts";

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
    await simulateWork(durationMs, { signal, progress }, simulation.clock);
    if (!fails) return { simulated: formatDurationMs(durationMs) };
    return fail(`Simulated failure: ${failureRate} of all simulated tasks fail (SIMULATE_FAILURE_RATE)`, {
      code: "simulated_failure",
    });
  };

/** Takes its time and shows how far it is; rejects as soon as the signal aborts. One timer and one listener for all steps. */
function simulateWork(
  durationMs: number,
  { signal, progress }: Pick<HandlerContext, "signal" | "progress">,
  clock: Clock,
): Promise<void> {
  const steps = Math.min(STEPS_AT_MOST, Math.ceil(durationMs / STEP_MS));
  const startedAt = clock.monotonic();
  return new Promise((resolve, reject) => {
    let step = 0;
    let cancelTimer = (): void => undefined;
    const onAbort = (): void => {
      cancelTimer();
      reject(new Error("aborted"));
    };
    const next = (): void => {
      if (step > 0 && step < steps) progress(Math.round((100 * step) / steps), "simulating");
      if (step >= steps) {
        signal.removeEventListener("abort", onAbort);
        resolve();
        return;
      }
      step++;
      const dueAt = startedAt + (durationMs * step) / steps; // counted from the start, so that no step adds its lateness
      cancelTimer = clock.after(dueAt - clock.monotonic(), next);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
    else next();
  });
}
