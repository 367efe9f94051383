/** Adds tasks of another store unchanged. */
import { isTaskError } from "../../core/error.ts";
import { restoredKeyTaken } from "../refusals.ts";
import type { TaskRecord } from "../store.ts";
import { pgArray } from "./array.ts";
import { ALL_COLUMNS, arraysOf, namesOf, valuesOf } from "./columns.ts";
import type { Pool } from "./pool.ts";
import { type Statement, statement } from "./statement.ts";

/** Takes the columns of the tasks, and the number of lines that each has ever had. Returns the ids that were not here yet. */
const PUT = `WITH gate AS MATERIALIZED (SELECT tasktrack.gate()),
  put AS (
    INSERT INTO tasktrack.tasks (${namesOf(ALL_COLUMNS)}, lines)
    SELECT * FROM unnest(${arraysOf(ALL_COLUMNS)}, $lines::integer[])
    ON CONFLICT (id) DO NOTHING
    RETURNING id, version, status, type
  ),
  counted AS (
    INSERT INTO tasktrack.census (type, status, n) SELECT type, status, count(*) FROM put GROUP BY type, status
  ),
  logged AS (
    INSERT INTO tasktrack.changes (n, entries)
    SELECT count(*), string_agg(id || ' ' || version || ' ' || tasktrack.status_code(status) || '+', ';') FROM put CROSS JOIN gate
    HAVING count(*) > 0
  )
  SELECT id FROM put`;

const PUT_LINES = `INSERT INTO tasktrack.log_lines (task_id, n, at, level, message)
  SELECT * FROM unnest($ids::bigint[], $numbers::integer[], $times::bigint[], $levels::text[], $messages::text[])`;

/** Never lowers the sequence. */
const RAISE = `SELECT setval('tasktrack.task_id', greatest($id::bigint, last_value), true) AS id FROM tasktrack.task_id
  WHERE $id::bigint >= last_value`;

export function createRestore(setup: { readonly pool: Pool; readonly sql: (text: string) => string }) {
  const { pool } = setup;
  const [put, putLines, raise] = [PUT, PUT_LINES, RAISE].map((text) => statement(setup.sql(text))) as [
    ...[Statement, Statement, Statement], // one for each
  ];

  return async function restore(records: readonly TaskRecord[]): Promise<number> {
    if (records.length === 0) return 0;
    try {
      return await pool.transaction(async (session) => {
        const tasks = records.map(({ task }) => task);
        const lineCounts = pgArray(records.map(({ log }) => log.at(-1)?.n ?? 0));
        const rows = await put(session, { ...valuesOf(ALL_COLUMNS, tasks), lines: lineCounts });
        const fresh = new Set(rows.map(({ id }) => Number(id)));
        const lines = records.flatMap(({ task, log }) =>
          fresh.has(task.id) ? log.map((line) => ({ id: task.id, ...line })) : [],
        );
        if (lines.length > 0) {
          await putLines(session, {
            ids: pgArray(lines.map(({ id }) => id)),
            numbers: pgArray(lines.map(({ n }) => n)),
            times: pgArray(lines.map(({ at }) => at)),
            levels: pgArray(lines.map(({ level }) => level)),
            messages: pgArray(lines.map(({ message }) => message)),
          });
        }
        await raise(session, { id: Math.max(...tasks.map(({ id }) => id)) });
        return fresh.size;
      });
    } catch (error) {
      if (isTaskError(error, "store_rejected") && error.message.includes("tasks_live_key"))
        throw restoredKeyTaken();
      throw error;
    }
  };
}
