/** Reports how attempts ended. */
import type { Clock } from "../core/clock.ts";
import { isTaskError } from "../core/error.ts";
import type { Outcome } from "../core/outcome.ts";
import { errorText, type Log } from "../lib/log.ts";
import { sleep } from "../lib/waiting.ts";
import type { Heartbeats } from "./heartbeats.ts";
import type { Run } from "./run.ts";
import type { ClaimedTask, TaskSource } from "./source.ts";

const RETRY_AFTER_MS = 1_000;

/** Resolves when the source has the outcome, or when the lease is lost. While the lease is held, a failed report is repeated. */
export type ReportOutcome = (run: Run, outcome: Outcome) => Promise<void>;

export function createOutcomeReport(setup: {
  readonly source: TaskSource;
  readonly heartbeats: Heartbeats;
  readonly clock: Clock;
  readonly log: Log;
}): ReportOutcome {
  const { source, heartbeats, clock, log } = setup;

  /** One attempt. The unsent progress and log lines are sent before the outcome. */
  async function isReported(run: Run, outcome: Outcome): Promise<boolean> {
    const { task } = run;
    if ((run.progress !== null || run.log.length > 0) && !(await heartbeats.send([run]))) return false;
    try {
      await source.settle(task.id, task.token, outcome);
      logOutcome(task, outcome);
      return true;
    } catch (error) {
      if (isTaskError(error, "lease_lost")) run.lost = true;
      else log.warn("settle_failed", { task_id: task.id, error: errorText(error) });
      return false;
    }
  }

  function logOutcome(task: ClaimedTask, outcome: Outcome): void {
    const fields = { task_id: task.id, type: task.type, attempt: task.attempt };
    if (outcome.kind === "failed") log.info("task_failed", { ...fields, code: outcome.error.code });
    else log.debug(`task_${outcome.kind}`, fields);
  }

  return async (run, outcome) => {
    while (!run.lost) {
      if (await isReported(run, outcome)) return;
      if (!run.lost) await sleep(clock, RETRY_AFTER_MS);
    }
    log.warn("outcome_dropped", { task_id: run.task.id, outcome: outcome.kind, reason: "lease_lost" });
  };
}
