import { STATUSES, type Status, takesType } from "../core/task.ts";
import type { TaskFilter, TypeCount } from "./store.ts";

/** The members of a filter that the census can answer. */
const KNOWN_TO_THE_CENSUS: ReadonlySet<string> = new Set<keyof TaskFilter>(["statuses", "types"]);

/**
 * Whether statuses and types alone decide what the filter takes: then the census knows how many, without a look at a task. A member
 * that is not in the list above is counted task by task, so a new one is counted correctly before anything here knows it.
 */
export const isCountedByCensus = (filter: TaskFilter): boolean =>
  Object.entries(filter).every(([name, value]) => value === undefined || KNOWN_TO_THE_CENSUS.has(name));

/** How many tasks such a filter takes. */
export function countByCensus(census: readonly TypeCount[], { statuses, types }: TaskFilter): number {
  let total = 0;
  for (const { type, counts } of census) {
    if (types !== undefined && !types.some((pattern) => takesType(pattern, type))) continue;
    for (const status of STATUSES) if (statuses?.includes(status) ?? true) total += counts[status];
  }
  return total;
}

export const noTasks = (): Record<Status, number> => ({
  pending: 0,
  running: 0,
  done: 0,
  failed: 0,
  cancelled: 0,
});

/** What a store has counted, a row a type and status. */
export type CountedRow = { readonly type: string; readonly status: Status; readonly count: number };

/** The census from what a store has counted and the earliest `runAt` among the pending tasks of a type. */
export function censusOf(
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
