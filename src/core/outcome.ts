import type { JsonText } from "./task.ts";

/** Why an attempt failed: a short stable word and a sentence. */
export type Failure = { readonly code: string; readonly message: string };

/**
 * How an attempt ended, in its worker's words. A success, a crash, a timeout, a snooze, a release at shutdown and
 * the end of cancelled work are all one of these; `settle` turns it into the task's next state.
 */
export type Outcome =
  | { readonly kind: "done"; readonly result: JsonText | null }
  | {
      readonly kind: "failed";
      readonly error: Failure;
      readonly retryable: boolean;
      /** Overrides the backoff. */
      readonly retryAfterMs: number | null;
    }
  /** Gives the task back and burns no attempt. */
  | { readonly kind: "released"; readonly delayMs: number }
  /** Its worker died under it: said at once by who saw it die, instead of waiting for the end of the lease. */
  | { readonly kind: "lost"; readonly message: string };

/** Codes of failures that TaskTrack itself gives to a task. */
export const FAILURES = {
  workerLost: "worker_lost",
  timeout: "timeout",
  handlerError: "handler_error",
  resultTooLarge: "result_too_large",
} as const;
