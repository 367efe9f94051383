import { expiresAt, isOverlong } from "../core/lifecycle.ts";
import { matchesSearch } from "../core/search.ts";
import { isRunning, type Parts, type Task, takesType } from "../core/task.ts";
import type { TaskFilter } from "./store.ts";

/** The parts of a task that `takes` reads for this filter. */
export function partsFor({ tags, search, finishedBefore }: TaskFilter): Parts {
  if (search !== undefined) return "whole";
  return tags === undefined && finishedBefore === undefined ? "head" : "light";
}

/** Whether the filter takes the task: the last word, whatever index a store has found it by. */
export function takes(filter: TaskFilter, task: Task): boolean {
  const { statuses, types, tags, search, finishedBefore, expiredAt, overlongAt } = filter;
  if (statuses !== undefined && !statuses.includes(task.status)) return false;
  if (types !== undefined && !types.some((pattern) => takesType(pattern, task.type))) return false;
  if (tags !== undefined && !tags.every((tag) => task.tags.includes(tag))) return false;
  if (finishedBefore !== undefined && !(task.finishedAt !== null && task.finishedAt < finishedBefore))
    return false;
  if (expiredAt !== undefined && !(isRunning(task) && expiresAt(task) <= expiredAt)) return false;
  if (overlongAt !== undefined && !(isRunning(task) && isOverlong(task, overlongAt))) return false;
  return search === undefined || matchesSearch(task, search);
}
