import type { Clock } from "../core/clock.ts";
import { formatDurationMs } from "../core/duration.ts";
import { createDueQueue, type Due } from "../lib/due-queue.ts";
import { onAbort } from "../lib/waiting.ts";
import { fail, type Handler, type HandlerContext, type RunContext } from "../processor/handler.ts";

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

/** The phases of the simulated work, each from a share of its duration on, with the text of its progress and its log line. */
const PHASES = [
  { from: 0, words: "reading the input", line: "Reading the input" },
  { from: 0.2, words: "working", line: "Working" },
  { from: 0.8, words: "writing the result", line: "Writing the result" },
] as const;

/** Shorter work writes no log: in a load test of short tasks, their log lines would be most of the load. */
const LOGGED_FROM_MS = 1_000;

/** One simulated work, as plain data: a hundred thousand may run at once. */
type Work = {
  readonly durationMs: number;
  readonly fails: boolean;
  readonly startedAt: number;
  readonly steps: number;
  /** The number of steps that have ended. */
  step: number;
  phase: (typeof PHASES)[number] | null;
  /** The end of the present step. */
  stepEnd: Due<Work> | null;
  isStopped: boolean;
  readonly progress: HandlerContext["progress"];
  /** Null for short work. */
  readonly log: HandlerContext["log"] | null;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
};

/**
 * Simulates work. It takes a duration drawn evenly between the two bounds, reports progress and fails at the
 * given rate. An abort ends it at once. All simulated work shares one timer.
 */
export function createSimulate(simulation: Simulation): Handler {
  const { minMs, maxMs, failureRate, random, clock } = simulation;
  const stepEnds = createDueQueue<Work>({ clock, onDue: endStep });

  function begin(context: RunContext, { resolve, reject }: Pick<Work, "resolve" | "reject">): void {
    const durationMs = Math.round(minMs + random() * (maxMs - minMs));
    const fails = random() < failureRate;
    const { progress, log } = context;
    const work: Work = {
      durationMs,
      fails,
      startedAt: clock.monotonic(),
      steps: Math.min(STEPS_AT_MOST, Math.ceil(durationMs / STEP_MS)),
      step: 0,
      phase: null,
      stepEnd: null,
      isStopped: false,
      progress,
      log: durationMs < LOGGED_FROM_MS ? null : log,
      resolve,
      reject,
    };
    work.log?.(`This is simulated work: it takes ${formatDurationMs(durationMs)}`);
    whenStopped(context, () => stop(work));
    if (!work.isStopped) beginStep(work);
  }

  function beginStep(work: Work): void {
    const { step, steps, durationMs, startedAt } = work;
    if (step < steps) {
      show(work);
      const dueAt = startedAt + (durationMs * (step + 1)) / steps; // counted from the start, so that delays of steps do not add up
      work.stepEnd = stepEnds.add(work, dueAt - clock.monotonic());
    } else end(work);
  }

  function endStep(work: Work): void {
    work.step++;
    beginStep(work);
  }

  function end(work: Work): void {
    const { durationMs, fails, log, resolve } = work;
    if (fails) {
      log?.(`The work fails because of SIMULATE_FAILURE_RATE=${failureRate}`, "warn");
      const message = `Simulated failure: ${failureRate} of all simulated tasks fail (SIMULATE_FAILURE_RATE)`;
      resolve(fail(message, { code: "simulated_failure" }));
    } else {
      log?.("Done");
      resolve({ simulated: formatDurationMs(durationMs) });
    }
  }

  function stop(work: Work): void {
    work.isStopped = true;
    if (work.stepEnd !== null) stepEnds.remove(work.stepEnd);
    work.reject(new Error("aborted"));
  }

  return (_task, context) => new Promise((resolve, reject) => begin(context, { resolve, reject }));
}

/** Reports the step that has ended, and the phase that begins. */
function show(work: Work): void {
  const { step, steps, progress, log } = work;
  const phase = PHASES.findLast(({ from }) => step >= from * steps) ?? PHASES[0];
  if (phase !== work.phase) log?.(phase.line);
  work.phase = phase;
  if (step > 0) progress(Math.round((100 * step) / steps), phase.words);
}

/** A listener of the processor, where there is one, takes less memory than a signal. It may be called after the end of the work. */
function whenStopped(context: RunContext, run: () => void): void {
  if (context.onStop !== undefined) context.onStop(run);
  else onAbort(context.signal, run);
}
