import type { Status, TaskId } from "../core/task.ts";

/** The port through which a broker tells the world what happens to tasks. */
export interface EventOutlet {
  /**
   * Publishes events of one task in the order in which they come here. Resolves when the broker has confirmed that it
   * keeps them all. Rejects otherwise: some may have been published, and the caller comes with all of them again. Once the
   * signal aborts, nothing that has not been sent yet is sent any more. One call at a time.
   */
  publish(events: readonly TaskEvent[], signal: AbortSignal): Promise<void>;

  /** Ends what is under way; safe twice. */
  close(): Promise<void>;
}

/**
 * A change of a task, without its payload: who wants more asks for the task. `task.<status>` says how it stands after the
 * change, so one status may come twice in a row, with versions that rise: an edit leaves a task pending.
 */
export type TaskEvent = {
  readonly event: "task.created" | "task.deleted" | `task.${Status}`;
  readonly id: TaskId;
  /** Null where nobody knows it any more: of a task that was deleted before this process had heard of it. */
  readonly type: string | null;
  readonly status: Status;
  /** Of the task after the change; of a deleted one the last that it had. */
  readonly version: number;
};
