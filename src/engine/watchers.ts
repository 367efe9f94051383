/** The engine for clients that watch: changes, waits for the end of a task, explanations and statistics. */
import type { Clock } from "../core/clock.ts";
import { type Explanation, explain } from "../core/explain.ts";
import type { LightTask, Task, TaskId } from "../core/task.ts";
import type { Service } from "../lib/service.ts";
import type { Position, TaskStore } from "../store/store.ts";
import type { ChangeFeed } from "./change-feed.ts";
import { type ChangeReader, createChangeReader } from "./change-reader.ts";
import type { MinuteStatistics } from "./minute-statistics.ts";
import type { ReadMany } from "./read-many.ts";
import { createStats, type Stats } from "./stats.ts";
import type { Steps } from "./steps.ts";
import { createTaskWaits } from "./task-waits.ts";
import type { WorkerRegistry } from "./worker-registry.ts";

export type { Change, Position } from "../store/store.ts";
export type { Stats } from "./stats.ts";

export interface Watchers {
  /** The task as soon as it has ended, or as it is when the time is up or the signal aborts. */
  wait(id: TaskId, withinMs: number, signal: AbortSignal): Promise<Task>;
  /** The present end of the change log. */
  position(): Promise<Position>;
  /** Reads the changes after a position, as they come; must be closed. */
  follow(after: Position): ChangeReader;
  /** Many tasks, for readers that have learnt of their changes; calls of one turn of the event loop share the read. */
  readMany: ReadMany;
  /** Why the task is in its present status. */
  explain(id: TaskId): Promise<{ readonly task: LightTask } & Explanation>;
  /** Counts, the last hour and the workers, at most a second old. */
  stats(): Promise<Stats>;
}

const POSITIONS_COUNTED = 1_000;

export function createWatchers(setup: {
  readonly store: Pick<TaskStore, "changes" | "positionOf" | "typeCounts" | "list">;
  readonly steps: Pick<Steps, "read">;
  readonly readMany: ReadMany;
  readonly feed: ChangeFeed;
  readonly registry: Pick<WorkerRegistry, "list">;
  readonly minutes: Pick<MinuteStatistics, "read">;
  readonly now: () => number;
  readonly clock: Clock;
}) {
  const { store, steps, readMany, feed, registry } = setup;
  const waits = createTaskWaits({ feed, clock: setup.clock, get: (id) => steps.read(id, "whole") });

  async function explainTask(id: TaskId) {
    const task = await steps.read(id, "light");
    const now = setup.now();
    const isInLine = task.status === "pending" && task.runAt <= now;
    const [workers, before] = await Promise.all([
      registry.list(),
      isInLine ? store.positionOf(id, now, POSITIONS_COUNTED) : null,
    ]);
    return { task, ...explain(task, { now, workers, before, countedTo: POSITIONS_COUNTED }) };
  }

  const watchers: Watchers = {
    wait: waits.wait,
    position: async () => (await store.changes(null, 1)).position,
    follow: (after) => createChangeReader({ feed, store }, after),
    readMany,
    explain: explainTask,
    stats: createStats(setup),
  };
  const service: Service = {
    name: "change feed and task waits",
    start: () => undefined,
    drain: waits.release,
    stop: async () => {
      waits.release();
      feed.close();
    },
  };
  return { watchers, releaseWaits: waits.release, service };
}
