/** Reads of tasks by their ids. */
import { TaskError } from "../../core/error.ts";
import type { AnyParts } from "../../core/parts.ts";
import type { Parts, Task, TaskId } from "../../core/task.ts";
import { ANSWER_BYTES } from "../../core/text-size.ts";
import { createBatch } from "../../lib/batch.ts";
import { pgArray } from "./array.ts";
import { bytesBefore, isWithin } from "./byte-limit.ts";
import { COLUMNS, selectList, sizeOf } from "./columns.ts";
import { type Session, type Statement, statement } from "./statement.ts";

/** A row for each id in the order of the ids, empty if there is no such task, up to the byte limit of an answer. */
const getStatement = (parts: Parts): string => `SELECT ${selectList("t", parts)} FROM (
    SELECT t.*, w.n, ${bytesBefore(sizeOf("t", parts), "w.n")}
    FROM unnest($ids::bigint[]) WITH ORDINALITY AS w(id, n)
    LEFT JOIN LATERAL (SELECT * FROM tasktrack.tasks t WHERE t.id = w.id LIMIT 1) t ON true) t
  WHERE ${isWithin(ANSWER_BYTES, "t")} ORDER BY t.n`;

export function createGet(setup: { readonly session: Session; readonly sql: (text: string) => string }) {
  const prepare = (parts: Parts): Statement => statement(setup.sql(getStatement(parts)));
  const selects = { whole: prepare("whole"), light: prepare("light"), head: prepare("head") };

  /** As many of the first ids as fit into one answer. */
  async function read<P extends Parts>(ids: readonly TaskId[], parts: P) {
    const rows = await selects[parts](setup.session, { ids: pgArray(ids) });
    return rows.map((row) => (row.id === null ? null : COLUMNS.read(row, parts)));
  }

  /** Reads of one task are batched into one statement, as writes are. This is faster as soon as two reads are waiting. */
  const readOne = createBatch<TaskId, Task | null>({
    send: async (ids) => {
      const tasks: (Task | null)[] = [];
      while (tasks.length < ids.length) tasks.push(...(await read(ids.slice(tasks.length), "whole")));
      return tasks;
    },
    provesRollback: () => false,
    overloaded: () => new TaskError("overloaded", "Too many requests are waiting for the store"),
  });

  return async (ids: readonly TaskId[], parts: Parts): Promise<(AnyParts | null)[]> => {
    const [id] = ids;
    if (id === undefined) return [];
    return ids.length === 1 && parts === "whole" ? [await readOne(id)] : read(ids, parts);
  };
}
