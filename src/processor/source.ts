import type { Outcome } from "../core/outcome.ts";
import type { LogLevel, Progress, RunningTask, TaskId } from "../core/task.ts";

/**
 * The port from which a processor gets its tasks. The engine is one source, an HTTP client another: the same
 * processor runs inside the server and inside a worker of the SDK.
 */
export interface TaskSource {
  /**
   * Up to `max` due tasks of these types, each with a lease. Waits for at least one; resolves without any
   * when the signal aborts.
   */
  claim(request: ClaimRequest, signal: AbortSignal): Promise<Claimed>;

  /**
   * Renews leases, and passes on progress and log lines; one answer for each heartbeat. Rejects if the source
   * cannot be reached.
   */
  extend(heartbeats: readonly Heartbeat[]): Promise<readonly ("ok" | "cancel" | "lost")[]>;

  /**
   * Reports how an attempt ended. Rejects with `lease_lost` if this worker does not hold the task any more;
   * then nothing has changed. After any other rejection the call may be repeated; an outcome that is reported twice
   * has an effect once.
   */
  settle(id: TaskId, token: string, outcome: Outcome): Promise<void>;

  /**
   * Calls the listener when a task has changed (`version` null: it was deleted). Its worker should then send
   * a heartbeat. A source need not call the listener: the answer to the next heartbeat has the same information.
   */
  onRevoked(listener: (hint: { readonly id: TaskId; readonly version: number | null }) => void): () => void;
}

/** The fields of a task that its run needs. */
export type ClaimedTask = Pick<
  RunningTask,
  | "id"
  | "version"
  | "name"
  | "description"
  | "type"
  | "payload"
  | "tags"
  | "labels"
  | "timeoutMs"
  | "attempt"
  | "losses"
  | "token"
  | "createdAt"
>;

/**
 * The abort reason of a claim whose processor claims again at once, for other types. Any other reason: this
 * was its last claim.
 */
export const ASK_ANEW = "ask_anew";

export type Claimed = {
  readonly tasks: readonly ClaimedTask[];
  /** A monotonic time that is not after the start of the leases. */
  readonly leasedAt: number;
};

export type ClaimRequest = {
  readonly worker: string;
  readonly types: readonly string[];
  readonly max: number;
  readonly leaseMs: number;
  /** The number of tasks that the worker runs at the same time. */
  readonly slots?: number;
};

export type Heartbeat = {
  readonly id: TaskId;
  readonly token: string;
  readonly progress: Progress | null;
  readonly log: readonly { readonly level: LogLevel; readonly message: string }[];
};
