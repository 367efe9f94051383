/** What the address of the tasks page says. */
import type { Sort, Status } from "../../../src/client/client.ts";
import { STATUSES } from "../../../src/core/task.ts";
import type { TasksFilter } from "../../api/queries.ts";
import { knownOf, listOf, textOf } from "../../app/search.ts";

const SORTS = ["-id", "id", "-finished_at", "finished_at"] as const satisfies readonly Sort[];

export type TasksSearch = {
  status?: Status[];
  type?: string[];
  tag?: string[];
  q?: string;
  sort?: Sort;
};

/** Leaves out what is not given or is not known, so that addresses stay short and old links work. */
export function validateTasksSearch(raw: Record<string, unknown>): TasksSearch {
  const status = knownOf(raw.status, STATUSES);
  const type = listOf(raw.type);
  const tag = listOf(raw.tag);
  const q = textOf(raw.q);
  const [sort] = knownOf(raw.sort, SORTS);
  return {
    ...(status.length > 0 ? { status } : {}),
    ...(type.length > 0 ? { type } : {}),
    ...(tag.length > 0 ? { tag } : {}),
    ...(q !== "" ? { q } : {}),
    ...(sort !== undefined ? { sort } : {}),
  };
}

/** The newest first unless it is said. */
export const filterOf = (search: TasksSearch): TasksFilter => ({ sort: "-id", ...search });
