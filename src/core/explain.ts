/** Explains the state of a task: facts in, a reason and a sentence out. */
import { formatDurationMs } from "./duration.ts";
import { isCancelRequested } from "./lease.ts";
import { isEnded, isRunning, type Light, type LightTask, type RunningTask, takesType } from "./task.ts";

export type Reason =
  | "not_due"
  | "no_worker"
  | "waiting_for_slot"
  | "about_to_start"
  | "running"
  | "cancel_requested"
  | "worker_silent"
  | "ended";

export type Explanation = {
  readonly reason: Reason;
  readonly message: string;
  /** The number of due tasks of its type before it; null if it does not wait for a worker. */
  readonly position: number | null;
  /** The workers that take its type. */
  readonly workers: readonly string[];
};

export type Facts = {
  readonly now: number;
  readonly workers: readonly {
    readonly name: string;
    readonly types: readonly string[];
    readonly free: number;
    readonly isDraining: boolean;
  }[];
  /** The number of due tasks of its type before it, counted up to `countedTo`; null when it is not pending. */
  readonly before: number | null;
  readonly countedTo: number;
};

export function explain(task: LightTask, facts: Facts): Explanation {
  if (isEnded(task)) return of("ended", endedMessage(task));
  const takers = facts.workers.filter(
    ({ types, isDraining }) => !isDraining && types.some((pattern) => takesType(pattern, task.type)),
  );
  const workers = takers.map(({ name }) => name);
  if (isRunning(task)) return { ...runningReason(task, facts.now), position: null, workers };
  if (task.runAt > facts.now) return { ...notDue(task, facts.now), position: null, workers };
  const position = facts.before ?? 0;
  if (workers.length === 0) {
    const message = `It is due, but no worker that called the server in the last minute takes type "${task.type}"`;
    return { reason: "no_worker", message, position, workers };
  }
  const isFree = takers.some(({ free }) => free > 0);
  if (position === 0 && isFree) {
    return {
      reason: "about_to_start",
      message: "It is the first due task of its type, and a worker has a free slot for it",
      position,
      workers,
    };
  }
  const takes =
    workers.length === 1 ? "1 worker takes this type" : `${workers.length} workers take this type`;
  const message = `It is due; ${before(position, facts.countedTo)}, and ${takes}`;
  return { reason: "waiting_for_slot", message, position, workers };
}

/** "3 tasks of its type are before it" */
function before(position: number, countedTo: number): string {
  if (position === 0) return "no task of its type is before it";
  if (position === 1) return "1 task of its type is before it";
  return `${position >= countedTo ? "at least " : ""}${position} tasks of its type are before it`;
}

const of = (reason: Reason, message: string): Explanation => ({
  reason,
  message,
  position: null,
  workers: [],
});

const endedMessage = (task: LightTask): string =>
  task.error === null || task.status === "done"
    ? `Its status is ${task.status}`
    : `Its status is ${task.status}: ${task.error.message || task.error.code}`;

function notDue(task: LightTask, now: number): Pick<Explanation, "reason" | "message"> {
  const left = formatDurationMs(Math.ceil((task.runAt - now) / 1_000) * 1_000);
  const times = task.failures === 1 ? "once" : `${task.failures} times`;
  const isRetried = task.failures > 0 && task.attempt > 0;
  const message = isRetried
    ? `It failed ${times}; the next attempt is due in ${left}`
    : `It is due in ${left}`;
  return { reason: "not_due", message };
}

function runningReason(task: Light<RunningTask>, now: number): Pick<Explanation, "reason" | "message"> {
  const { worker, until, leaseMs, revokeAt } = task.lease;
  const left = (ms: number): string => formatDurationMs(Math.max(0, Math.ceil(ms / 1_000) * 1_000));
  if (isCancelRequested(task)) {
    const message = `Its worker ${worker} was asked to stop and has ${left((revokeAt ?? now) - now)} left to do so`;
    return { reason: "cancel_requested", message };
  }
  // A lease is renewed after each third of its length: after two thirds, at least one heartbeat is missing.
  if (until - now < leaseMs / 3) {
    const when = until > now ? `in ${left(until - now)}` : "soon";
    const message = `Its worker ${worker} sends no heartbeats; without one, another worker gets the task ${when}`;
    return { reason: "worker_silent", message };
  }
  return { reason: "running", message: `Worker ${worker} works on it, attempt ${task.attempt}` };
}
