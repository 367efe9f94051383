/**
 * Maintenance that every process runs: it finds the leases of dead workers, ends cancelled work that continues, and deletes old
 * tasks. There is no leader: if two sweeps try to write the same task, the store lets one write. Judging leases and deleting are
 * separate, so a failure or slowness of one does not delay the other.
 */
import { isTaskError } from "../core/error.ts";
import { isOver } from "../core/lease.ts";
import { expire } from "../core/lifecycle.ts";
import type { EndedStatus, Lease, LightTask, TaskHead, TaskId } from "../core/task.ts";
import { errorText, type Log } from "../lib/log.ts";
import type { Cursor, TaskFilter, TaskPage, TaskQuery, TaskRef } from "../store/store.ts";

export type Retention = { readonly statuses: readonly EndedStatus[]; readonly keepMs: number };

export type SweepSetup = {
  readonly list: (query: TaskQuery<"head">) => Promise<TaskPage<TaskHead>>;
  readonly transition: (id: TaskId, rule: (task: LightTask, now: number) => LightTask) => Promise<LightTask>;
  readonly remove: (refs: readonly TaskRef[]) => Promise<unknown>;
  /** Whether a task whose lease or grace is over at `now` may be judged: its worker could reach the server. */
  readonly mayJudge: (lease: Lease, now: number) => boolean;
  /** Whether other processes may write leases that end too far ahead, because the clock was set back. */
  readonly mayBeOverlong: () => boolean;
  readonly retentions: readonly Retention[];
  readonly monotonic: () => number;
  /** Once true, no further batch is deleted: a shutdown does not wait for locked rows. */
  readonly isClosing: () => boolean;
  readonly log: Log;
};

export interface Sweep {
  /** Reads up to SWEEP_AT_MOST tasks whose lease or grace is over at `now`, and ends those that may be judged. Returns how many. */
  judge(now: number): Promise<number>;
  /** Deletes at most SWEEP_AT_MOST tasks of each retention; returns how many. Never rejects. */
  retire(now: number): Promise<number>;
}

export type Swept = { readonly expired: number; readonly removed: number };

export const SWEEP_AT_MOST = 1_000;

/** The first number of tasks in one delete. Each task may have a thousand log lines, and PostgreSQL ends a statement after 4.5 s. */
export const FIRST_PIECE = 100;
/** After a delete faster than QUICK_MS the next one has twice as many tasks; after one slower than SLOW_MS, half as many. */
const QUICK_MS = 100;
const SLOW_MS = 1_000;
/** How long a task that could not be deleted is skipped: each attempt at a locked row costs a statement timeout. */
export const REFUSED_FOR_MS = 60_000;
/**
 * Enough failures to find one task among SWEEP_AT_MOST by halving. A store that fails more often is unavailable, and is not
 * called until the next round.
 */
export const FAILURES_A_ROUND = 12;

export function createSweep(setup: SweepSetup): Sweep {
  const { log, monotonic } = setup;
  const refused = new Map<TaskId, number>(); // until when each task is skipped, monotonic
  let pieceSize = FIRST_PIECE;
  let expiredAfter: Cursor | null = null;
  let overlongAfter: Cursor | null = null;
  let hasOverlong = true; // true at first, because the clock may have been set back before this process started; an empty read makes it false

  // ---- leases

  /** Expired leases are judged first: the search for overlong leases may read all running tasks and fail, and must not delay them. */
  async function judge(now: number): Promise<number> {
    const expired = await expireLost(await findExpired(now), now);
    return expired + (await expireLost(await findOverlong(now), now));
  }

  async function expireLost(over: readonly TaskHead[], now: number): Promise<number> {
    const tasks = over.filter((task) => isLost(task, now));
    const ended = await Promise.allSettled(tasks.map((task) => expireOne(task, now)));
    const failed = ended.filter((each) => each.status === "rejected");
    if (failed.length > 0) {
      log.warn("expire_failed", { tasks: failed.length, error: errorText(failed[0]?.reason) });
    }
    return tasks.length - failed.length;
  }

  const isLost = ({ lease }: Pick<TaskHead, "lease">, now: number): boolean =>
    lease !== null && isOver({ lease }, now) && setup.mayJudge(lease, now);

  /** Each round continues after the last one, so that a thousand tasks that may not be judged yet do not hide the others. */
  async function findExpired(now: number): Promise<readonly TaskHead[]> {
    const { tasks, next } = await find({ expiredAt: now }, "id", expiredAfter);
    expiredAfter = next;
    return tasks;
  }

  async function findOverlong(now: number): Promise<readonly TaskHead[]> {
    if (!hasOverlong && !setup.mayBeOverlong()) return [];
    const { tasks, next } = await find({ overlongAt: now }, "id", overlongAfter);
    hasOverlong = tasks.length > 0 || overlongAfter !== null;
    overlongAfter = next;
    return tasks;
  }

  /** Judged by the time of the round: this process may have been suspended since. */
  async function expireOne({ id, lease }: TaskHead, now: number): Promise<void> {
    let lossesBefore = 0;
    try {
      const { losses } = await setup.transition(id, (task, at) => {
        lossesBefore = task.losses;
        return isLost(task, now) ? expire(task, at) : task;
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

  /** Each retention fails separately and runs again with the next round. */
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
    const { tasks } = await find({ statuses, finishedBefore: now - keepMs }, "finished_at", null);
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
   * A batch that fails is tried again in halves, so that a task that cannot be deleted now does not prevent the deletion of
   * others. Deleting a version twice is the same as once, so this needs no proof that nothing was written. A statement timeout
   * gives no such proof.
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
  async function find(
    filter: TaskFilter,
    sort: TaskQuery["sort"],
    from: Cursor | null,
  ): Promise<TaskPage<TaskHead>> {
    const tasks: TaskHead[] = [];
    let after = from;
    do {
      const limit = SWEEP_AT_MOST - tasks.length;
      const page: TaskPage<TaskHead> = await setup.list({ filter, sort, after, limit, parts: "head" });
      tasks.push(...page.tasks);
      after = page.next;
    } while (after !== null && tasks.length < SWEEP_AT_MOST);
    return { tasks, next: after };
  }

  return { judge, retire };
}
