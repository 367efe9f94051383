/** The history of a task by attempts. */
import type { Attempt, AttemptOutcome, Failure, TaskState } from "../../../src/client/client.ts";

export type Span = { readonly from: number; readonly to: number };

/** An attempt and the wait before it. Times in epoch milliseconds. */
export type Step = {
  readonly attempt: number;
  readonly waited: Span;
  /** Null until the attempt starts. */
  readonly ran: Span | null;
  /** "waiting" and "running" last until now; "withdrawn": cancelled before the start. */
  readonly outcome: AttemptOutcome | "waiting" | "running" | "withdrawn";
  readonly worker: string | null;
  readonly error: Failure | null;
  /** The attempt follows a manual retry. */
  readonly isManualRetry: boolean;
};

export type Timeline = {
  readonly steps: readonly Step[];
  /** Attempts before the first step are no longer stored. */
  readonly isCut: boolean;
  readonly whole: Span;
};

/** The server stores this number of attempts. */
const ATTEMPTS_KEPT = 20;

export function timelineOf(task: TaskState, now: number): Timeline {
  const isCut = task.attempts.length >= ATTEMPTS_KEPT;
  const [first] = task.attempts;
  const from = isCut && first !== undefined ? Date.parse(first.started_at) : Date.parse(task.created_at);
  const steps: Step[] = [];
  for (const attempt of task.attempts) steps.push(endedStep(attempt, steps.at(-1), from));
  const present = presentStep(task, steps.at(-1), { from, now });
  if (present !== null) steps.push(present);
  const to = Math.max(...steps.map(({ waited, ran }) => ran?.to ?? waited.to), from + 1);
  return { steps, isCut, whole: { from, to } };
}

function endedStep(attempt: Attempt, before: Step | undefined, from: number): Step {
  const startedAt = Date.parse(attempt.started_at);
  return {
    attempt: attempt.attempt,
    waited: { from: endOf(before) ?? from, to: startedAt },
    ran: { from: startedAt, to: Math.max(startedAt, Date.parse(attempt.finished_at)) },
    outcome: attempt.outcome,
    worker: attempt.worker,
    error: attempt.error,
    isManualRetry: isManualRetry(attempt.attempt, before),
  };
}

/** The current step, or the wait that a cancellation ended; null if the last attempt ended the task. */
function presentStep(
  task: TaskState,
  before: Step | undefined,
  { from, now }: { readonly from: number; readonly now: number },
): Step | null {
  if (task.finished_at !== null && (task.status !== "cancelled" || before?.outcome === "cancelled"))
    return null;
  const isRunning = task.status === "running";
  const attempt = isRunning ? task.attempt : task.attempt + 1;
  const since = endOf(before) ?? from;
  const startedAt = Date.parse(task.started_at ?? task.updated_at);
  const waitedTo = isRunning ? startedAt : task.finished_at === null ? now : Date.parse(task.finished_at);
  return {
    attempt,
    waited: { from: Math.min(since, waitedTo), to: waitedTo },
    ran: isRunning ? { from: startedAt, to: Math.max(now, startedAt) } : null,
    outcome: isRunning ? "running" : task.status === "cancelled" ? "withdrawn" : "waiting",
    worker: null,
    error: null,
    isManualRetry: isManualRetry(attempt, before),
  };
}

/** Only a manual retry restarts the attempt numbers at one. A released task keeps its attempt number. */
const isManualRetry = (attempt: number, before: Step | undefined): boolean =>
  before !== undefined && before.outcome !== "released" && attempt <= before.attempt;

const endOf = (step: Step | undefined): number | undefined => step?.ran?.to;

/** The position of a span within the whole timeline, in percent. */
export function placeOf(span: Span, whole: Span): { readonly left: number; readonly width: number } {
  const length = whole.to - whole.from;
  return { left: (100 * (span.from - whole.from)) / length, width: (100 * (span.to - span.from)) / length };
}
