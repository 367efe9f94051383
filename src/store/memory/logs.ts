/** The log lines of tasks, and when the progress of each was last in the change log. */
import { LIMITS, type LogLine, type TaskId } from "../../core/task.ts";
import { type NewLogLine, PROGRESS_CHANGE_EVERY_MS } from "../store.ts";

export interface Logs {
  append(id: TaskId, lines: readonly NewLogLine[], at: number): void;
  /** Sets the whole log of a restored task. */
  restore(id: TaskId, log: readonly LogLine[]): void;
  after(id: TaskId, n: number): LogLine[];
  /** Whether a change of the task's progress is due for the change log now; if so, its time is stored. */
  isProgressDue(id: TaskId, now: number): boolean;
  /** The task has ended: if it is retried, its next progress is a change at once. */
  end(id: TaskId): void;
  remove(id: TaskId): void;
}

export function createLogs(): Logs {
  const logs = new Map<TaskId, readonly LogLine[]>();
  const progressAt = new Map<TaskId, number>();

  function append(id: TaskId, lines: readonly NewLogLine[], at: number): void {
    if (lines.length === 0) return;
    const kept = logs.get(id) ?? [];
    let n = kept.at(-1)?.n ?? 0;
    const grown = [...kept, ...lines.map((line) => ({ n: ++n, at, ...line }))];
    logs.set(id, grown.slice(-LIMITS.logLinesKept));
  }

  function isProgressDue(id: TaskId, now: number): boolean {
    const last = progressAt.get(id) ?? Number.NEGATIVE_INFINITY;
    if (now >= last && now - last < PROGRESS_CHANGE_EVERY_MS) return false;
    progressAt.set(id, now);
    return true;
  }

  return {
    append,
    restore: (id, log) => {
      if (log.length > 0) logs.set(id, [...log]);
    },
    after: (id, n) => (logs.get(id) ?? []).filter((line) => line.n > n),
    isProgressDue,
    end: (id) => {
      progressAt.delete(id);
    },
    remove: (id) => {
      logs.delete(id);
      progressAt.delete(id);
    },
  };
}
