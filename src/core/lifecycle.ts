/**
 * The rules of a task's life. All are pure: each turns a task into the next one, or refuses with a TaskError. A step that changes
 * nothing returns the same object. Stores write the result by compare-and-set on `version` and on the lease's `until`, which
 * changes without a version.
 *
 * Most steps accept a light task. Their result has a payload or a result only if the step sets it, and a store does not change a
 * field that the step does not carry.
 */
import { isClaimable } from "./due.ts";
import { TaskError } from "./error.ts";
import { CANCEL_GRACE_MS, isCancelRequested, isOver, renewedUntil } from "./lease.ts";
import { FAILURES, isRepeated, largeResultFailure, type Outcome } from "./outcome.ts";
import { decideRetry } from "./retry.ts";
import {
  type Attempt,
  type AttemptOutcome,
  type Backoff,
  type Draft,
  type EditableField,
  type EndedStatus,
  type EndedTask,
  type Failure,
  FIELDS,
  isEnded,
  isLive,
  isRunning,
  type JsonText,
  type Labels,
  LIMITS,
  type Light,
  type LightTask,
  NO_ID,
  type PendingTask,
  type Progress,
  type RunningTask,
  type Task,
} from "./task.ts";

/** The values of a type for fields that a client leaves out. */
export type TypeDefaults = {
  readonly delayMs: number;
  readonly timeoutMs: number | null;
  readonly maxAttempts: number;
  readonly backoff: Backoff;
};

export const DEFAULT_TYPE = "simulate";

export const TYPE_DEFAULTS: TypeDefaults = {
  delayMs: 0,
  timeoutMs: null,
  maxAttempts: 3,
  backoff: { baseMs: 1_000, maxMs: 3_600_000 },
};

/** The fields of a new task that a client sets. */
export type TaskSpec = {
  readonly name: string;
  readonly description?: string;
  readonly type?: string;
  readonly payload?: JsonText | null;
  readonly priority?: number;
  readonly tags?: readonly string[];
  readonly labels?: Labels;
  readonly key?: string | null;
  /** When it is due; without it `delayMs` from now. */
  readonly runAt?: number;
  readonly delayMs?: number;
  readonly timeoutMs?: number | null;
  readonly maxAttempts?: number;
  readonly backoff?: Backoff;
};

type LightRunning = Light<RunningTask>;
type LightEnded = Light<EndedTask>;

const NO_TAGS: readonly string[] = [];
const NO_LABELS: Labels = {};
const NO_ATTEMPTS: readonly Attempt[] = [];

/** A new task, pending, without an id. */
export function create(spec: TaskSpec, defaults: TypeDefaults, now: number): Draft {
  return {
    id: NO_ID,
    version: 1,
    name: spec.name,
    description: spec.description ?? "",
    type: spec.type ?? DEFAULT_TYPE,
    payload: spec.payload ?? null,
    priority: spec.priority ?? 0,
    tags: spec.tags ?? NO_TAGS,
    labels: spec.labels ?? NO_LABELS,
    key: spec.key ?? null,
    runAt: spec.runAt ?? now + (spec.delayMs ?? defaults.delayMs),
    timeoutMs: spec.timeoutMs === undefined ? defaults.timeoutMs : spec.timeoutMs,
    maxAttempts: spec.maxAttempts ?? defaults.maxAttempts,
    backoff: spec.backoff ?? defaults.backoff,
    createdAt: now,
    updatedAt: now,
    claims: 0,
    token: null,
    attempt: 0,
    failures: 0,
    losses: 0,
    workedMs: 0,
    attempts: NO_ATTEMPTS,
    startedAt: null,
    progress: null,
    result: null,
    error: null,
    status: "pending",
    lease: null,
    finishedAt: null,
  };
}

/** The fencing token of the task's next claim. It differs from every earlier token. */
export const nextToken = (claims: number, nonce: string): string => `${claims + 1}.${nonce}`;

/** Gives a due task to a worker. */
export function claim(
  task: Task,
  by: { readonly worker: string; readonly leaseMs: number; readonly nonce: string },
  now: number,
): RunningTask {
  if (!isClaimable(task, now)) {
    throw new TaskError("wrong_status", `Task ${task.id} is ${task.status} and cannot be claimed now`);
  }
  return {
    ...task,
    status: "running",
    version: task.version + 1,
    claims: task.claims + 1,
    token: nextToken(task.claims, by.nonce),
    lease: { worker: by.worker, until: now + by.leaseMs, leaseMs: by.leaseMs, revokeAt: null },
    attempt: task.attempt + 1,
    startedAt: now,
    progress: null,
    updatedAt: now,
  };
}

