/** Reads in bounded pieces. A whole task has every part, so all readers get the same object. */
import type { Parts, Task, TaskId } from "../../core/task.ts";
import { ANSWER_BYTES, textSize } from "../../core/text-size.ts";
import { isCounted, takes } from "../filter.ts";
import type { Cursor, Sort, TaskFilter, TaskPage, TaskQuery, TypeCount } from "../store.ts";
import { countByReading, sumTypeCounts } from "../type-counts.ts";
import type { Rows } from "./rows.ts";

/** The number of rows that one call of `list` reads: some milliseconds with any filter. */
const SCANNED_ROWS = 5_000;
/**
 * A search parses payloads and folds texts. These are the highest numbers of rows and of characters in one call: about ten
 * milliseconds.
 */
const SEARCHED_ROWS = 1_000;
const SEARCHED_TEXT = 1_048_576;

export function createReads(rows: Rows) {
  function get(ids: readonly TaskId[], parts: Parts): (Task | null)[] {
    const tasks: (Task | null)[] = [];
    let bytes = 0;
    for (const id of ids) {
      if (bytes >= ANSWER_BYTES) break;
      const task = rows.byId.get(id) ?? null;
      if (task !== null) bytes += textSize(task, parts);
      tasks.push(task);
    }
    return tasks;
  }

  function list({ filter, sort, after, limit, parts = "whole" }: TaskQuery<Parts>): TaskPage {
    const isSearch = filter.search !== undefined;
    const budget = isSearch ? SEARCHED_ROWS : SCANNED_ROWS;
    const tasks: Task[] = [];
    let seen = 0;
    let searched = 0;
    let bytes = 0;
    let last: Task | null = null;
    for (const task of walk(filter, sort, after)) {
      if (tasks.length === limit || seen === budget || searched >= SEARCHED_TEXT || bytes >= ANSWER_BYTES)
        return { tasks, next: last === null ? after : cursorOf(last) };
      seen++;
      last = task;
      if (isSearch) searched += textSize(task);
      if (!takes(filter, task)) continue;
      bytes += textSize(task, parts);
      tasks.push(task);
    }
    return { tasks, next: null };
  }

  /** All tasks that the filter may take, in order, from after the cursor. */
  function walk(filter: TaskFilter, sort: Sort, after: Cursor | null): Iterable<Task> {
    if (sort === "finished_at" || sort === "-finished_at")
      return rows.ended.walk(filter, sort === "finished_at", after);
    if (filter.expiredAt !== undefined || filter.overlongAt !== undefined)
      return walkRunning(filter, sort, after);
    return sort === "id" ? rows.byId.after(after?.id ?? null) : rows.byId.before(after?.id ?? null);
  }

  /** Few leases are over at a time, so the other tasks are left out before the sort. */
  function walkRunning(filter: TaskFilter, sort: "id" | "-id", after: Cursor | null): Task[] {
    const forward = sort === "id";
    return [...rows.running.values()]
      .filter((task) => takes(filter, task))
      .filter(({ id }) => after === null || (forward ? id > after.id : id < after.id))
      .sort((a, b) => (forward ? a.id - b.id : b.id - a.id));
  }

  const typeCounts = (): TypeCount[] => rows.counts.read(rows.lanes.oldestRunAt);

  const count = async (filter: TaskFilter): Promise<number> =>
    isCounted(filter)
      ? sumTypeCounts(typeCounts(), filter)
      : countByReading(listInTurn, filter, SCANNED_ROWS);

  /** A page of a count that takes several turns of the event loop. */
  async function listInTurn(query: TaskQuery<"head">): Promise<TaskPage> {
    if (query.after !== null) await nextTurn();
    return list(query);
  }

  function positionOf(id: TaskId, now: number, atMost: number): number | null {
    const task = rows.byId.get(id);
    return task?.status === "pending" ? rows.lanes.positionOf(task, now, atMost) : null;
  }

  return { get, list, typeCounts, count, positionOf };
}

const cursorOf = (task: Task): Cursor => ({ id: task.id, finishedAt: task.finishedAt });

/** Lets the event loop turn once. No timer: a clock that a test moves would never fire it. */
const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
