/** The query of the tasks page, and the tasks that match it. */
import type { Sort, Status, TaskFilter, TaskState } from "../../../src/client/client.ts";
import { ENDED_STATUSES, hasLabel, labelFault, STATUSES, takesType } from "../../../src/core/task.ts";
import type { TasksFilter } from "../../api/queries.ts";
import { knownOf, listOf, textOf } from "../../app/search.ts";

export const SORTS = ["-id", "id", "-finished_at", "finished_at"] as const satisfies readonly Sort[];
const NEWEST_FIRST: Sort = "-id";

export type TasksSearch = {
  status?: Status[];
  type?: string[];
  tag?: string[];
  label?: string[];
  q?: string;
  sort?: Sort;
};

/** Omits missing and unknown values, so that addresses stay short and old links work. */
export function validateTasksSearch(raw: Record<string, unknown>): TasksSearch {
  const status = knownOf(raw.status, STATUSES);
  const type = listOf(raw.type);
  const tag = listOf(raw.tag);
  const label = listOf(raw.label).filter((one) => labelFault(one) === null);
  const q = textOf(raw.q);
  const [sort] = knownOf(raw.sort, SORTS);
  return {
    ...(status.length > 0 ? { status } : {}),
    ...(type.length > 0 ? { type } : {}),
    ...(tag.length > 0 ? { tag } : {}),
    ...(label.length > 0 ? { label } : {}),
    ...(q !== "" ? { q } : {}),
    ...(sort !== undefined && sort !== NEWEST_FIRST ? { sort } : {}),
  };
}

export const sortOf = ({ sort = NEWEST_FIRST }: TasksSearch): Sort => sort;

export const filterOf = (search: TasksSearch): TasksFilter => ({ ...search, sort: sortOf(search) });

export const isFiltered = ({ sort: _, ...filter }: TasksSearch): boolean => Object.keys(filter).length > 0;

const isByEnd = (sort: Sort): boolean => sort.endsWith("finished_at");

/** The filter for bulk actions, which have no sort order: a list sorted by finish time contains only finished tasks. */
export function bulkFilterOf({ sort = NEWEST_FIRST, ...filter }: TasksSearch): TaskFilter {
  if (!isByEnd(sort)) return filter;
  return { ...filter, status: ENDED_STATUSES.filter((status) => filter.status?.includes(status) ?? true) };
}

/** Whether a task matches the filters. The text filter is not checked, because a task state contains no payload. */
export function takes(
  { status, type, tag, label, sort = NEWEST_FIRST }: TasksSearch,
  task: TaskState,
): boolean {
  return (
    (status?.includes(task.status) ?? true) &&
    (type?.some((pattern) => takesType(pattern, task.type)) ?? true) &&
    (tag?.every((one) => task.tags.includes(one)) ?? true) &&
    (label?.every((one) => hasLabel(task.labels, one)) ?? true) &&
    (!isByEnd(sort) || task.finished_at !== null)
  );
}

/** Whether a task sorts before the last loaded row. Tasks after that row appear when more rows load. */
export function isBefore(sort: Sort, task: TaskState, last: TaskState): boolean {
  switch (sort) {
    case "-id":
      return task.id > last.id;
    case "id":
      return task.id < last.id;
    case "-finished_at":
      return (task.finished_at ?? "") > (last.finished_at ?? "");
    case "finished_at":
      return (task.finished_at ?? "") < (last.finished_at ?? "");
  }
}
