/**
 * The house's own work, done by every process alike: lost workers are found, cancelled work that ignores it is revoked,
 * old tasks are deleted. There is no leader; two sweeps that meet on a task are told apart by the store.
 */
import { isTaskError } from "../core/error.ts";
import { expire } from "../core/lifecycle.ts";
import type { EndedStatus, Task, TaskId } from "../core/task.ts";
import type { Log } from "../lib/log.ts";
import type { Cursor, TaskFilter, TaskPage, TaskQuery, TaskRef } from "../store/store.ts";

export type Retention = { readonly statuses: readonly EndedStatus[]; readonly keepMs: number };

export type SweepSetup = {
  readonly list: (query: TaskQuery) => Promise<TaskPage>;
  readonly transition: (id: TaskId, rule: (task: Task, now: number) => Task) => Promise<Task>;
  readonly remove: (refs: readonly TaskRef[]) => Promise<unknown>;
  readonly retentions: readonly Retention[];
  readonly log: Log;
};

export const SWEEP_AT_MOST = 1_000;

export type Swept = { readonly expired: number; readonly removed: number };

export function createSweep(setup: SweepSetup) {
  /** One sweep at time `now`; `judge` false leaves leases alone. Does at most SWEEP_AT_MOST of each. */
  async function sweep(now: number, judge: boolean): Promise<Swept> {
    const expired = judge ? await expireLeases(now) : 0;
    let removed = 0;
    for (const retention of setup.retentions) removed += await retire(retention, now);
    return { expired, removed };
  }

  async function expireLeases(now: number): Promise<number> {
    const tasks = await find({ expiredAt: now }, "id");
    await Promise.all(tasks.map(expireOne));
    return tasks.length;
  }

  async function expireOne(found: Task): Promise<void> {
    try {
      const task = await setup.transition(found.id, expire);
      if (task.losses > found.losses) {
        setup.log.warn("worker_lost", { task_id: task.id, worker: found.lease?.worker, losses: task.losses });
      }
    } catch (error) {
      if (!isTaskError(error, "not_found")) throw error; // deleted meanwhile
    }
  }

  async function retire({ statuses, keepMs }: Retention, now: number): Promise<number> {
    if (keepMs === 0) return 0; // kept for ever
    const tasks = await find({ statuses, finishedBefore: now - keepMs }, "finished_at");
    if (tasks.length > 0) await setup.remove(tasks.map(({ id, version }) => ({ id, version })));
    return tasks.length;
  }

  /** A page may be short while there is more behind it, so pages are read until there is enough to do. */
  async function find(filter: TaskFilter, sort: TaskQuery["sort"]): Promise<Task[]> {
    const tasks: Task[] = [];
    let after: Cursor | null = null;
    do {
      const page: TaskPage = await setup.list({ filter, sort, after, limit: SWEEP_AT_MOST - tasks.length });
      tasks.push(...page.tasks);
      after = page.next;
    } while (after !== null && tasks.length < SWEEP_AT_MOST);
    return tasks;
  }

  return sweep;
}
