/** Tasks of another store, taken over as they are. */
import { isTaskError, TaskError } from "../../core/error.ts";
import type { TaskRecord } from "../store.ts";
import { pgArray, pgColumn } from "./array.ts";
import type { Pool } from "./pool.ts";
import { ALL_COLUMNS, valuesOf } from "./rows.ts";

/** Takes a column of each task, and how many lines each has ever had. Returns the ids that were not here yet. */
const PUT = `WITH gate AS MATERIALIZED (SELECT tasktrack.gate()),
  put AS (
    INSERT INTO tasktrack.tasks (${ALL_COLUMNS.map(({ name }) => name).join(", ")}, lines)
    SELECT * FROM unnest(${ALL_COLUMNS.map(({ type }, at) => `$${at + 1}::${type}[]`).join(", ")},
      $${ALL_COLUMNS.length + 1}::integer[])
    ON CONFLICT (id) DO NOTHING
    RETURNING id, version, status, type
  ),
  counted AS (
    INSERT INTO tasktrack.census (type, status, n) SELECT type, status, count(*) FROM put GROUP BY type, status
  ),
  logged AS (
    INSERT INTO tasktrack.changes (n, entries)
    SELECT count(*), string_agg(id || ' ' || version || ' ' || left(status, 1) || '+', ';') FROM put CROSS JOIN gate
    HAVING count(*) > 0
  )
  SELECT id FROM put`;

const PUT_LINES = `INSERT INTO tasktrack.log_lines (task_id, n, at, level, message)
  SELECT * FROM unnest($1::bigint[], $2::integer[], $3::bigint[], $4::text[], $5::text[])`;

/** A sequence only goes up. */
const RAISE = `SELECT setval('tasktrack.task_id', greatest($1::bigint, last_value), true) FROM tasktrack.task_id
  WHERE $1::bigint >= last_value`;

export function createRestore(setup: { readonly pool: Pool; readonly sql: (text: string) => string }) {
  const { pool } = setup;
  const put = setup.sql(PUT);
  const putLines = setup.sql(PUT_LINES);
  const raise = setup.sql(RAISE);

  return async function restore(records: readonly TaskRecord[]): Promise<number> {
    if (records.length === 0) return 0;
    try {
      return await pool.transaction(async (session) => {
        const tasks = records.map(({ task }) => task);
        const columns = ALL_COLUMNS.map((column) => pgColumn(valuesOf(column, tasks)));
        const counts = pgArray(records.map(({ log }) => log.at(-1)?.n ?? 0));
        const fresh = new Set((await session.rows(put, [...columns, counts])).map(([id]) => Number(id)));
        const lines = records.flatMap(({ task, log }) =>
          fresh.has(task.id) ? log.map((line) => ({ id: task.id, ...line })) : [],
        );
        if (lines.length > 0) {
          const parts = [
            lines.map(({ id }) => id),
            lines.map(({ n }) => n),
            lines.map(({ at }) => at),
            lines.map(({ level }) => level),
            lines.map(({ message }) => message),
          ];
          await session.rows(putLines, parts.map(pgArray));
        }
        await session.rows(raise, [Math.max(...tasks.map(({ id }) => id))]);
        return fresh.size;
      });
    } catch (error) {
      if (isTaskError(error, "store_rejected") && error.message.includes("tasks_live_key")) throw keyTaken();
      throw error;
    }
  };
}

const keyTaken = (): TaskError =>
  new TaskError("key_taken", "A live task of this store holds the key of a task to be taken over");
