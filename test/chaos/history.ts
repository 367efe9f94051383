/** The history of a test, from the logs of the processes and from the store. */
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
  /** Null if its end was not observed. */
  readonly until: number | null;
};

const ENDS: ReadonlySet<string> = new Set([
  "task_done",
  "task_failed",
  "task_released",
  "task_stopping",
  "outcome_dropped",
]);

/** The executions in one process. Executions that were running when the process died end with it. */
export function executionsOf({ pid, process, diedAt }: Pick<Life, "pid" | "diedAt"> & Logged): Execution[] {
  const { ended, open } = readOn(process);
  const cut = [...open].map(([taskId, from]) => ({ taskId, pid, from, until: diedAt }));
  return [...ended.map((execution) => ({ ...execution, pid })), ...cut];
}

type Reading = {
  readonly ended: Omit<Execution, "pid">[];
  /** The start of each running task. */
  readonly open: Map<number, number>;
  /** The number of events that have been read. */
  read: number;
};

const readings = new WeakMap<Logged["process"], Reading>();

/** Tests ask for executions often: each event is read once. */
function readOn(process: Logged["process"]): Reading {
  const reading: Reading = readings.get(process) ?? { ended: [], open: new Map(), read: 0 };
  readings.set(process, reading);
  const { ended, open } = reading;
  const events = process.events();
  for (const { event, time, task_id } of events.slice(reading.read)) {
    if (event !== "task_started" && !ENDS.has(event)) continue;
    const [taskId, at] = [Number(task_id), Date.parse(String(time))];
    const from = open.get(taskId);
    if (event === "task_started") open.set(taskId, at);
    else if (from !== undefined) {
      ended.push({ taskId, from, until: at });
      open.delete(taskId);
    }
  }
  reading.read = events.length;
  return reading;
}

/** The tasks that a running process has started and not ended. */
export const runningIn = ({ process, diedAt }: Life): number[] =>
  diedAt === null ? [...readOn(process).open.keys()] : [];

type Logged = { readonly process: { events(): readonly LogEvent[] } };

/** Opens the store beside the servers, to read what clients cannot see. */
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

/** For each lease that was lost with a killed process: the milliseconds from its death to the next start, or the end, of the task. */
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

/** A worker's name ends with the pid of its process. */
export const pidOf = (worker: string): number => Number(worker.slice(worker.lastIndexOf("-") + 1));
