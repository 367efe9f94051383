/** Statistics for operators: counts, the last hour, and the tasks of each worker. Gathered at most once a second. */
import type { Clock } from "../core/clock.ts";
import type { Parts, TaskHead, TaskId, TaskParts } from "../core/task.ts";
import type { Cursor, TaskPage, TaskQuery, TaskStore, TypeCount } from "../store/store.ts";
import type { MinuteAt, MinuteStatistics } from "./minute-statistics.ts";
import type { KnownWorker, WorkerRegistry } from "./worker-registry.ts";

export type Stats = {
  readonly types: readonly TypeCount[];
  readonly minutes: readonly MinuteAt[];
  /** The number of tasks of each worker, and the first hundred of them. */
  readonly workers: readonly (KnownWorker & {
    readonly running: number;
    readonly tasks: readonly TaskId[];
  })[];
  /** False if more tasks run than were read: workers may then have more tasks than listed. */
  readonly isComplete: boolean;
  /** Of the latest tasks, the most frequent first. */
  readonly tags: readonly { readonly tag: string; readonly count: number }[];
};

const KEPT_MS = 1_000;
/** Two limits: the tasks listed for each worker, and the running tasks that are read, which takes a tenth of a second on PostgreSQL. */
const TASKS_A_WORKER = 100;
const RUNNING_READ = 10_000;
const READ_AT_ONCE = 1_000;
const TAGS_OF_LATEST = 1_000;
const TAGS_SHOWN = 20;

type OfWorker = { count: number; readonly first: TaskId[] };
type Running = { readonly byWorker: ReadonlyMap<string, OfWorker>; readonly isComplete: boolean };

export function createStats(setup: {
  readonly store: Pick<TaskStore, "typeCounts" | "list">;
  readonly registry: Pick<WorkerRegistry, "list">;
  readonly minutes: Pick<MinuteStatistics, "read">;
  readonly clock: Clock;
}): () => Promise<Stats> {
  const { store, clock } = setup;
  let latest: { readonly at: number; readonly stats: Promise<Stats> } | null = null;

  async function gather(): Promise<Stats> {
    const [types, minutes, known, running, tags] = await Promise.all([
      store.typeCounts(),
      setup.minutes.read(),
      setup.registry.list(),
      runningByWorker(),
      commonTags(),
    ]);
    const workers = known.map((worker) => ({
      ...worker,
      running: running.byWorker.get(worker.name)?.count ?? 0,
      tasks: running.byWorker.get(worker.name)?.first ?? [],
    }));
    return { types, minutes, workers, isComplete: running.isComplete, tags };
  }

  /** The first tasks that the query finds, up to a number. A page may be short although there are more. */
  async function* tasksOf<P extends Parts>(
    query: Pick<TaskQuery<P>, "filter" | "sort"> & { readonly parts: P },
    most: number,
  ): AsyncGenerator<TaskParts[P]> {
    let left = most;
    let after: Cursor | null = null;
    do {
      const page: TaskPage<TaskHead & TaskParts[P]> = await store.list<P>({
        ...query,
        after,
        limit: Math.min(left, READ_AT_ONCE),
      });
      yield* page.tasks;
      left -= page.tasks.length;
      after = page.next;
    } while (after !== null && left > 0);
  }

  async function runningByWorker(): Promise<Running> {
    const byWorker = new Map<string, OfWorker>();
    let seen = 0;
    const query = { filter: { statuses: ["running"] }, sort: "id", parts: "head" } as const;
    for await (const { id, lease } of tasksOf(query, RUNNING_READ + 1)) {
      if (++seen > RUNNING_READ) break;
      if (lease === null) continue;
      const own = byWorker.get(lease.worker) ?? { count: 0, first: [] };
      byWorker.set(lease.worker, own);
      if (++own.count <= TASKS_A_WORKER) own.first.push(id);
    }
    return { byWorker, isComplete: seen <= RUNNING_READ };
  }

  async function commonTags(): Promise<Stats["tags"]> {
    const counts = new Map<string, number>();
    const query = { filter: {}, sort: "-id", parts: "light" } as const;
    for await (const { tags } of tasksOf(query, TAGS_OF_LATEST)) {
      for (const tag of tags) counts.set(tag, (counts.get(tag) ?? 0) + 1);
    }
    return [...counts]
      .sort(([a, first], [b, second]) => second - first || (a < b ? -1 : 1))
      .slice(0, TAGS_SHOWN)
      .map(([tag, count]) => ({ tag, count }));
  }

  return () => {
    const now = clock.monotonic();
    if (latest === null || now - latest.at >= KEPT_MS) latest = { at: now, stats: gather() };
    const { stats } = latest;
    stats.catch(() => {
      if (latest?.stats === stats) latest = null; // the next call tries again
    });
    return stats;
  };
}
