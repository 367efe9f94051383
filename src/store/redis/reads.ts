/** Reads of tasks: one script finds ids in bounded pieces, another reads their tasks, and the filter is applied to those. */

import { TaskError } from "../../core/error.ts";
import { type AnyParts, narrowed, wider } from "../../core/parts.ts";
import { isEndedStatus, type Parts, type Task, type TaskHead, type TaskId } from "../../core/task.ts";
import { ANSWER_BYTES, textSize } from "../../core/text-size.ts";
import { BATCH_LIMITS, createBatch } from "../../lib/batch.ts";
import { conditionsOf, partsFor, takes } from "../filter.ts";
import type { Cursor, TaskFilter, TaskPage, TaskQuery } from "../store.ts";
import { countByReading } from "../type-counts.ts";
import type { Connection } from "./connection.ts";
import { partsOf, type Row } from "./row.ts";
import { SCRIPTS } from "./scripts.ts";
import { type Candidate, createSources } from "./sources.ts";

/** Rows that a script looks up: 1,000 take the server 2 to 3 ms. */
const ROWS = 1_000;
const BYTES = 1_048_576;
/** Rows that one call of `list` reads. A search folds the text of each. */
const SCANNED_ROWS = 5_000;
const SEARCHED_ROWS = 1_000;
export function createReads(connection: Connection) {
  const sourceOf = createSources(connection);

  /** The tasks of the first ids, as many as one script answers; null if there is none. */
  async function readSome(ids: readonly TaskId[], parts: Parts): Promise<(AnyParts | null)[]> {
    const args = [String(BYTES), parts];
    for (const id of ids) args.push(String(id));
    const fields = (await connection.run(SCRIPTS.rows, args)) as (string | null)[]; // as rows.lua says
    const tasks: (AnyParts | null)[] = [];
    for (let at = 0; at < fields.length; at += 5) {
      const [head, body, progress, payload, result] = fields.slice(at, at + 5);
      const row = { head, body, progress, payload, result } as Row; // with a head the row has all requested parts
      tasks.push(typeof head === "string" ? partsOf(ids[at / 5] as TaskId, row, parts) : null);
    }
    return tasks;
  }

  /** Script after script while the answer stays below `mostBytes`. */
  async function read(ids: readonly TaskId[], parts: Parts, mostBytes: number): Promise<(AnyParts | null)[]> {
    const tasks: (AnyParts | null)[] = [];
    let bytes = 0;
    while (tasks.length < ids.length && (tasks.length === 0 || bytes + BYTES <= mostBytes)) {
      const next = ids.slice(tasks.length, tasks.length + ROWS);
      for (const task of await readSome(next, parts)) {
        if (task !== null) bytes += sizeOf(task, parts);
        tasks.push(task);
      }
    }
    return tasks;
  }

  /** Reads of one task that come in one turn of the event loop, or while one is under way, share a script. */
  const getOne = createBatch<TaskId, AnyParts | null>({
    send: (ids) => read(ids, "whole", Number.POSITIVE_INFINITY),
    sizeOf: () => 1,
    provesRollback: () => false,
    overloaded: () => new TaskError("overloaded", "Too many requests wait for the store"),
    limits: { ...BATCH_LIMITS, bytes: ROWS, waitingBytes: Number.POSITIVE_INFINITY },
  });

  async function get(ids: readonly TaskId[], parts: Parts): Promise<(AnyParts | null)[]> {
    const [id] = ids;
    if (ids.length === 1 && id !== undefined && parts === "whole") return [await getOne(id)];
    return read(ids, parts, ANSWER_BYTES);
  }

  // ---- list

  async function list(query: TaskQuery<Parts>): Promise<TaskPage<AnyParts>> {
    const { filter, limit, parts = "whole" } = query;
    const source = await sourceOf(query);
    const needed = wider(parts, partsFor(filter));
    const tasks: AnyParts[] = [];
    let after = query.after;
    let bytes = 0; // of all rows that were read, because the filter may leave out most of them
    for (let seen = 0; seen < budgetOf(filter) || isSweepInVain(filter, tasks); ) {
      const most = isSelective(filter) ? ROWS : Math.min(ROWS, limit - tasks.length + 1);
      const found = await source(after, most);
      const rows = found.length === 0 ? [] : await readSome(ids(found), needed);
      for (const [at, task] of rows.entries()) {
        if (tasks.length === limit) return { tasks, next: after };
        after = cursorOf(found[at] as Candidate, task); // a row for each candidate, in order
        if (task === null) continue;
        bytes += sizeOf(task, needed);
        // It was read with all parts that the filter needs.
        if (isStill(task, query) && takes(filter, task as Task)) tasks.push(narrowed(task, parts));
      }
      if (found.length < most && rows.length === found.length) return { tasks, next: null };
      seen += rows.length;
      if (bytes + BYTES > ANSWER_BYTES && !isSweepInVain(filter, tasks)) break;
    }
    return { tasks, next: after };
  }

  const count = (filter: TaskFilter): Promise<number> => countByReading(list, filter, SCANNED_ROWS);

  return { get, list, count };
}

/** The approximate size in an answer. */
const sizeOf = (task: AnyParts, parts: Parts): number => textSize({ name: "", ...task }, parts);

const ids = (candidates: readonly Candidate[]): TaskId[] => candidates.map(({ id }) => id);

const budgetOf = (filter: TaskFilter): number => (filter.search === undefined ? SCANNED_ROWS : SEARCHED_ROWS);

/** A sweep takes only the first page, which must not be empty while later tasks match. */
const isSweepInVain = (filter: TaskFilter, tasks: readonly unknown[]): boolean =>
  filter.expiredAt !== undefined && tasks.length === 0;

/** Whether the filter may refuse some of the tasks that its source finds. A source finds tasks by their status alone. */
const isSelective = (filter: TaskFilter): boolean => conditionsOf(filter).some((name) => name !== "statuses");

/** A task may have been retried between the two scripts; then it has no place in the order of ends. */
const isStill = ({ status }: TaskHead, { sort }: TaskQuery<Parts>): boolean =>
  sort === "id" || sort === "-id" || isEndedStatus(status);

/** The place of the walk. In the order of ends it is the end by which the task was found, which may have changed since. */
const cursorOf = (found: Candidate, task: AnyParts | null): Cursor => ({
  id: found.id,
  finishedAt: found.finishedAt ?? (task !== null && "finishedAt" in task ? task.finishedAt : null),
});
