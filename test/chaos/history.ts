/** What happened, put together from what processes have logged and from the store. */
import type { Task } from "../../src/core/task.ts";
import type { TaskPage, TaskStore } from "../../src/store/store.ts";
import type { LogEvent } from "../support/server-process.ts";
import { openTestStore } from "../support/stores.ts";
import type { Life } from "./cluster.ts";

/** One run of a task in one process. Times are epoch milliseconds. */
export type Execution = {
  readonly taskId: number;
  readonly pid: number;
  readonly from: number;
  /** Null where nothing was seen of its end. */
  readonly until: number | null;
};

const ENDS: ReadonlySet<string> = new Set([
  "task_done",
  "task_failed",
  "task_released",
  "task_stopping",
  "outcome_dropped",
]);

/** The executions of one life of a process; what it had not ended, its death did. */
export function executionsOf({ pid, process, diedAt }: Pick<Life, "pid" | "diedAt"> & Logged): Execution[] {
  const executions: Execution[] = [];
  const open = new Map<number, number>(); // since when
  for (const { event, time, task_id } of process.events()) {
    const [taskId, at] = [Number(task_id), Date.parse(String(time))];
    if (event === "task_started") open.set(taskId, at);
    const from = open.get(taskId);
    if (!ENDS.has(event) || from === undefined) continue;
    executions.push({ taskId, pid, from, until: at });
    open.delete(taskId);
  }
  for (const [taskId, from] of open) executions.push({ taskId, pid, from, until: diedAt });
  return executions;
}

/** The tasks that a living process has begun and not ended. */
export const runningIn = (life: Life): number[] =>
  executionsOf(life)
    .filter(({ until }) => until === null)
    .map(({ taskId }) => taskId);

type Logged = { readonly process: { events(): readonly LogEvent[] } };

/** Opens the store beside the servers, for a look at what no client sees. */
export async function withStore<T>(storeUrl: string, body: (store: TaskStore) => Promise<T>): Promise<T> {
  const store = await openTestStore(storeUrl);
  try {
    return await body(store);
  } finally {
    await store.close();
  }
}

export const readAllTasks = (storeUrl: string): Promise<Task[]> =>
  withStore(storeUrl, async (store) => {
    const tasks: Task[] = [];
    let after = null;
    do {
      const page: TaskPage = await store.list({ filter: {}, sort: "id", after, limit: 1_000 });
      tasks.push(...page.tasks);
      after = page.next;
    } while (after !== null);
    return tasks;
  });

/** For each lease that was lost with a killed process: from its death to the task's next start, or its end, in milliseconds. */
export function recoveries(tasks: readonly Task[], deaths: ReadonlyMap<number, number>): number[] {
  return tasks.flatMap((task) =>
    task.attempts.flatMap((attempt, at) => {
      const diedAt = deaths.get(pidOf(attempt.worker));
      if (attempt.outcome !== "lost" || diedAt === undefined) return [];
      const next = task.attempts[at + 1]?.startedAt ?? task.finishedAt ?? Number.POSITIVE_INFINITY;
      return [next - diedAt];
    }),
  );
}

/** A worker's name ends in its process. */
export const pidOf = (worker: string): number => Number(worker.slice(worker.lastIndexOf("-") + 1));
