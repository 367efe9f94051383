import { isTaskError, TaskError } from "../core/error.ts";
import { BATCH_LIMITS, type BatchSetup, createBatch, type Join } from "../lib/batch.ts";

/** Calls of workers are never refused because of the batch's limit: as many may wait as there can be slots of workers. */
export const WORKER_LIMITS = { ...BATCH_LIMITS, waitingCalls: 1_000_000 };

/**
 * Outcomes: up to three writes of 25 and more in flight, so that the store works on some while this process decodes claims and runs
 * handlers. None has more than 250, which is one script on Redis.
 */
export const OUTCOME_LIMITS = { ...WORKER_LIMITS, calls: 250, overlap: { writes: 3, fromCalls: 25 } };

/** Group commit (lib/batch.ts) of calls to the store. */
export const createStoreBatch = <Call, Answer>(
  setup: Pick<BatchSetup<Call, Answer>, "send" | "keyOf" | "sizeOf" | "limits">,
): Join<Call, Answer> => createBatch({ ...setup, provesRollback, overloaded });

export const overloaded = (): TaskError =>
  new TaskError("overloaded", "Too many requests are waiting for the store");

const provesRollback = (error: unknown): boolean => isTaskError(error, "store_rejected");
