import type { Task, TaskId } from "../core/task.ts";
import type { TaskStore } from "../store/store.ts";

/** The tasks of these ids that there are. */
export type Look = (ids: readonly TaskId[]) => Promise<ReadonlyMap<TaskId, Task>>;

const READ_AT_MOST = 1_000;

/**
 * Reads for many who are woken by the same change: all who ask in one turn share one call of the store, which reads each
 * task once.
 */
export function createSharedReads(store: Pick<TaskStore, "get">): Look {
  let joined: { readonly ids: Set<TaskId>; readonly answer: ReturnType<Look> } | null = null;

  function open() {
    const ids = new Set<TaskId>();
    const answer = Promise.resolve().then(() => {
      joined = null;
      return read([...ids]);
    });
    return { ids, answer };
  }

  async function read(ids: readonly TaskId[]): Promise<ReadonlyMap<TaskId, Task>> {
    const found = new Map<TaskId, Task>();
    for (let at = 0; at < ids.length; at += READ_AT_MOST) {
      const tasks = await store.get(ids.slice(at, at + READ_AT_MOST));
      for (const task of tasks) if (task !== null) found.set(task.id, task);
    }
    return found;
  }

  return (ids) => {
    joined ??= open();
    for (const id of ids) joined.ids.add(id);
    return joined.answer;
  };
}
