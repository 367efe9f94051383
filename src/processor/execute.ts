import { FAILURES, type Outcome } from "../core/outcome.ts";
import type { Failure } from "../core/task.ts";
import { LIMITS, storableText } from "../core/task.ts";
import { textOf } from "../lib/text.ts";
import { type Handler, type HandlerContext, type HandlerTask, readVerdict, resultTextOf } from "./handler.ts";
import type { ClaimedTask } from "./source.ts";
import type { Stop, StopReason } from "./stop.ts";

/**
 * Runs a handler once, and resolves with the outcome when the handler has ended; never rejects. If the handler was told to stop and
 * then failed, the reason of the stop decides the outcome. If it returned a result although it was told to stop, the task is done. A
 * handler that would start after the stop is not called. Null if the lease is lost, so that there is no outcome to report.
 */
export function execute(
  handler: Handler,
  task: ClaimedTask,
  { context, stop }: { readonly context: HandlerContext; readonly stop: Pick<Stop, "reason"> },
): Promise<Outcome | null> {
  if (stop.reason !== null) return Promise.resolve(stoppedOutcome(stop.reason, task));
  return attempt(handler, handlerTask(task), context).then((ended) =>
    stop.reason === null || ended.kind === "done" ? ended : stoppedOutcome(stop.reason, task),
  );
}

/**
 * One call of a handler, with any result. Never rejects, not even if the thrown value throws when it is read. Not an async function,
 * because its state would take 300 bytes for as long as the handler runs; the result is awaited as `await` does it: without a call of a
 * method that the result may have replaced.
 */
export function attempt(handler: Handler, task: HandlerTask, context: HandlerContext): Promise<Outcome> {
  try {
    const ended = Promise.resolve(handler(task, context));
    return Promise.prototype.then.call(ended, outcomeOfValue, outcomeOfThrown) as Promise<Outcome>; // the type of both functions
  } catch (thrown) {
    return Promise.resolve(outcomeOfThrown(thrown));
  }
}

const outcomeOfValue = (value: unknown): Outcome => readVerdict(value) ?? doneOutcome(value);
const outcomeOfThrown = (thrown: unknown): Outcome => readVerdict(thrown) ?? failed(failureOf(thrown));

/** A result that cannot be written as JSON is a permanent failure, because another attempt would have the same result. */
function doneOutcome(value: unknown): Outcome {
  try {
    return { kind: "done", result: resultTextOf(value) };
  } catch (thrown) {
    const message = storableText(
      `The result cannot be written as JSON: ${wordsOf(thrown)}`,
      LIMITS.messageLength,
    );
    return { ...failed({ code: FAILURES.resultNotJson, message }), retryable: false };
  }
}

function stoppedOutcome(reason: StopReason, task: ClaimedTask): Outcome | null {
  switch (reason) {
    case "lost":
      return null;
    case "timeout":
      return failed({
        code: FAILURES.timeout,
        message: `The attempt took longer than its ${task.timeoutMs} ms`,
      });
    case "cancelled":
    case "shutdown":
      return { kind: "released", delayMs: 0 };
    default:
      return reason satisfies never;
  }
}

const failed = (error: Failure): Extract<Outcome, { kind: "failed" }> => ({
  ...{ kind: "failed", error, retryable: true, retryAfterMs: null },
});

const failureOf = (thrown: unknown): Failure => ({
  code: FAILURES.handlerError,
  message: storableText(wordsOf(thrown), LIMITS.messageLength),
});

/** An error's message, or its name if it has no message. */
function wordsOf(thrown: unknown): string {
  try {
    return textOf(thrown instanceof Error && thrown.message !== "" ? thrown.message : thrown);
  } catch {
    return textOf(thrown);
  }
}

const handlerTask = (task: ClaimedTask): HandlerTask => ({
  id: task.id,
  name: task.name,
  description: task.description,
  type: task.type,
  tags: task.tags,
  labels: task.labels,
  attempt: task.attempt,
  losses: task.losses,
  payload: task.payload === null ? null : JSON.parse(task.payload),
  payloadText: task.payload,
  createdAt: task.createdAt,
});
