/** Creates, steps and deletions. */
import { entersLife } from "../../core/lifecycle.ts";
import {
  type Draft,
  isEnded,
  isLive,
  NO_ID,
  type PendingTask,
  type Task,
  type TaskId,
} from "../../core/task.ts";
import { restoredKeyTaken } from "../refusals.ts";
import type {
  InsertAnswer,
  Inserted,
  InsertRequest,
  OnceDocument,
  ReplaceAnswer,
  Step,
  Stepped,
  TaskRecord,
  TaskRef,
} from "../store.ts";
import type { StoreParts } from "./parts.ts";

export function createWrites({ rows, logs, documents, requests, publish }: StoreParts) {
  let lastId = 0;

  // ---- insert

  function insert(calls: readonly InsertRequest[], now: number): InsertAnswer[] {
    requests.forget(now);
    const created: Task[] = [];
    const answers = calls.map((call) => insertOne(call, created, now));
    publish(created, "created");
    return answers;
  }

  function insertOne({ drafts, idempotency }: InsertRequest, created: Task[], now: number): InsertAnswer {
    const earlier = idempotency === null ? null : requests.earlier(idempotency, now);
    if (earlier !== null) return earlier;
    const tasks = drafts.map((draft) => insertDraft(draft, created));
    if (idempotency !== null) requests.remember(idempotency, tasks);
    return { kind: "created", tasks };
  }

  function insertDraft(draft: Draft, created: Task[]): Inserted {
    const holder = draft.key === null ? undefined : rows.holderOf(draft.key);
    if (holder !== undefined) return { id: holder, existing: true };
    const task = withId(draft, ++lastId);
    rows.place(null, task);
    created.push(task);
    return { id: task.id, existing: false };
  }

  // ---- replace and remove

  function replace(steps: readonly Step[]): ReplaceAnswer[] {
    const changed: Task[] = [];
    const answers = steps.map((step) => replaceOne(step, changed));
    publish(changed, "changed");
    return answers;
  }

  function replaceOne({ from, to: stepped, once }: Step, changed: Task[]): ReplaceAnswer {
    const stored = rows.byId.get(from.id);
    if (!isFree(once)) return "stale";
    if (stored === undefined || stored.version !== from.version) return "stale";
    if (stored.lease?.until !== from.lease?.until) return "stale";
    const isKeyWanted = entersLife(from, stepped) && stepped.key !== null;
    if (isKeyWanted && rows.holderOf(stepped.key) !== undefined) return "key_taken";
    if (once !== undefined) documents.writeOnce(once);
    const to = isWhole(stepped) ? stepped : ({ ...stored, ...stepped } as Task); // the same fields, with the step's status
    rows.place(stored, to);
    if (isEnded(to)) logs.end(to.id);
    changed.push(to);
    return "ok";
  }

  function remove(refs: readonly TaskRef[]): boolean[] {
    const removed: Task[] = [];
    const answers = refs.map((ref) => removeOne(ref, removed));
    publish(removed, "deleted");
    return answers;
  }

  function removeOne({ id, version, once }: TaskRef, removed: Task[]): boolean {
    const task = rows.byId.get(id);
    if (task === undefined || (version !== undefined && version !== task.version)) return false;
    if (!isFree(once)) return false;
    if (once !== undefined) documents.writeOnce(once);
    rows.remove(task);
    logs.remove(id);
    removed.push(task);
    return true;
  }

  const isFree = (once: OnceDocument | undefined): boolean => once === undefined || documents.isFree(once);

  // ---- restore

  function restore(records: readonly TaskRecord[]): number {
    const missing = records.filter(({ task }) => rows.byId.get(task.id) === undefined);
    const keys = missing.flatMap(({ task }) => (task.key !== null && isLive(task) ? [task.key] : []));
    const isTaken = keys.some((key) => rows.holderOf(key) !== undefined);
    if (isTaken || new Set(keys).size < keys.length) throw restoredKeyTaken();
    for (const { task, log } of missing) {
      rows.place(null, task);
      logs.restore(task.id, log);
      lastId = Math.max(lastId, task.id);
    }
    publish(
      missing.map(({ task }) => task),
      "created",
    );
    return missing.length;
  }

  return { insert, replace, remove, restore };
}

/**
 * The caller does not use the draft any more, so it becomes the task itself: a copy would take two hundred bytes a task and double the time
 * of a create. A draft with an id was inserted before, and is copied.
 */
function withId(draft: Draft, id: TaskId): PendingTask {
  if (draft.id !== NO_ID) return { ...draft, id };
  (draft as { id: TaskId }).id = id; // the caller does not use the draft any more
  return draft;
}

const isWhole = (task: Stepped): task is Task => "payload" in task && "result" in task;
