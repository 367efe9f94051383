import { STATUSES, type Status, type TaskHead } from "../core/task.ts";
import { takesGroup } from "./filter.ts";
import type { Cursor, TaskFilter, TaskPage, TaskQuery, TypeCount } from "./store.ts";

/** How many tasks a filter takes that the counts know all about (`isCounted`). */
export function sumTypeCounts(typeCounts: readonly TypeCount[], filter: TaskFilter): number {
  let total = 0;
  for (const { type, counts } of typeCounts) {
    for (const status of STATUSES) if (takesGroup(filter, { type, status })) total += counts[status];
  }
  return total;
}

/** How many tasks the filter takes, by reading the head of each. */
export async function countByReading(
  list: (query: TaskQuery<"head">) => Promise<TaskPage<TaskHead>>,
  filter: TaskFilter,
  pageSize: number,
): Promise<number> {
  let total = 0;
  let after: Cursor | null = null;
  do {
    const page: TaskPage<TaskHead> = await list({
      filter,
      sort: "id",
      after,
      limit: pageSize,
      parts: "head",
    });
    total += page.tasks.length;
    after = page.next;
  } while (after !== null);
  return total;
}

export const noTasks = (): Record<Status, number> => ({
  pending: 0,
  running: 0,
  done: 0,
  failed: 0,
  cancelled: 0,
});

/** One count of a store: the number of tasks of a type and status. */
export type CountedRow = { readonly type: string; readonly status: Status; readonly count: number };

/** Counts by type, from counts by type and status and the earliest `runAt` of the pending tasks of a type. */
export function typeCountsOf(
  rows: readonly CountedRow[],
  oldestRunAt: (type: string) => number | null,
): TypeCount[] {
  const byType = new Map<string, Record<Status, number>>();
  for (const { type, status, count } of rows) {
    if (count === 0) continue;
    const counts = byType.get(type) ?? noTasks();
    byType.set(type, counts);
    counts[status] += count;
  }
  return [...byType]
    .map(([type, counts]) => ({ type, counts, oldestRunAt: oldestRunAt(type) }))
    .sort((a, b) => (a.type < b.type ? -1 : 1));
}
