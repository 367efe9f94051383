import type { TaskHead } from "../core/task.ts";
import type { Cursor, TaskFilter, TaskPage, TaskQuery } from "../store/store.ts";

export type ListHeads = (query: TaskQuery<"head">) => Promise<TaskPage<TaskHead>>;

/** The highest number of tasks that one round of maintenance reads or changes. */
export const ROUND_AT_MOST = 1_000;

/** Up to ROUND_AT_MOST tasks. A page may be short although there are more, so pages are read until there are enough. */
export async function findTasks(
  list: ListHeads,
  filter: TaskFilter,
  sort: TaskQuery["sort"],
  from: Cursor | null,
): Promise<TaskPage<TaskHead>> {
  const tasks: TaskHead[] = [];
  let after = from;
  do {
    const page: TaskPage<TaskHead> = await list({
      ...{ filter, sort, after, parts: "head" },
      limit: ROUND_AT_MOST - tasks.length,
    });
    tasks.push(...page.tasks);
    after = page.next;
  } while (after !== null && tasks.length < ROUND_AT_MOST);
  return { tasks, next: after };
}
