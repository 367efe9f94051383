/** Ended tasks of each status in the order of their ends. */
import { ENDED_STATUSES, type EndedStatus, type EndedTask, type Task } from "../../core/task.ts";
import { createSorted, type Sorted } from "../../lib/sorted.ts";
import { possibleStatuses } from "../filter.ts";
import type { Cursor, TaskFilter } from "../store.ts";

export interface Ended {
  add(task: EndedTask): void;
  remove(task: EndedTask): void;
  /** The tasks that the filter may take, in the order of their ends, from after the cursor. */
  walk(filter: TaskFilter, forward: boolean, after: Cursor | null): Generator<Task>;
}

export function createEnded(): Ended {
  const byStatus: Record<EndedStatus, Sorted<EndedTask>> = {
    done: createSorted(byEnd),
    failed: createSorted(byEnd),
    cancelled: createSorted(byEnd),
  };

  function* walk(filter: TaskFilter, forward: boolean, after: Cursor | null): Generator<Task> {
    const possible = possibleStatuses(filter);
    const probe = after === null ? null : probeAt(after);
    const sources = ENDED_STATUSES.filter((status) => possible.includes(status)).map((status) =>
      forward ? byStatus[status].from(probe) : byStatus[status].backFrom(probe),
    );
    for (const task of merge(sources, forward ? byEnd : (a, b) => byEnd(b, a))) {
      if (forward && filter.finishedBefore !== undefined && task.finishedAt >= filter.finishedBefore) return;
      if (after === null || task.id !== after.id) yield task;
    }
  }

  return {
    add: (task) => byStatus[task.status].add(task),
    remove: (task) => byStatus[task.status].remove(task),
    walk,
  };
}

const byEnd = (a: EndedTask, b: EndedTask): number => a.finishedAt - b.finishedAt || a.id - b.id;

/** A value at the cursor's place in the order of ends; only these two fields are compared. */
const probeAt = (cursor: Cursor): EndedTask =>
  ({ id: cursor.id, finishedAt: cursor.finishedAt ?? 0 }) as EndedTask;

/** Merges ordered sources into one order. */
function* merge<T>(sources: readonly Generator<T>[], compare: (a: T, b: T) => number): Generator<T> {
  const heads: { value: T; rest: Generator<T> }[] = [];
  const advance = (rest: Generator<T>): void => {
    const next = rest.next();
    if (!next.done) heads.push({ value: next.value, rest });
  };
  for (const source of sources) advance(source);
  while (heads.length > 0) {
    heads.sort((a, b) => compare(a.value, b.value));
    const [head] = heads.splice(0, 1);
    if (head === undefined) return;
    yield head.value;
    advance(head.rest);
  }
}