const leaseLost = (task: LightTask): TaskError =>
  new TaskError("lease_lost", `The lease on task ${task.id} has ended; its outcome no longer counts`);

/**
 * A lease is held until `expire` ends it, also after its `until`: an outcome that comes later is still the only one of its attempt.
 * After an outage or a change of the clock it may be the first one that could arrive.
 */
const holdsLease = <T extends LightTask>(task: T, token: string): task is Extract<T, { status: "running" }> =>
  isRunning(task) && task.token === token;

/**
 * A heartbeat: renews the lease and may bring progress. Does not change `version`, and increases `until`, except if the
 * lease is overlong because the clock was set back.
 */
export function extend(
  task: Task,
  beat: { readonly token: string; readonly progress: Progress | null },
  now: number,
): RunningTask {
  if (!holdsLease(task, beat.token)) throw leaseLost(task);
  const lease = { ...task.lease, until: renewedUntil(task.lease, now) };
  return { ...task, lease, progress: beat.progress ?? task.progress };
}

type Report = { readonly token: string; readonly outcome: Outcome };

/**
 * Ends an attempt with its worker's outcome. The same outcome a second time with the same token changes nothing and is no error,
 * because the first answer may have been lost. Anything else without the lease is `lease_lost`.
 * @param random drawn from [0, 1), for the jitter of a retry
 */
export function settle(task: Task, report: Report, now: number, random: number): Task;
export function settle(task: LightTask, report: Report, now: number, random: number): LightTask;
export function settle(task: LightTask, report: Report, now: number, random: number): LightTask {
  if (!holdsLease(task, report.token)) {
    if (isRepeated(task, report.token, report.outcome)) return task;
    throw leaseLost(task);
  }
  const { outcome } = report;
  switch (outcome.kind) {
    case "done":
      return settleDone(task, outcome.result, now);
    case "failed":
      return settleFailed(task, outcome, now, random);
    case "released":
      if (isCancelRequested(task)) return end(task, "cancelled", { outcome: "cancelled", error: null }, now);
      return giveBack(task, outcome.delayMs, now);
    case "lost":
      return lose(task, { reason: outcome.message, workedUntil: now }, now);
    default:
      return outcome satisfies never;
  }
}

function settleDone(task: LightRunning, result: JsonText | null, now: number): LightTask {
  const error = result === null ? null : largeResultFailure(result);
  if (error !== null) {
    return settleFailed(task, { kind: "failed", error, retryable: false, retryAfterMs: null }, now, 0);
  }
  const progress = task.progress === null ? null : { ...task.progress, percent: 100 };
  const done: LightTask & Pick<Task, "result"> = {
    ...end(task, "done", { outcome: "done", error: null }, now),
    ...{ result, progress, error: null },
  };
  return done;
}

function settleFailed(
  task: LightRunning,
  outcome: Extract<Outcome, { kind: "failed" }>,
  now: number,
  random: number,
): LightTask {
  const { error } = outcome;
  if (isCancelRequested(task)) return end(task, "cancelled", { outcome: "cancelled", error }, now);
  const failures = task.failures + 1;
  const decision = decideRetry({
    failures,
    maxAttempts: task.maxAttempts,
    retryable: outcome.retryable,
    retryAfterMs: outcome.retryAfterMs,
    backoff: task.backoff,
    random,
  });
  const ended = decision.retry
    ? wait(task, { outcome: "failed", error }, now, now + decision.delayMs)
    : end(task, "failed", { outcome: "failed", error }, now);
  return { ...ended, failures };
}

/** A released attempt is not counted. */
const giveBack = (task: LightRunning, delayMs: number, now: number): Light<PendingTask> => ({
  ...wait(task, { outcome: "released", error: null }, now, now + delayMs),
  attempt: task.attempt - 1,
});

/**
 * Applies the time to a running task: a lease that ran out is a loss (the third loss fails the task), and a cancel request whose
 * grace is over ends the task, whether or not its worker stopped. Returns the same task while neither is due. The work of a lost
 * worker after its lease is unknown, so no work is counted past the end of the lease. The caller decides whether the worker could
 * reach the server.
 */
export function expire(task: Task, now: number): Task;
export function expire(task: LightTask, now: number): LightTask;
export function expire(task: LightTask, now: number): LightTask {
  if (!isRunning(task) || !isOver(task, now)) return task;
  const reason = `Worker ${task.lease.worker} sent no heartbeat before its lease ran out`;
  return lose(task, { reason, workedUntil: Math.min(now, task.lease.until) }, now);
}

