import type { Parts, TaskId, TaskParts } from "../core/task.ts";
import type { TaskStore } from "../store/store.ts";

/** These parts of the existing tasks with these ids. */
export type ReadMany = <P extends Parts>(
  ids: readonly TaskId[],
  parts: P,
) => Promise<ReadonlyMap<TaskId, TaskParts[P]>>;

const READ_AT_MOST = 1_000;

/**
 * Reads for many callers that the same change wakes. All reads of the same parts in one turn of the event loop share the calls of the
 * store, which reads each task once. Each caller is answered as soon as its own tasks are read, so that the tasks of all callers
 * are not in memory together.
 */
export function createReadMany(store: Pick<TaskStore, "get">): ReadMany {
  const reads = {
    whole: createSharedRead(store, "whole"),
    light: createSharedRead(store, "light"),
    head: createSharedRead(store, "head"),
  };

  return async <P extends Parts>(ids: readonly TaskId[], parts: P) => {
    const tasks = await Promise.all(ids.map(reads[parts]));
    const found = new Map<TaskId, TaskParts[P]>();
    for (const task of tasks) if (task !== null) found.set(task.id, task as TaskParts[P]); // read for these parts
    return found;
  };
}

type Wanted<P extends Parts> = Map<TaskId, PromiseWithResolvers<TaskParts[P] | null>>;

function createSharedRead<P extends Parts>(store: Pick<TaskStore, "get">, parts: P) {
  let joined: Wanted<P> | null = null;

  function open(): Wanted<P> {
    const wanted: Wanted<P> = new Map();
    queueMicrotask(() => {
      joined = null;
      void read(wanted);
    });
    return wanted;
  }

  async function read(wanted: Wanted<P>): Promise<void> {
    const left = [...wanted];
    try {
      while (left.length > 0) {
        const ids = left.slice(0, READ_AT_MOST).map(([id]) => id);
        const tasks = await store.get(ids, parts);
        for (const [at, [, { resolve }]] of left.splice(0, tasks.length).entries())
          resolve(tasks[at] ?? null);
      }
    } catch (error) {
      for (const [, { reject }] of left) reject(error);
    }
  }

  return (id: TaskId): Promise<TaskParts[P] | null> => {
    joined ??= open();
    const known = joined.get(id);
    if (known !== undefined) return known.promise;
    const asked = Promise.withResolvers<TaskParts[P] | null>();
    joined.set(id, asked);
    return asked.promise;
  };
}
