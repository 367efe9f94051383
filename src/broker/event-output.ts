import type { Status, TaskId } from "../core/task.ts";
import { onAbort } from "../lib/waiting.ts";

/** The port through which changes of tasks are published to a broker. */
export interface EventOutput {
  /**
   * Publishes the events; those of one task keep the order of the array. Resolves when the broker has confirmed all of them. If it
   * rejects, some may have been published, and the caller publishes all of them again. Once the signal aborts, nothing more is
   * sent. One call at a time.
   */
  publish(events: readonly TaskEvent[], signal: AbortSignal): Promise<void>;

  /** Stops the call that is under way. May be called twice. */
  close(): Promise<void>;
}

/**
 * A change of a task, without its payload: a consumer that needs more reads the task. `task.<status>` is the status after the
 * change. The same status may come twice in a row, with rising versions: an edit leaves a task pending.
 */
export type TaskEvent = {
  readonly event: "task.created" | "task.deleted" | `task.${Status}`;
  readonly id: TaskId;
  /** Null if it is not known: the task was deleted before this process had read it. */
  readonly type: string | null;
  readonly status: Status;
  /** The task's version after the change; of a deleted task, its last version. */
  readonly version: number;
};

/** Rejects as soon as the signal aborts. The sending itself cannot be stopped and continues. */
export function unlessAborted(sending: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise<void>((resolve, reject) => {
    const unlisten = onAbort(signal, () => reject(givenUp()));
    sending.finally(unlisten).then(resolve, reject);
  });
}

export const givenUp = (): Error => new Error("publishing was given up");
