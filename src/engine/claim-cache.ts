import { extend, settle } from "../core/lifecycle.ts";
import type { Outcome } from "../core/outcome.ts";
import type { RunningTask, Task, TaskId } from "../core/task.ts";
import type { Beat, BeatAnswer } from "../store/store.ts";

/**
 * The tasks that this engine has claimed and that are not settled yet, in the last state that this engine knows. The usual settle
 * needs no read: the write is a compare-and-set all the same, so an outdated entry costs a second try and nothing else. On PostgreSQL
 * that is one statement for the end of a task instead of two.
 */
export interface ClaimCache {
  add(tasks: readonly RunningTask[]): void;
  /** The store has answered these heartbeats at this time. */
  renewed(beats: readonly Beat[], answers: readonly BeatAnswer[], now: number): void;
  /** The step from the cached task to its state with this outcome; removes the entry. Null if the task must be read. */
  settle(
    id: TaskId,
    said: { readonly token: string; readonly outcome: Outcome },
    now: number,
    random: number,
  ): { readonly from: Task; readonly to: Task } | null;
  /** The worker that holds the lease; null if the task is not cached. */
  workerOf(id: TaskId, token: string): string | null;
  /** The length of the lease, in milliseconds; null if the task is not cached. */
  leaseMs(id: TaskId, token: string): number | null;
  /** Removes leases that are lost: their workers will send no outcome to this process. */
  forgetLost(isLost: (task: RunningTask) => boolean): void;
}

export function createClaimCache(): ClaimCache {
  const tasks = new Map<TaskId, RunningTask>();

  function renewed(beats: readonly Beat[], answers: readonly BeatAnswer[], now: number): void {
    for (const [at, beat] of beats.entries()) {
      const task = tasks.get(beat.id);
      if (task === undefined || task.token !== beat.token) continue;
      // Any other answer means that the task was changed, for example by a cancel request: it must be read.
      if (answers[at] === "ok") tasks.set(beat.id, extend(task, beat, now));
      else tasks.delete(beat.id);
    }
  }

  return {
    add: (claimed) => {
      for (const task of claimed) tasks.set(task.id, task);
    },
    renewed,
    settle: (id, said, now, random) => {
      const task = tasks.get(id);
      if (task === undefined || task.token !== said.token) return null;
      tasks.delete(id);
      return { from: task, to: settle(task, said, now, random) };
    },
    workerOf: (id, token) => {
      const task = tasks.get(id);
      return task?.token === token ? task.lease.worker : null;
    },
    leaseMs: (id, token) => {
      const task = tasks.get(id);
      return task?.token === token ? task.lease.leaseMs : null;
    },
    forgetLost: (isLost) => {
      for (const [id, task] of tasks) if (isLost(task)) tasks.delete(id);
    },
  };
}
