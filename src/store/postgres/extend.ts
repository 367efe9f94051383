/** Heartbeats: the lease's end always, progress and log lines where a beat brings some. */
import { LIMITS, type TaskId } from "../../core/task.ts";
import { type Beat, type BeatAnswer, PROGRESS_CHANGE_EVERY_MS } from "../store.ts";
import { pgArray } from "./array.ts";
import type { Parameter, Row, Session } from "./pool.ts";

/** Whether a beat's progress is a change: at most once a second a task. */
const IS_CHANGE = `(b.percent IS NOT NULL AND coalesce($1 - t.progress_logged_at >= ${PROGRESS_CHANGE_EVERY_MS}, true))`;

/** Beats that bring nothing, which most do. */
const RENEW = "SELECT id::float8, is_asked_to_stop FROM tasktrack.renew($1, $2::bigint[], $3::text[])";

/**
 * As lifecycle.extend does. Takes the time, the ids, tokens, percents, messages and numbers of lines of the beats, and the lines
 * of all of them. Writes no indexed column, so the row stays HOT. Returns the ids that still hold their lease and whether
 * they are asked to stop.
 */
const SPEAK = `WITH gate AS MATERIALIZED (SELECT tasktrack.gate()),
  beat AS MATERIALIZED (
    SELECT * FROM unnest($2::bigint[], $3::text[], $4::double precision[], $5::text[], $6::integer[])
      AS b(id, token, percent, message, lines)
  ),
  held AS MATERIALIZED (
    SELECT t.id FROM tasktrack.tasks t JOIN beat b ON t.id = b.id
    WHERE t.status = 'running' AND t.token = b.token AND t.lease_until > $1::bigint
    ORDER BY t.id FOR NO KEY UPDATE OF t
  ),
  extended AS (
    UPDATE tasktrack.tasks t SET
      lease_until = greatest(t.lease_until + 1, $1 + t.lease_ms),
      progress_percent = coalesce(b.percent, t.progress_percent),
      progress_message = coalesce(b.message, t.progress_message),
      progress_is_change = ${IS_CHANGE},
      progress_logged_at = CASE WHEN ${IS_CHANGE} THEN $1 ELSE t.progress_logged_at END,
      lines = t.lines + b.lines
    FROM beat b JOIN held h ON h.id = b.id
    WHERE t.id = b.id AND t.status = 'running' AND t.token = b.token AND t.lease_until > $1
    RETURNING t.id, t.version, t.revoke_at, t.lines, t.progress_is_change
  ),
  logged AS (
    INSERT INTO tasktrack.changes (n, entries)
    SELECT count(*), string_agg(e.id || ' ' || e.version || ' r%', ';') FROM extended e CROSS JOIN gate
    WHERE e.progress_is_change HAVING count(*) > 0
  ),
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
      AND e.id IN (SELECT task_id FROM line)
  )
  SELECT id::float8, revoke_at IS NOT NULL FROM extended`;

export function createExtend(setup: { readonly session: Session; readonly sql: (text: string) => string }) {
  const { session } = setup;
  const renew = setup.sql(RENEW);
  const speak = setup.sql(SPEAK);

  /** One answer for each beat; a call bears at most one beat a task. */
  return async function extend(beats: readonly Beat[], now: number): Promise<BeatAnswer[]> {
    const inOrder = beats.toSorted((a, b) => a.id - b.id); // in which rows are locked
    const [speaking, silent] = [inOrder.filter(isSpeaking), inOrder.filter((beat) => !isSpeaking(beat))];
    const answers = new Map<TaskId, BeatAnswer>();
    const note = (rows: readonly Row[]): void => {
      for (const [id, isAskedToStop] of rows)
        answers.set(Number(id), isAskedToStop === true ? "cancel" : "ok");
    };
    if (silent.length > 0) note(await session.rows(renew, [now, ...namesOf(silent)]));
    if (speaking.length > 0)
      note(await session.rows(speak, [now, ...namesOf(speaking), ...wordsOf(speaking)]));
    return beats.map(({ id }) => answers.get(id) ?? "lost");
  };
}

const isSpeaking = ({ progress, log }: Beat): boolean => progress !== null || log.length > 0;

const namesOf = (beats: readonly Beat[]): Parameter[] => [
  pgArray(beats.map(({ id }) => id)),
  pgArray(beats.map(({ token }) => token)),
];

const wordsOf = (beats: readonly Beat[]): Parameter[] => [
  pgArray(beats.map(({ progress }) => progress?.percent ?? null)),
  pgArray(beats.map(({ progress }) => progress?.message ?? null)),
  pgArray(beats.map(({ log }) => log.length)),
  ...linesOf(beats),
];

/** A line's number counts from the end: the beat's last line has the task's count. Of a beat with more than is kept only the last are sent; all are counted. */
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
