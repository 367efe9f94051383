/** How the whole stands, for people who look: counts, the last hour, who works on what. Asked at most once a second. */
import type { Clock } from "../core/clock.ts";
import type { TaskId } from "../core/task.ts";
import type { TaskStore } from "../store/store.ts";
import type { Stats } from "./engine.ts";
import type { Minutes } from "./minutes.ts";
import type { Roster } from "./roster.ts";

const KEPT_MS = 1_000;
/** Tasks that run are named up to this many, a worker and in all. */
const TASKS_A_WORKER = 100;
const RUNNING_READ = 1_000;
const TAGS_OF_LATEST = 1_000;
const TAGS_SHOWN = 20;

export function createStats(setup: {
  readonly store: Pick<TaskStore, "census" | "list">;
  readonly roster: Pick<Roster, "list">;
  readonly minutes: Pick<Minutes, "read">;
  readonly clock: Clock;
}): () => Promise<Stats> {
  const { store, clock } = setup;
  let latest: { readonly at: number; readonly stats: Promise<Stats> } | null = null;

  async function gather(): Promise<Stats> {
    const [types, minutes, known, tasks, tags] = await Promise.all([
      store.census(),
      setup.minutes.read(),
      setup.roster.list(),
      runningByWorker(),
      commonTags(),
    ]);
    const workers = known.map((worker) => ({
      ...worker,
      tasks: (tasks.get(worker.name) ?? []).slice(0, TASKS_A_WORKER),
    }));
    return { types, minutes, workers, tags };
  }

  async function runningByWorker(): Promise<Map<string, TaskId[]>> {
    const { tasks } = await store.list({
      filter: { statuses: ["running"] },
      sort: "id",
      after: null,
      limit: RUNNING_READ,
    });
    const byWorker = new Map<string, TaskId[]>();
    for (const { id, lease } of tasks) {
      if (lease === null) continue;
      const own = byWorker.get(lease.worker);
      if (own === undefined) byWorker.set(lease.worker, [id]);
      else own.push(id);
    }
    return byWorker;
  }

  async function commonTags(): Promise<Stats["tags"]> {
    const { tasks } = await store.list({ filter: {}, sort: "-id", after: null, limit: TAGS_OF_LATEST });
    const counts = new Map<string, number>();
    for (const tag of tasks.flatMap((task) => task.tags)) counts.set(tag, (counts.get(tag) ?? 0) + 1);
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
      if (latest?.stats === stats) latest = null; // the next who asks tries again
    });
    return stats;
  };
}
