import type { Outcome } from "../core/outcome.ts";
import type { LogLevel, Progress, RunningTask, TaskId } from "../core/task.ts";

/**
 * Where a processor drinks its tasks from. The engine is one, an HTTP client another; the processor cannot tell them
 * apart, so the same one runs inside the server and inside a user's worker.
 */
export interface TaskSource {
  /**
   * Up to `max` due tasks of these types, each with a lease. Waits until there is one, or, with nothing, until the signal
   * aborts.
   */
  claim(wish: ClaimWish, signal: AbortSignal): Promise<Claimed>;

  /** Renews leases and brings progress and log lines; one answer for each beat. Rejects when the source is away. */
  extend(beats: readonly SourceBeat[]): Promise<readonly ("ok" | "cancel" | "lost")[]>;

  /**
   * Says how an attempt ended. Rejects with `lease_lost` when the task is no longer this worker's: nothing has changed
   * then. Any other rejection may be tried again; the same outcome twice is the same as once.
   */
  settle(id: TaskId, token: string, outcome: Outcome): Promise<void>;

  /**
   * A hint that something happened to a task (`version` null: it is gone): whoever runs it should ask with a beat. A
   * source may stay silent; the next beat's answer says the same.
   */
  onRevoked(listener: (hint: { readonly id: TaskId; readonly version: number | null }) => void): () => void;
}

/** As much of a task as its work needs. */
export type ClaimedTask = Pick<
  RunningTask,
  | "id"
  | "version"
  | "name"
  | "description"
  | "type"
  | "payload"
  | "tags"
  | "timeoutMs"
  | "attempt"
  | "losses"
  | "token"
  | "createdAt"
>;

/** The reason of a claim's signal when the processor will claim again at once, for other types; else it has claimed its last. */
export const ASK_ANEW = "ask_anew";

export type Claimed = {
  readonly tasks: readonly ClaimedTask[];
  /** Monotonic time that is surely not after the start of the leases. */
  readonly leasedAt: number;
};

export type ClaimWish = {
  readonly worker: string;
  readonly types: readonly string[];
  readonly max: number;
  readonly leaseMs: number;
  /** How many tasks the worker works on at once. */
  readonly slots?: number;
};

export type SourceBeat = {
  readonly id: TaskId;
  readonly token: string;
  readonly progress: Progress | null;
  readonly log: readonly { readonly level: LogLevel; readonly message: string }[];
};
