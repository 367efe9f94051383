/**
 * Maintenance that every process does alike: it finds the leases of dead workers, ends cancelled work that goes on, and deletes
 * old tasks. There is no leader; of two sweeps that meet on a task the store lets one write. Judging leases and deleting are apart:
 * no failure or slowness of one holds up the other.
 */
import { isTaskError } from "../core/error.ts";
import { expire } from "../core/lifecycle.ts";
import type { EndedStatus, LightTask, TaskHead, TaskId } from "../core/task.ts";
import { errorText, type Log } from "../lib/log.ts";
import type { Cursor, TaskFilter, TaskPage, TaskQuery, TaskRef } from "../store/store.ts";

export type Retention = { readonly statuses: readonly EndedStatus[]; readonly keepMs: number };

export type SweepSetup = {
  readonly list: (query: TaskQuery<"head">) => Promise<TaskPage<TaskHead>>;
  readonly transition: (id: TaskId, rule: (task: LightTask, now: number) => LightTask) => Promise<LightTask>;
  readonly remove: (refs: readonly TaskRef[]) => Promise<unknown>;
  readonly retentions: readonly Retention[];
  readonly monotonic: () => number;
  /** Once true, no further piece is deleted: a shutdown does not wait for locked rows. */
  readonly isClosing: () => boolean;
  readonly log: Log;
};

export interface Sweep {
  /** Ends at most SWEEP_AT_MOST attempts whose lease or grace is over at `now`; returns how many. */
  judge(now: number): Promise<number>;
  /** Deletes at most SWEEP_AT_MOST tasks of each retention; returns how many. Never rejects. */
  retire(now: number): Promise<number>;
}

export type Swept = { readonly expired: number; readonly removed: number };

export const SWEEP_AT_MOST = 1_000;

/** How many tasks one call deletes at first. Each may have a thousand log lines, and PostgreSQL ends a statement after 4.5 s. */
export const FIRST_PIECE = 100;
/** A call that was faster than the first is followed by one of twice as many tasks, one that was slower than the second by half as many. */
const QUICK_MS = 100;
const SLOW_MS = 1_000;
/** How long a task that could not be deleted is left alone: each try of a locked row costs a statement timeout. */
export const REFUSED_FOR_MS = 60_000;
/** Enough to find one task among SWEEP_AT_MOST in halves. A store that refuses more is away, and is left alone until the next round. */
export const FAILURES_A_ROUND = 12;

export function createSweep(setup: SweepSetup): Sweep {
  const { log, monotonic } = setup;
  const refused = new Map<TaskId, number>(); // until when, monotonic
  let pieceSize = FIRST_PIECE;

  // ---- leases

  async function judge(now: number): Promise<number> {
    const tasks = await find({ expiredAt: now }, "id");
    const ended = await Promise.allSettled(tasks.map(expireOne));
    const failed = ended.filter((each) => each.status === "rejected");
    if (failed.length > 0) {
      log.warn("expire_failed", { tasks: failed.length, error: errorText(failed[0]?.reason) });
    }
    return tasks.length - failed.length;
  }

  async function expireOne({ id, lease }: TaskHead): Promise<void> {
    let lossesBefore = 0;
    try {
      const { losses } = await setup.transition(id, (task, now) => {
        lossesBefore = task.losses;
        return expire(task, now);
      });
      if (losses > lossesBefore) log.warn("worker_lost", { task_id: id, worker: lease?.worker, losses });
    } catch (error) {
      if (!isTaskError(error, "not_found")) throw error; // deleted meanwhile
    }
  }

  // ---- retention

  async function retire(now: number): Promise<number> {
    let removed = 0;
    for (const retention of setup.retentions) removed += await retireSafely(retention, now);
    return removed;
  }

  /** Each retention fails by itself; it comes again with the next round. */
  async function retireSafely(retention: Retention, now: number): Promise<number> {
    try {
      return await retireOne(retention, now);
    } catch (error) {
      log.warn("retention_failed", { statuses: retention.statuses.join(), error: errorText(error) });
      return 0;
    }
  }

  async function retireOne({ statuses, keepMs }: Retention, now: number): Promise<number> {
    if (keepMs === 0) return 0; // kept for ever
    const tasks = await find({ statuses, finishedBefore: now - keepMs }, "finished_at");
    const refs = tasks.filter(({ id }) => !isRefused(id)).map(({ id, version }) => ({ id, version }));
    const round = { failuresLeft: FAILURES_A_ROUND };
    let removed = 0;
    for (let at = 0; at < refs.length && !setup.isClosing(); ) {
      const piece = refs.slice(at, at + pieceSize);
      at += piece.length;
      removed += await removePiece(piece, round);
    }
    return removed;
  }

  /**
   * A piece that fails is tried again in halves, so that a task that cannot be deleted now stops no other. To delete a version twice
   * is the same as once, so this needs no proof that nothing was written; a statement timeout gives none.
   */
  async function removePiece(refs: readonly TaskRef[], round: { failuresLeft: number }): Promise<number> {
    const startedAt = monotonic();
    try {
      await setup.remove(refs);
      adaptPiece(monotonic() - startedAt);
      return refs.length;
    } catch (error) {
      pieceSize = Math.max(1, refs.length >> 1);
      if (--round.failuresLeft === 0) throw error;
      if (refs.length === 1) return leaveAlone(refs, error);
    }
    if (setup.isClosing()) return 0;
    const half = refs.length >> 1;
    return (await removePiece(refs.slice(0, half), round)) + (await removePiece(refs.slice(half), round));
  }

  function adaptPiece(tookMs: number): void {
    if (tookMs < QUICK_MS) pieceSize = Math.min(SWEEP_AT_MOST, pieceSize * 2);
    else if (tookMs > SLOW_MS) pieceSize = Math.max(1, pieceSize >> 1);
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

  /** A page may be short while there is more behind it, so pages are read until there is enough to do. */
  async function find(filter: TaskFilter, sort: TaskQuery["sort"]): Promise<TaskHead[]> {
    const tasks: TaskHead[] = [];
    let after: Cursor | null = null;
    do {
      const limit = SWEEP_AT_MOST - tasks.length;
      const page: TaskPage<TaskHead> = await setup.list({ filter, sort, after, limit, parts: "head" });
      tasks.push(...page.tasks);
      after = page.next;
    } while (after !== null && tasks.length < SWEEP_AT_MOST);
    return tasks;
  }

  return { judge, retire };
}
