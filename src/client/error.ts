import type { Task } from "./types.ts";

/** An invalid field of a request: a JSON Pointer into its body, and what was expected there. */
export type FieldFault = { readonly pointer: string; readonly detail: string };

type Facts = {
  readonly code: string;
  readonly status: number;
  readonly requestId?: string | null;
  readonly fields?: readonly FieldFault[];
  readonly fieldsOmitted?: number;
  readonly retryAfterMs?: number | null;
  readonly cause?: unknown;
};

/**
 * A request that was refused or got no answer. Branch on `code`, which is stable; `message` is for people.
 * @example
 * try {
 *   await client.cancel(7);
 * } catch (error) {
 *   if (!(error instanceof TaskTrackError) || error.code !== "wrong_status") throw error;
 * }
 */
export class TaskTrackError extends Error {
  override readonly name: string = "TaskTrackError";
  /**
   * The code of the refusal, such as `not_found`, `wrong_status`, `invalid`; `unreachable` if there was no
   * answer.
   */
  readonly code: string;
  /** The HTTP status; 0 if there was no answer. */
  readonly status: number;
  /** The id of the request in the server's log; null if there was no answer. */
  readonly requestId: string | null;
  /** The invalid fields, if the server names them; at most 100. */
  readonly fields: readonly FieldFault[];
  /** The number of invalid fields that `fields` leaves out. */
  readonly fieldsOmitted: number;
  /** How long the server asks to wait before the next try, in milliseconds; null if it does not say. */
  readonly retryAfterMs: number | null;

  constructor(message: string, facts: Facts) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.code = facts.code;
    this.status = facts.status;
    this.requestId = facts.requestId ?? null;
    this.fields = facts.fields ?? [];
    this.fieldsOmitted = facts.fieldsOmitted ?? 0;
    this.retryAfterMs = facts.retryAfterMs ?? null;
  }
}

/**
 * Thrown by `client.run` if the task failed or was cancelled. `task` is the whole task: `task.status` is
 * "failed" or "cancelled", `task.error` is the reason. `code` is `task_failed` or `task_cancelled`.
 */
export class TaskFailed extends TaskTrackError {
  override readonly name: string = "TaskFailed";
  readonly task: Task;

  constructor(task: Task) {
    super(`Task ${task.id} ${task.status}${task.error === null ? "" : `: ${task.error.message}`}`, {
      code: `task_${task.status}`,
      status: 200,
    });
    this.task = task;
  }
}

/** Whether the same request may succeed if it is sent again. */
export const isTransient = (error: unknown): error is TaskTrackError =>
  error instanceof TaskTrackError && TRANSIENT.has(error.status);

/** No answer; too many requests; a gateway that reaches no server; a server that is unavailable for now. */
const TRANSIENT: ReadonlySet<number> = new Set([0, 429, 502, 503, 504]);

/**
 * Whether the server examined the request and will give the same answer again. The request changed nothing.
 */
export const isRefusal = (error: unknown): error is TaskTrackError =>
  error instanceof TaskTrackError && error.status >= 400 && error.status < 500 && error.status !== 429;

/** Whether the server refused the content of the body. It may accept a part of the content, or a shorter body. */
export const isContentRefusal = (error: unknown): error is TaskTrackError =>
  error instanceof TaskTrackError && CONTENT_REFUSALS.has(error.status);

const CONTENT_REFUSALS: ReadonlySet<number> = new Set([400, 413, 422]);

/**
 * Whether a gateway in front of the server refused the request. The gateway may accept it a moment later,
 * unless the body is too large.
 */
export const isForeignRefusal = (error: unknown): error is TaskTrackError =>
  isRefusal(error) && error.code === `http_${error.status}` && error.status !== 413;

/** The invalid fields in one line. */
export const faultText = (faults: readonly FieldFault[]): string =>
  faults.map(({ pointer, detail }) => `${pointer} ${detail}`).join("; ");
