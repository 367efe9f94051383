/** The number of tasks of each type and status. */
import type { Status, Task } from "../../core/task.ts";
import type { TypeCount } from "../store.ts";
import { noTasks } from "../type-counts.ts";

export interface Counts {
  add(task: Task): void;
  remove(task: Task): void;
  read(oldestRunAt: (type: string) => number | null): TypeCount[];
}

export function createCounts(): Counts {
  const byType = new Map<string, Record<Status, number>>();

  /** A type whose tasks are all deleted keeps its entry: there are few types, and most of them get tasks again. */
  function countsOf(type: string): Record<Status, number> {
    const known = byType.get(type);
    if (known !== undefined) return known;
    const counts = noTasks();
    byType.set(type, counts);
    return counts;
  }

  function read(oldestRunAt: (type: string) => number | null): TypeCount[] {
    const withTasks = [...byType].filter(([, counts]) => Object.values(counts).some((count) => count > 0));
    return withTasks
      .map(([type, counts]) => ({ type, counts: { ...counts }, oldestRunAt: oldestRunAt(type) }))
      .sort((a, b) => (a.type < b.type ? -1 : 1));
  }

  return {
    add: (task) => {
      countsOf(task.type)[task.status]++;
    },
    remove: (task) => {
      countsOf(task.type)[task.status]--;
    },
    read,
  };
}
