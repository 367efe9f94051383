/**
 * Deletes tasks whose retention is over, in batches whose size follows the speed of the store. Every process does this, and there is
 * no leader: a task that two processes delete is deleted once.
 */
import type { EndedStatus, TaskId } from "../core/task.ts";
import { errorText, type Log } from "../lib/log.ts";
import type { TaskRef } from "../store/store.ts";
import { findTasks, type ListHeads, ROUND_AT_MOST } from "./find-tasks.ts";

export type Retention = { readonly statuses: readonly EndedStatus[]; readonly keepMs: number };

export type TaskDeletionSetup = {
  readonly list: ListHeads;
  readonly remove: (refs: readonly TaskRef[]) => Promise<unknown>;
  readonly retentions: readonly Retention[];
  readonly monotonic: () => number;
  /** Once true, no further batch is deleted: a shutdown does not wait for locked rows. */
  readonly isClosing: () => boolean;
  readonly log: Log;
};

/** Deletes at most ROUND_AT_MOST tasks of each retention; returns how many. Never rejects. */
export type DeleteOldTasks = (now: number) => Promise<number>;

/** The first number of tasks in one delete. Each task may have a thousand log lines, and PostgreSQL ends a statement after 4.5 s. */
export const FIRST_BATCH = 100;
/** After a delete faster than QUICK_MS the next one has twice as many tasks; after one slower than SLOW_MS, half as many. */
const QUICK_MS = 100;
const SLOW_MS = 1_000;
/** How long a task that could not be deleted is skipped: each attempt at a locked row costs a statement timeout. */
export const REFUSED_FOR_MS = 60_000;
/**
 * Enough failures to find one task among ROUND_AT_MOST by halving. A store that fails more often is unavailable, and is not
 * called until the next round.
 */
export const FAILURES_A_ROUND = 12;

export function createTaskDeletion(setup: TaskDeletionSetup): DeleteOldTasks {
  const { log, monotonic } = setup;
  const refused = new Map<TaskId, number>(); // until when each task is skipped, monotonic
  let batchSize = FIRST_BATCH;

  async function deleteOld(now: number): Promise<number> {
    let removed = 0;
    for (const retention of setup.retentions) removed += await deleteSafely(retention, now);
    return removed;
  }

  /** Each retention fails separately and runs again with the next round. */
  async function deleteSafely(retention: Retention, now: number): Promise<number> {
    try {
      return await deleteUnder(retention, now);
    } catch (error) {
      log.warn("retention_failed", { statuses: retention.statuses.join(), error: errorText(error) });
      return 0;
    }
  }

  async function deleteUnder({ statuses, keepMs }: Retention, now: number): Promise<number> {
    if (keepMs === 0) return 0; // kept without limit
    const { tasks } = await findTasks(
      setup.list,
      { statuses, finishedBefore: now - keepMs },
      "finished_at",
      null,
    );
    const refs = tasks.filter(({ id }) => !isRefused(id)).map(({ id, version }) => ({ id, version }));
    const round = { failuresLeft: FAILURES_A_ROUND };
    let removed = 0;
    for (let at = 0; at < refs.length && !setup.isClosing(); ) {
      const batch = refs.slice(at, at + batchSize);
      at += batch.length;
      removed += await removeBatch(batch, round);
    }
    return removed;
  }

  /**
   * A batch that fails is tried again in halves, so that a task that cannot be deleted now does not prevent the deletion of
   * others. Deleting a version twice is the same as once, so this needs no proof that nothing was written. A statement timeout
   * gives no such proof.
   */
  async function removeBatch(refs: readonly TaskRef[], round: { failuresLeft: number }): Promise<number> {
    const startedAt = monotonic();
    try {
      await setup.remove(refs);
      adaptBatchSize(monotonic() - startedAt);
      return refs.length;
    } catch (error) {
      batchSize = Math.max(1, refs.length >> 1);
      if (--round.failuresLeft === 0) throw error;
      if (refs.length === 1) return leaveAlone(refs, error);
    }
    if (setup.isClosing()) return 0;
    const half = refs.length >> 1;
    return (await removeBatch(refs.slice(0, half), round)) + (await removeBatch(refs.slice(half), round));
  }

  function adaptBatchSize(tookMs: number): void {
    if (tookMs < QUICK_MS) batchSize = Math.min(ROUND_AT_MOST, batchSize * 2);
    else if (tookMs > SLOW_MS) batchSize = Math.max(1, batchSize >> 1);
  }

  function leaveAlone([ref]: readonly TaskRef[], error: unknown): number {
    if (ref === undefined) return 0;
    refused.set(ref.id, monotonic() + REFUSED_FOR_MS);
    log.warn("retention_failed", { task_id: ref.id, error: errorText(error) });
    return 0;
  }

  function isRefused(id: TaskId): boolean {
    const until = refused.get(id);
    if (until === undefined) return false;
    if (until > monotonic()) return true;
    refused.delete(id);
    return false;
  }

  return deleteOld;
}
