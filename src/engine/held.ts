import { extend, settle } from "../core/lifecycle.ts";
import type { Outcome } from "../core/outcome.ts";
import type { RunningTask, Task, TaskId } from "../core/task.ts";
import type { Beat, BeatAnswer } from "../store/store.ts";

/**
 * What this engine has claimed and nobody has settled yet, as it stands in the store as far as this engine knows. The
 * usual settle needs no reading first: the write is a compare-and-set all the same, so a memory that is out of date costs a
 * second try and nothing else. On PostgreSQL that is one statement for a task's end instead of two.
 */
export interface Held {
  add(tasks: readonly RunningTask[]): void;
  /** After the store has answered these beats at this time. */
  beaten(beats: readonly Beat[], answers: readonly BeatAnswer[], now: number): void;
  /** The step that this outcome makes of a held task, which is forgotten; null where only the store can tell. */
  settle(
    id: TaskId,
    said: { readonly token: string; readonly outcome: Outcome },
    now: number,
    random: number,
  ): { readonly from: Task; readonly to: Task } | null;
  /** Whose lease it is; null where only the store knows. */
  workerOf(id: TaskId, token: string): string | null;
  /** How long a held lease lasts from its beat on, in milliseconds; null where only the store knows. */
  leaseMs(id: TaskId, token: string): number | null;
  /** Releases leases that are lost: their workers will not come back to this process. */
  forgetLost(isLost: (task: RunningTask) => boolean): void;
}

export function createHeld(): Held {
  const tasks = new Map<TaskId, RunningTask>();

  function beaten(beats: readonly Beat[], answers: readonly BeatAnswer[], now: number): void {
    for (const [at, beat] of beats.entries()) {
      const task = tasks.get(beat.id);
      if (task === undefined || task.token !== beat.token) continue;
      // A cancel request has changed the task; what it is now only the store knows.
      if (answers[at] === "ok") tasks.set(beat.id, extend(task, beat, now));
      else tasks.delete(beat.id);
    }
  }

  return {
    add: (claimed) => {
      for (const task of claimed) tasks.set(task.id, task);
    },
    beaten,
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
