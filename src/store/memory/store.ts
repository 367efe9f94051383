/**
 * Tasks in the memory of this process. It is the default, and the reference that the other stores are compared with. Each method runs
 * between two turns of the event loop and is therefore atomic.
 */
import type { Clock } from "../../core/clock.ts";
import { dueTypes } from "../../core/due.ts";
import type { Parts, Task, TaskId, TaskParts } from "../../core/task.ts";
import type { ChangeKind, TaskPage, TaskQuery, TaskStore } from "../store.ts";
import { createChangeLog } from "./changes.ts";
import { createClaims } from "./claims.ts";
import { createDocuments } from "./documents.ts";
import { createLogs } from "./logs.ts";
import { createReads } from "./reads.ts";
import { createRequests } from "./requests.ts";
import { createRows } from "./rows.ts";
import { createWrites } from "./writes.ts";

export function createMemoryStore(setup: { readonly clock: Clock; readonly epoch: string }): TaskStore {
  const rows = createRows();
  const logs = createLogs();
  const documents = createDocuments();
  const changeLog = createChangeLog(setup.epoch);
  const watchers = new Set<(due: readonly string[]) => void>();

  function publish(changed: readonly Task[], kind: ChangeKind): void {
    if (changed.length === 0) return;
    for (const task of changed) changeLog.append(task, kind);
    if (watchers.size === 0) return;
    const due = kind === "deleted" ? [] : [...dueTypes(changed).keys()];
    for (const notify of watchers) notify(due);
  }

  const { insert, replace, remove, restore } = createWrites({
    ...{ rows, logs, documents, publish },
    requests: createRequests(),
  });
  const { claim, extend } = createClaims({ rows, logs, publish });
  const { get, list, typeCounts, count, positionOf } = createReads(rows);

  return {
    durability: "Memory of this process: all tasks are lost when it ends",
    insert: async (requests, now) => insert(requests, now),
    get: async <P extends Parts>(ids: readonly TaskId[], parts?: P) =>
      get(ids, parts ?? "whole") as (TaskParts[P] | null)[],
    list: async <P extends Parts>(query: TaskQuery<P>) => list(query) as TaskPage<Task & TaskParts[P]>,
    count,
    typeCounts: async () => typeCounts(),
    positionOf: async (id, now, atMost) => positionOf(id, now, atMost),
    claim: async (asks, terms) => claim(asks, terms),
    extend: async (beats, now) => extend(beats, now),
    replace: async (steps) => replace(steps),
    remove: async (refs) => remove(refs),
    restore: async (records) => restore(records),
    readLog: async (id, after) => logs.after(id, after),
    changes: async (after, limit) => changeLog.after(after, limit),
    watch: (notify) => {
      watchers.add(notify);
      return () => watchers.delete(notify);
    },
    writeDocuments: async (writes, now) => documents.write(writes, now),
    readDocuments: async (prefix, now, after) => documents.read(prefix, now, after),
    now: async () => setup.clock.now(),
    // What each of the calls finds costs no more than to find out whether there is something.
    look: async () => ({ now: setup.clock.now(), isDue: true, isExpired: true, hasDocuments: true }),
    close: async () => watchers.clear(),
  };
}