/** Counts a loss; the third fails the task. A lost task with a cancel request has stopped, as requested: it ends as cancelled. */
function lose(
  task: LightRunning,
  { reason, workedUntil }: { readonly reason: string; readonly workedUntil: number },
  now: number,
): LightTask {
  if (isCancelRequested(task))
    return end(task, "cancelled", { outcome: "cancelled", error: null, workedUntil }, now);
  const losses = task.losses + 1;
  const message = `${reason} (loss ${losses} of ${LIMITS.lostLeases})`;
  const close: Closing = { outcome: "lost", error: { code: FAILURES.workerLost, message }, workedUntil };
  const next = losses >= LIMITS.lostLeases ? end(task, "failed", close, now) : wait(task, close, now, now);
  return { ...next, losses };
}

/** How an attempt ends; its work counts up to `workedUntil`, by default up to now. */
type Closing = {
  readonly outcome: AttemptOutcome;
  readonly error: Failure | null;
  readonly workedUntil?: number;
};

/** Ends an attempt and the task. */
const end = (task: LightRunning, status: EndedStatus, closing: Closing, now: number): LightEnded => ({
  ...closeAttempt(task, closing, now),
  status,
  lease: null,
  finishedAt: now,
});

/** Ends an attempt; the task waits for the next until `runAt`. */
const wait = (task: LightRunning, closing: Closing, now: number, runAt: number): Light<PendingTask> => ({
  ...closeAttempt(task, closing, now),
  status: "pending",
  lease: null,
  finishedAt: null,
  runAt,
});

/** The task with its attempt in the history. */
function closeAttempt(
  task: LightRunning,
  { outcome, error, workedUntil }: Closing,
  now: number,
): LightRunning {
  const finishedAt = workedUntil ?? now;
  const attempt: Attempt = {
    attempt: task.attempt,
    worker: task.lease.worker,
    startedAt: task.startedAt,
    finishedAt,
    outcome,
    error,
  };
  return {
    ...task,
    version: task.version + 1,
    updatedAt: now,
    workedMs: task.workedMs + Math.max(0, finishedAt - task.startedAt),
    attempts: [...task.attempts, attempt].slice(-LIMITS.attemptsKept),
    error: error ?? task.error,
  };
}

/**
 * Cancels: a pending task at once; a running one is asked to stop within CANCEL_GRACE_MS. A repeated request
 * changes nothing.
 */
export function cancel(task: Task, now: number): Task;
export function cancel(task: LightTask, now: number): LightTask;
export function cancel(task: LightTask, now: number): LightTask {
  switch (task.status) {
    case "pending":
      return {
        ...task,
        status: "cancelled",
        version: task.version + 1,
        finishedAt: now,
        updatedAt: now,
      };
    case "running":
      if (isCancelRequested(task)) return task;
      return {
        ...task,
        lease: { ...task.lease, revokeAt: now + CANCEL_GRACE_MS },
        version: task.version + 1,
        updatedAt: now,
      };
    default:
      throw new TaskError("wrong_status", `Task ${task.id} is already ${task.status}`);
  }
}

/** Makes an ended task pending again: its attempts are counted from zero, and its history is kept. */
export function retry(task: Task, now: number): PendingTask;
export function retry(task: LightTask, now: number): Light<PendingTask>;
export function retry(task: LightTask, now: number): Light<PendingTask> {
  if (!isEnded(task)) {
    throw new TaskError(
      "wrong_status",
      `Task ${task.id} is ${task.status}; only an ended task can be retried`,
    );
  }
  const again: Light<PendingTask> & Pick<Task, "result"> = {
    ...task,
    status: "pending",
    version: task.version + 1,
    runAt: now,
    attempt: 0,
    failures: 0,
    losses: 0,
    progress: null,
    result: null,
    error: null,
    finishedAt: null,
    updatedAt: now,
  };
  return again;
}

/** The fields that an edit changes, with their new values. */
export type TaskPatch = { readonly [F in EditableField]?: Task[F] };

/** A field by its name in the API. */
const asAsked = (field: string): string =>
  field.replace(/Ms$/, "").replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** Changes the fields in the patch. Needs a whole task, because the search text is made of name, description and payload. */
export function edit(task: Task, patch: TaskPatch, now: number): Task {
  const fields = Object.keys(patch) as EditableField[]; // a patch has no others
  const fixed = fields.filter((field) => FIELDS[field].edit === "while_pending");
  if (task.status !== "pending" && fixed.length > 0) {
    throw new TaskError(
      "wrong_status",
      `Task ${task.id} is ${task.status}; ${fixed.map(asAsked).join(", ")} can be changed only while it is pending`,
    );
  }
  return { ...task, ...patch, version: task.version + 1, updatedAt: now };
}

/** Whether the step makes an ended task live again. Its `key` must be free then. */
export const entersLife = (from: LightTask, to: LightTask): boolean => !isLive(from) && isLive(to);
