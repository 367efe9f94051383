/** Outcomes over HTTP: results share a request, failures and releases have one each. */
import { formatDurationMs } from "../../core/duration.ts";
import { TaskError } from "../../core/error.ts";
import { FAILURES, largeResultFailure, type Outcome } from "../../core/outcome.ts";
import type { Failure } from "../../core/task.ts";
import { createBatch } from "../../lib/batch.ts";
import { errorText, type Log } from "../../lib/log.ts";
import { textOf } from "../../lib/text.ts";
import type { TaskSource } from "../../processor/source.ts";
import { faultText, isContentRefusal, isForeignRefusal, isRefusal, TaskTrackError } from "../error.ts";
import type { CompleteAnswer, Completion, WorkCalls } from "../work.ts";
import { REQUEST_LIMITS } from "./limits.ts";

/** How often an outcome that a gateway refuses is sent again, once a second. */
const FOREIGN_REFUSALS = 10;

type Completed = CompleteAnswer["tasks"][number];

export type OutcomesSetup = {
  readonly complete: (completions: readonly Completion[]) => Promise<CompleteAnswer>;
  readonly calls: Pick<WorkCalls, "fail" | "release">;
  /** Resolves when the claims of this worker have ended. Until then, they could get the task that is released. */
  readonly left: () => Promise<void>;
  readonly log: Log;
};

export function createSettle({ complete, calls, left, log }: OutcomesSetup): TaskSource["settle"] {
  const refusals = new WeakMap<Outcome, number>(); // how often a gateway has refused this outcome

  const completes = createBatch<Completion, Completed>({
    send: completeAll,
    keyOf: ({ id }) => id,
    sizeOf: ({ result }) => 100 + (result?.length ?? 0),
    provesRollback: isContentRefusal, // the server refused the whole request; it is split in halves again and again, until the invalid outcome is found
    overloaded: () => new TaskError("overloaded", "Too many outcomes wait for the server"),
    limits: REQUEST_LIMITS,
  });

  async function completeAll(completions: readonly Completion[]): Promise<readonly Completed[]> {
    const answer = await complete(completions);
    const answers = new Map(answer.tasks.map((task) => [task.id, task]));
    return completions.map(({ id }) => answers.get(id) ?? { id, status: "lease_lost" });
  }

  /** A gateway may refuse a valid request while the server is being deployed. */
  function mayPass(error: TaskTrackError, outcome: Outcome): boolean {
    if (!isForeignRefusal(error)) return false;
    const times = (refusals.get(outcome) ?? 0) + 1;
    refusals.set(outcome, times);
    return times <= FOREIGN_REFUSALS;
  }

  async function send(id: number, token: string, outcome: Outcome): Promise<void> {
    switch (outcome.kind) {
      case "done": {
        const large = outcome.result === null ? null : largeResultFailure(outcome.result);
        if (large !== null) return send(id, token, lastingFailure(large));
        const { status, errors = [] } = await completes({ id, token, result: outcome.result });
        if (status === "lease_lost") throw leaseLost(id);
        if (status === "invalid") throw invalid(errors);
        return;
      }
      case "failed": {
        const { error, retryable, retryAfterMs } = outcome;
        const retryAfter = retryAfterMs === null ? {} : { retry_after: formatDurationMs(retryAfterMs) };
        return calls.fail(id, { token, error, retryable, ...retryAfter });
      }
      case "released": {
        const delay = outcome.delayMs === 0 ? {} : { delay: formatDurationMs(outcome.delayMs) };
        return left().then(() => calls.release(id, { token, ...delay }));
      }
      case "lost":
        return; // the API has no call for a loss: the lease ends by itself
      default:
        return outcome satisfies never;
    }
  }

  return async (id, token, outcome) => {
    try {
      await send(id, token, outcome);
    } catch (error) {
      if (!isRefusal(error) || mayPass(error, outcome)) throw error;
      if (error.code === "lease_lost" || error.code === "not_found") throw leaseLost(id);
      log.warn("outcome_refused", { task_id: id, outcome: outcome.kind, error: errorText(error) });
      await send(id, token, plainOutcome(outcome, error)).catch((again: unknown) => {
        throw isRefusal(again) ? leaseLost(id) : again;
      });
    }
  };
}

const leaseLost = (id: number): TaskError =>
  new TaskError("lease_lost", `The lease on task ${id} has ended; its outcome no longer counts`);

const invalid = (fields: TaskTrackError["fields"]): TaskTrackError =>
  new TaskTrackError(faultText(fields), { code: "invalid", status: 400, fields });

const lastingFailure = (error: Failure): Outcome => ({
  ...{ kind: "failed", error, retryable: false, retryAfterMs: null },
});

/** A failure that every server accepts, in place of an outcome that the server refuses and would refuse again. */
function plainOutcome(outcome: Outcome, error: TaskTrackError): Outcome {
  switch (outcome.kind) {
    case "done": {
      const code = error.status === 413 ? FAILURES.resultTooLarge : FAILURES.resultRefused;
      return lastingFailure({ code, message: `The server refused the result: ${error.message}` });
    }
    case "failed": {
      const { code, message } = outcome.error;
      return {
        ...{ kind: "failed", error: { code: textOf(code), message: textOf(message) } },
        ...{ retryable: outcome.retryable !== false, retryAfterMs: null },
      };
    }
    case "released":
      return { kind: "released", delayMs: 0 };
    case "lost":
      return outcome;
    default:
      return outcome satisfies never;
  }
}
