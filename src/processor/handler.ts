import { parseDurationMs } from "../core/duration.ts";
import { FAILURES, type Outcome } from "../core/outcome.ts";
import type { Failure } from "../core/task.ts";
import { type JsonText, LIMITS, type LogLevel, type RunningTask, storableText } from "../core/task.ts";
import { textOf } from "../lib/text.ts";

/** What a handler sees of its task. */
export type HandlerTask = Pick<RunningTask, "id" | "name" | "description" | "type" | "tags" | "attempt"> & {
  /** The client's JSON, parsed; null without one. */
  readonly payload: unknown;
  /** The payload as the text that was sent: it has the digits that a JavaScript number loses, and its keys in their order. */
  readonly payloadText: JsonText | null;
  /** How many earlier attempts ended with the death of their worker: nobody knows how far they came. */
  readonly losses: number;
  /**
   * When the task was created, in epoch milliseconds. Together with the id it is the task's name for the rest of the world: it stays through
   * edits, attempts and retries, and another store that gives the same id gives it at another time.
   */
  readonly createdAt: number;
};

export type HandlerContext = {
  /**
   * Aborts when the work should stop: cancelled, timed out, lease lost, server shutting down. A handler that goes on is
   * not interrupted; it keeps its slot until it ends.
   */
  readonly signal: AbortSignal;
  /** Shows how far the work is, from 0 to 100, with a few words. */
  progress(percent: number, message?: string): void;
  /** Adds a line to the task's log. */
  log(message: string, level?: LogLevel): void;
};

/** An additional signal for handlers whose work can be ended by force. */
export type RunContext = HandlerContext & {
  /**
   * Aborts just before the lease ends, if it was not renewed: work that continues then runs at the same time as the task's next
   * attempt.
   */
  readonly leaseOver?: AbortSignal | undefined;
};

/**
 * Does the work of one type. What it returns is the task's result (JSON), unless it is one of the verdicts below; a
 * throw is a failure that is retried while attempts are left.
 * @example
 * const resize: Handler = async (task, context) => {
 *   context.progress(50, "half way");
 *   if (!isImage(task.payload)) return fail("not an image", { retryable: false });
 *   return { width: 640 };
 * };
 */
export type Handler = (task: HandlerTask, context: HandlerContext) => Promise<unknown>;

/** Known to all copies of this module: a handler may come with one of its own. */
const VERDICT = Symbol.for("tasktrack.verdict");

/** A handler's word on how its attempt ended, where it is not simply a result. */
export type Verdict = { readonly [VERDICT]: Outcome };

/**
 * The outcome that a verdict stands for; null for any other value. Never throws: a handler may throw or return a Proxy that has every
 * member, or whose members throw when they are read. Each member is read once.
 */
export function readVerdict(value: unknown): Outcome | null {
  try {
    if (typeof value !== "object" || value === null || !(VERDICT in value)) return null;
    return outcomeFrom(value[VERDICT] as Readonly<Record<string, unknown>>); // its members are looked at below
  } catch {
    return null;
  }
}

/** Null, or a TypeError, for what is no outcome. */
function outcomeFrom({ kind, ...said }: Readonly<Record<string, unknown>>): Outcome | null {
  switch (kind) {
    case "done":
      return said.result === null || typeof said.result === "string" ? { kind, result: said.result } : null;
    case "failed": {
      const { code, message } = said.error as Readonly<Record<string, unknown>>;
      const retryAfterMs = isMs(said.retryAfterMs) ? said.retryAfterMs : null;
      return { kind, error: failureOf(code, message), retryable: said.retryable !== false, retryAfterMs };
    }
    case "released":
      return isMs(said.delayMs) ? { kind, delayMs: said.delayMs } : null;
    case "lost":
      return { kind, message: textOf(said.message) };
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

/** The payload as the text that was received; printed again where a handler passes the task on with another payload. */
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
 * @param message what went wrong, for a person
 * @param how.code a short stable word for programs; "handler_error" unless given
 * @param how.retryable false ends the task at once; true unless given
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
 * Gives the task back to be worked on later, and burns no attempt: return it, or throw it.
 * @param delay how long it waits, such as "10m"; throws TypeError for what is no duration
 * @example if (await isQuotaSpent()) return snooze("10m");
 */
export function snooze(delay: string): Verdict {
  const delayMs = parseDurationMs(delay);
  if (delayMs === null || delayMs < 0) {
    throw new TypeError(`snooze: expected a duration such as "30s" or "10m", got ${JSON.stringify(delay)}`);
  }
  return { [VERDICT]: { kind: "released", delayMs } };
}
