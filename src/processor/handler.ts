import { parseDurationMs } from "../core/duration.ts";
import { FAILURES, type Outcome } from "../core/outcome.ts";
import type { Failure } from "../core/task.ts";
import { type JsonText, LIMITS, type LogLevel, type RunningTask, storableText } from "../core/task.ts";
import { textOf } from "../lib/text.ts";

/** The task as a handler gets it. */
export type HandlerTask = Pick<
  RunningTask,
  "id" | "name" | "description" | "type" | "tags" | "labels" | "attempt"
> & {
  /** The client's JSON, parsed; null without one. */
  readonly payload: unknown;
  /** The payload as the text that was sent: it has the digits that a JavaScript number loses, and its keys in their order. */
  readonly payloadText: JsonText | null;
  /** The number of earlier attempts whose worker was lost. It is unknown how much of the work they did. */
  readonly losses: number;
  /**
   * When the task was created, in epoch milliseconds. Together with the id, it identifies the task outside of
   * the server: it does not change with edits, attempts and retries, and a task with the same id in another store
   * has another creation time.
   */
  readonly createdAt: number;
};

export type HandlerContext = {
  /**
   * Aborts when the work should stop: the task was cancelled or timed out, the lease is lost, or the server
   * shuts down. A handler that continues is not interrupted; it keeps its slot until it ends.
   */
  readonly signal: AbortSignal;
  /** Reports the progress, from 0 to 100, with a short text. */
  progress(percent: number, message?: string): void;
  /** Adds a line to the task's log. */
  log(message: string, level?: LogLevel): void;
};

/** More for the handlers of this program: a signal for work that can be ended by force, and a listener that costs less than a signal. */
export type RunContext = HandlerContext & {
  /** Calls the listener once, as `signal` aborts, with its reason; at once if it has aborted already. May call it after the end of the work. */
  readonly onStop?: ((listener: (reason: unknown) => void) => void) | undefined;
  /**
   * Aborts just before the lease ends, if it was not renewed: work that continues then runs at the same time as the task's next
   * attempt.
   */
  readonly leaseOver?: AbortSignal | undefined;
};

/**
 * Does the work of one type. Its return value is the result of the task (JSON), unless it is one of the verdicts below. A
 * throw is a failure that is retried while attempts are left.
 * @example
 * const resize: Handler = async (task, context) => {
 *   context.progress(50, "half way");
 *   if (!isImage(task.payload)) return fail("not an image", { retryable: false });
 *   return { width: 640 };
 * };
 */
export type Handler = (task: HandlerTask, context: HandlerContext) => Promise<unknown>;

/** Shared by all copies of this module: a handler may use a copy of its own. */
const VERDICT = Symbol.for("tasktrack.verdict");

/** The end of an attempt that is not just a result. */
export type Verdict = { readonly [VERDICT]: Outcome };

/**
 * The outcome that a verdict stands for; null for any other value. Never throws: a handler may throw or return a Proxy that has every
 * member, or whose members throw when they are read. Each member is read once.
 */
export function readVerdict(value: unknown): Outcome | null {
  try {
    if (typeof value !== "object" || value === null || !(VERDICT in value)) return null;
    return outcomeFrom(value[VERDICT] as Readonly<Record<string, unknown>>); // its members are checked below
  } catch {
    return null;
  }
}

/** Returns null, or throws a TypeError, for an invalid outcome. */
function outcomeFrom({ kind, ...given }: Readonly<Record<string, unknown>>): Outcome | null {
  switch (kind) {
    case "done":
      return given.result === null || typeof given.result === "string"
        ? { kind, result: given.result }
        : null;
    case "failed": {
      const { code, message } = given.error as Readonly<Record<string, unknown>>;
      const retryAfterMs = isMs(given.retryAfterMs) ? given.retryAfterMs : null;
      return { kind, error: failureOf(code, message), retryable: given.retryable !== false, retryAfterMs };
    }
    case "released":
      return isMs(given.delayMs) ? { kind, delayMs: given.delayMs } : null;
    case "lost":
      return { kind, message: textOf(given.message) };
    default:
      return null;
  }
}

const isMs = (value: unknown): value is number =>
  typeof value === "number" && Number.isFinite(value) && value >= 0;

const failureOf = (code: unknown, message: unknown): Failure => ({
  code: storableText(textOf(code), LIMITS.typeLength),
  message: storableText(textOf(message), LIMITS.messageLength),
});

/** The payload as the text that was received; printed again if a handler passes the task on with another payload. */
export function payloadTextOf({
  payload,
  payloadText,
}: Pick<HandlerTask, "payload" | "payloadText">): JsonText {
  return asWritten(payload, payloadText) ?? "null";
}

/** Shared by all copies of this module, as the verdicts are. */
const TEXT = Symbol.for("tasktrack.text");

/**
 * A result that is JSON already. Returns its value, and remembers the text that the value was read from. Null if the text is not
 * JSON, or is nested too deeply to be printed.
 */
export function readResult(text: string): { readonly value: unknown } | null {
  try {
    const value: unknown = JSON.parse(text);
    const isAsPrinted = JSON.stringify(value) === text.trim();
    if (isAsPrinted) return { value };
    const isObject = typeof value === "object" && value !== null;
    if (!isObject) return { value: verdictOf({ kind: "done", result: text.trim() }) };
    return { value: Object.defineProperty(value, TEXT, { value: text.trim() }) };
  } catch {
    return null;
  }
}

/** A handler's return value as JSON; null if it has no JSON form. */
export const resultTextOf = (value: unknown): JsonText | null =>
  asWritten(value, (value as { readonly [TEXT]?: string } | null | undefined)?.[TEXT]);

/** The text that the value was read from, if the value is unchanged; otherwise the printed value. */
function asWritten(value: unknown, text: string | null | undefined): JsonText | null {
  const printed = JSON.stringify(value) ?? null;
  return text != null && JSON.stringify(JSON.parse(text)) === printed ? text : printed;
}

export const verdictOf = (outcome: Outcome): Verdict => ({ [VERDICT]: outcome });

/**
 * Fails the attempt: return it, or throw it.
 * @param message the error, for people
 * @param how.code a short stable word for programs; default "handler_error"
 * @param how.retryable false ends the task at once; default true
 */
export const fail = (
  message: string,
  how: { readonly code?: string; readonly retryable?: boolean } | null = {},
): Verdict => ({
  [VERDICT]: {
    kind: "failed",
    error: failureOf(how?.code ?? FAILURES.handlerError, message),
    retryable: Boolean(how?.retryable ?? true),
    retryAfterMs: null,
  },
});

/**
 * Releases the task until a later time, without counting an attempt: return it, or throw it.
 * @param delay how long the task waits, such as "10m"; throws TypeError for an invalid duration
 * @example if (await isQuotaSpent()) return snooze("10m");
 */
export function snooze(delay: string): Verdict {
  const delayMs = parseDurationMs(delay);
  if (delayMs === null || delayMs < 0) {
    throw new TypeError(`snooze: expected a duration such as "30s" or "10m", got ${JSON.stringify(delay)}`);
  }
  return { [VERDICT]: { kind: "released", delayMs } };
}
