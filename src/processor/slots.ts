import type { TaskId } from "../core/task.ts";
import { type Timers, within } from "../lib/waiting.ts";
import type { Run } from "./run.ts";

/** A fixed number of slots, each with at most one run. */
export interface Slots {
  readonly runs: ReadonlySet<Run>;
  readonly free: number;
  /** The latest run of this task. A lost task may come back before its earlier run has ended, so there may be several. */
  latest(id: TaskId): Run | undefined;
  take(run: Run): void;
  release(run: Run): void;
  /** Resolves at the next release or wake-up. */
  released(): Promise<void>;
  wake(): void;
  /** Resolves when all slots are free, or after `withinMs`. */
  emptied(withinMs: number): Promise<void>;
}

export function createSlots(count: number, timers: Timers): Slots {
  const runs = new Set<Run>();
  const latest = new Map<TaskId, Run>();
  let wake = (): void => undefined;
  let onEmpty = (): void => undefined;

  return {
    runs,
    get free() {
      return count - runs.size;
    },
    latest: (id) => latest.get(id),
    take: (run) => {
      runs.add(run);
      latest.set(run.task.id, run);
    },
    release: (run) => {
      runs.delete(run);
      if (latest.get(run.task.id) === run) latest.delete(run.task.id);
      wake();
      if (runs.size === 0) onEmpty();
    },
    released: () => new Promise((resolve) => (wake = resolve)),
    wake: () => wake(),
    emptied: async (withinMs) => {
      if (runs.size === 0 || withinMs <= 0) return;
      const empty = new Promise<void>((resolve) => (onEmpty = resolve));
      await within(timers, withinMs, empty, undefined);
    },
  };
}
