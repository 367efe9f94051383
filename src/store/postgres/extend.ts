/** Heartbeats: the lease's end always, progress and log lines where a beat brings some. */
import { LIMITS } from "../../core/task.ts";
import { type Beat, type BeatAnswer, PROGRESS_CHANGE_EVERY_MS } from "../store.ts";
import { pgArray } from "./array.ts";
import type { Parameter, Session } from "./pool.ts";

/**
 * As lifecycle.extend does. Takes the time, the ids, tokens, percents, messages and numbers of lines of the beats; a second
 * statement's worth of lines where there are some. Writes no indexed column, so the row stays HOT. Returns the ids that
 * still hold their lease and whether they are asked to stop.
 */
const extending = (
  brings: Brings,
): string => `WITH ${brings.progress ? "gate AS MATERIALIZED (SELECT tasktrack.gate())," : ""}
  beat AS MATERIALIZED (
    SELECT * FROM unnest($2::bigint[], $3::text[], $4::double precision[], $5::text[], $6::integer[])
      AS b(id, token, percent, message, lines)
  ),
  held AS MATERIALIZED (
    SELECT t.id, b.percent IS NOT NULL AND coalesce($1 - t.progress_logged_at >= ${PROGRESS_CHANGE_EVERY_MS}, true) AS is_change
    FROM tasktrack.tasks t JOIN beat b ON t.id = b.id
    WHERE t.status = 'running' AND t.token = b.token AND t.lease_until > $1::bigint
    ORDER BY t.id FOR NO KEY UPDATE OF t
  ),
  extended AS (
    UPDATE tasktrack.tasks t SET lease_until = greatest(t.lease_until + 1, $1 + t.lease_ms)${brings.progress ? SET_PROGRESS : ""}${
      brings.lines ? ", lines = t.lines + b.lines" : ""
    }
    FROM beat b JOIN held h ON h.id = b.id
    WHERE t.id = b.id AND t.status = 'running' AND t.token = b.token AND t.lease_until > $1
    RETURNING t.id, t.version, t.status, t.revoke_at, t.lines, h.is_change
  )${brings.progress ? LOG_PROGRESS : ""}${brings.lines ? WRITE_LINES : ""}
  SELECT id::float8, revoke_at IS NOT NULL FROM extended`;

type Brings = { readonly progress: boolean; readonly lines: boolean };

const SET_PROGRESS = `,
      progress_percent = coalesce(b.percent, t.progress_percent),
      progress_message = coalesce(b.message, t.progress_message),
      progress_logged_at = CASE WHEN h.is_change THEN $1 ELSE t.progress_logged_at END`;

const LOG_PROGRESS = `,
  logged AS (
    INSERT INTO tasktrack.changes (task_id, version, status, kind)
    SELECT id, version, status, 'progress' FROM extended CROSS JOIN gate WHERE is_change
  )`;

/** A line's number counts from the end: the beat's last line has the task's count. */
const WRITE_LINES = `,
  line AS (
    SELECT * FROM unnest($7::bigint[], $8::integer[], $9::text[], $10::text[]) AS l(task_id, from_end, level, message)
  ),
  spoken AS (
    INSERT INTO tasktrack.log_lines (task_id, n, at, level, message)
    SELECT l.task_id, e.lines - l.from_end, $1, l.level, l.message FROM line l JOIN extended e ON e.id = l.task_id
  ),
  forgotten AS (
    DELETE FROM tasktrack.log_lines o USING extended e
    WHERE o.task_id = e.id AND o.n <= e.lines - ${LIMITS.logLinesKept}
  )`;

export function createExtend(setup: { readonly session: Session; readonly sql: (text: string) => string }) {
  const { session, sql } = setup;
  const statements = new Map<string, string>();

  function statementFor(brings: Brings): string {
    const name = `${brings.progress} ${brings.lines}`;
    const statement = statements.get(name) ?? sql(extending(brings));
    statements.set(name, statement);
    return statement;
  }

  /** One answer for each beat; a call bears at most one beat a task. */
  return async function extend(beats: readonly Beat[], now: number): Promise<BeatAnswer[]> {
    if (beats.length === 0) return [];
    const brings = {
      progress: beats.some(({ progress }) => progress !== null),
      lines: beats.some(({ log }) => log.length > 0),
    };
    const parameters: Parameter[] = [
      now,
      pgArray(beats.map(({ id }) => id)),
      pgArray(beats.map(({ token }) => token)),
      pgArray(beats.map(({ progress }) => progress?.percent ?? null)),
      pgArray(beats.map(({ progress }) => progress?.message ?? null)),
      pgArray(beats.map(({ log }) => log.length)),
      ...(brings.lines ? linesOf(beats) : []),
    ];
    const rows = await session.rows(statementFor(brings), parameters);
    const answers = new Map(
      rows.map(([id, isAskedToStop]) => [Number(id), isAskedToStop ? "cancel" : "ok"] as const),
    );
    return beats.map(({ id }) => answers.get(id) ?? "lost");
  };
}

/** Of a beat with more than is kept only the last are sent; all are counted. */
function linesOf(beats: readonly Beat[]): Parameter[] {
  const lines = beats.flatMap(({ id, log }) => {
    const kept = log.slice(-LIMITS.logLinesKept);
    return kept.map(({ level, message }, at) => ({ id, fromEnd: kept.length - 1 - at, level, message }));
  });
  return [
    pgArray(lines.map(({ id }) => id)),
    pgArray(lines.map(({ fromEnd }) => fromEnd)),
    pgArray(lines.map(({ level }) => level)),
    pgArray(lines.map(({ message }) => message)),
  ];
}
