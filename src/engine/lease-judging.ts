/**
 * Finds the leases of dead workers, and ends cancelled work that continues. Every process does this, and there is no leader: if two
 * processes write the same task, the store lets one write.
 */
import { isTaskError } from "../core/error.ts";
import { isOver } from "../core/lease.ts";
import { expire } from "../core/lifecycle.ts";
import type { Lease, LightTask, TaskHead, TaskId } from "../core/task.ts";
import { errorText, type Log } from "../lib/log.ts";
import type { Cursor } from "../store/store.ts";
import { findTasks, type ListHeads } from "./find-tasks.ts";

export type LeaseJudgingSetup = {
  readonly list: ListHeads;
  readonly transition: (id: TaskId, rule: (task: LightTask, now: number) => LightTask) => Promise<LightTask>;
  /** Whether a task whose lease or grace is over at `now` may be judged: its worker could reach the server. */
  readonly mayJudge: (lease: Lease, now: number) => boolean;
  /** Whether other processes may write leases that end too far ahead, because the clock was set back. */
  readonly mayBeOverlong: () => boolean;
  readonly log: Log;
};

/**
 * Reads up to ROUND_AT_MOST tasks whose lease or grace is over at `now`, and ends those that may be judged; returns how many.
 * @param isExpired false if it is known that there is no such task
 */
export type JudgeLeases = (now: number, isExpired: boolean) => Promise<number>;

export function createLeaseJudging(setup: LeaseJudgingSetup): JudgeLeases {
  const { list, log } = setup;
  let expiredAfter: Cursor | null = null;
  let overlongAfter: Cursor | null = null;
  let hasOverlong = true; // true at first, because the clock may have been set back before this process started; an empty read makes it false

  /** Expired leases are judged first: the search for overlong leases may read all running tasks and fail, and must not delay them. */
  async function judge(now: number, isExpired: boolean): Promise<number> {
    const expired = isExpired ? await expireLost(await findExpired(now), now) : 0;
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
    const { tasks, next } = await findTasks(list, { expiredAt: now }, "id", expiredAfter);
    expiredAfter = next;
    return tasks;
  }

  async function findOverlong(now: number): Promise<readonly TaskHead[]> {
    if (!hasOverlong && !setup.mayBeOverlong()) return [];
    const { tasks, next } = await findTasks(list, { overlongAt: now }, "id", overlongAfter);
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

  return judge;
}
