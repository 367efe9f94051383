/** The tasks and all their indexes: one call changes the state of a task in all of them. */
import { isEnded, isLive, isRunning, type RunningTask, type Task, type TaskId } from "../../core/task.ts";
import { createPages, type Pages } from "../../lib/pages.ts";
import { type Counts, createCounts } from "./counts.ts";
import { createEnded, type Ended } from "./ended.ts";
import { createLanes, type Lanes } from "./lanes.ts";

export interface Rows {
  readonly byId: Pick<Pages<Task>, "get" | "after" | "before">;
  /** Running tasks are not ordered by lease: a sweep reads all of them, so a heartbeat changes no index. */
  readonly running: Pick<Map<TaskId, RunningTask>, "get" | "values">;
  readonly lanes: Pick<Lanes, "due" | "oldestRunAt" | "positionOf">;
  readonly ended: Pick<Ended, "walk">;
  readonly counts: Pick<Counts, "read">;
  /** The id of the live task that holds the key. */
  holderOf(key: string): TaskId | undefined;
  /** Replaces a task's earlier state, which is null for a new task. */
  place(from: Task | null, to: Task): void;
  /** Replaces a running task whose lease or progress has changed: no index contains these. */
  renew(to: RunningTask): void;
  remove(task: Task): void;
}

export function createRows(): Rows {
  const byId = createPages<Task>();
  const running = new Map<TaskId, RunningTask>();
  const lanes = createLanes();
  const ended = createEnded();
  const counts = createCounts();
  const liveKeys = new Map<string, TaskId>();

  function place(from: Task | null, to: Task): void {
    if (from !== null) unindex(from);
    byId.set(to.id, to);
    index(to);
  }

  function index(task: Task): void {
    if (isEnded(task)) ended.add(task);
    else if (isRunning(task)) running.set(task.id, task);
    else lanes.add(task);
    counts.add(task);
    if (task.key !== null && isLive(task)) liveKeys.set(task.key, task.id);
  }

  function unindex(task: Task): void {
    if (isEnded(task)) ended.remove(task);
    else if (isRunning(task)) running.delete(task.id);
    else lanes.remove(task);
    counts.remove(task);
    if (task.key !== null && isLive(task)) liveKeys.delete(task.key);
  }

  function renew(to: RunningTask): void {
    byId.set(to.id, to);
    running.set(to.id, to);
  }

  function remove(task: Task): void {
    unindex(task);
    byId.delete(task.id);
  }

  return {
    ...{ byId, running, lanes, ended, counts, place, renew, remove },
    holderOf: (key) => liveKeys.get(key),
  };
}
