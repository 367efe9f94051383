import { type Failure, isRunning, type JsonText, LIMITS, type LightTask } from "./task.ts";

/**
 * How an attempt ended, as its worker reports it: a success, a crash, a timeout, a snooze, a release at shutdown or the end of
 * cancelled work. `settle` turns it into the task's next state.
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
  /** Releases the task: it is pending again, and the attempt is not counted. */
  | { readonly kind: "released"; readonly delayMs: number }
  /** Its worker died: reported at once by the process that noticed it, without waiting for the end of the lease. */
  | { readonly kind: "lost"; readonly message: string };

/** Codes of failures that TaskTrack itself gives to a task. */
export const FAILURES = {
  workerLost: "worker_lost",
  timeout: "timeout",
  handlerError: "handler_error",
  resultTooLarge: "result_too_large",
  resultNotJson: "result_not_json",
  resultRefused: "result_refused",
} as const;

/** The failure for a result over the limit; null for a result within it. */
export function largeResultFailure(result: JsonText): Failure | null {
  const bytes = utf8Bytes(result);
  if (bytes <= LIMITS.resultBytes) return null;
  const message = `The result has ${bytes} bytes; at most ${LIMITS.resultBytes} are kept`;
  return { code: FAILURES.resultTooLarge, message };
}

/** Counts UTF-8 bytes without encoding. Does not count if the length is sufficient for the decision. */
function utf8Bytes(result: JsonText): number {
  if (result.length * 3 <= LIMITS.resultBytes) return result.length;
  let bytes = 0;
  for (let i = 0; i < result.length; i++) {
    const unit = result.charCodeAt(i);
    bytes += unit < 0x80 ? 1 : unit < 0x800 ? 2 : unit >= 0xd800 && unit < 0xe000 ? 2 : 3;
  }
  return bytes;
}

/** Whether the latest attempt ended with this token and this outcome. */
export function isRepeated(task: LightTask, token: string, outcome: Outcome): boolean {
  const latest = task.attempts.at(-1);
  if (task.token !== token || isRunning(task) || latest === undefined) return false;
  switch (outcome.kind) {
    case "done":
      return latest.outcome === "done" || latest.error?.code === FAILURES.resultTooLarge;
    case "failed":
      return ["failed", "cancelled"].includes(latest.outcome) && isSameFailure(latest.error, outcome.error);
    case "released":
      return latest.outcome === "released" || (latest.outcome === "cancelled" && latest.error === null);
    case "lost":
      return latest.outcome === "lost" || (latest.outcome === "cancelled" && latest.error === null);
    default:
      return outcome satisfies never;
  }
}

const isSameFailure = (a: Failure | null, b: Failure): boolean =>
  a?.code === b.code && a.message === b.message;
