/** Heartbeats: each moves the end of its lease, and some also write progress and log lines. */
import { LIMITS, type TaskId } from "../../core/task.ts";
import { type Beat, type BeatAnswer, PROGRESS_CHANGE_EVERY_MS } from "../store.ts";
import { pgArray } from "./array.ts";
import { type Row, type Session, statement, type Values } from "./statement.ts";

/** For heartbeats without progress and log lines, which most are. */
const RENEW = "SELECT id, is_asked_to_stop FROM tasktrack.renew($now, $ids::bigint[], $tokens::text[])";

/** For those with progress or log lines. */
const EXTEND_WITH_CONTENT = `SELECT id, is_asked_to_stop FROM tasktrack.speak($now, ${PROGRESS_CHANGE_EVERY_MS}, ${LIMITS.logLinesKept},
  $ids::bigint[], $tokens::text[], $percents::double precision[], $messages::text[], $counts::integer[],
  $line_ids::bigint[], $line_places::integer[], $line_levels::text[], $line_messages::text[])`;

export function createExtend(setup: { readonly session: Session; readonly sql: (text: string) => string }) {
  const { session } = setup;
  const renew = statement(setup.sql(RENEW));
  const extendWithContent = statement(setup.sql(EXTEND_WITH_CONTENT));

  /** One answer for each heartbeat; a call has at most one heartbeat of a task. */
  return async function extend(beats: readonly Beat[], now: number): Promise<BeatAnswer[]> {
    const inOrder = beats.toSorted((a, b) => a.id - b.id); // the order in which rows are locked
    const [withContent, bare] = [inOrder.filter(hasContent), inOrder.filter((beat) => !hasContent(beat))];
    const answers = new Map<TaskId, BeatAnswer>();
    const setAnswers = (rows: readonly Row[]): void => {
      for (const { id, is_asked_to_stop: isAskedToStop } of rows)
        answers.set(Number(id), isAskedToStop === true ? "cancel" : "ok");
    };
    if (bare.length > 0) setAnswers(await renew(session, { now, ...leasesOf(bare) }));
    if (withContent.length > 0)
      setAnswers(
        await extendWithContent(session, { now, ...leasesOf(withContent), ...contentsOf(withContent) }),
      );
    return beats.map(({ id }) => answers.get(id) ?? "lost");
  };
}

const hasContent = ({ progress, log }: Beat): boolean => progress !== null || log.length > 0;

const leasesOf = (beats: readonly Beat[]): Values => ({
  ids: pgArray(beats.map(({ id }) => id)),
  tokens: pgArray(beats.map(({ token }) => token)),
});

const contentsOf = (beats: readonly Beat[]): Values => ({
  percents: pgArray(beats.map(({ progress }) => progress?.percent ?? null)),
  messages: pgArray(beats.map(({ progress }) => progress?.message ?? null)),
  counts: pgArray(beats.map(({ log }) => log.length)),
  ...linesOf(beats),
});

/**
 * A line's number counts from the end: the last line of a heartbeat has the number of lines of the task. Of a heartbeat with more lines
 * than are kept only the last are sent; all are counted.
 */
function linesOf(beats: readonly Beat[]): Values {
  const lines = beats.flatMap(({ id, log }) => {
    const kept = log.slice(-LIMITS.logLinesKept);
    return kept.map(({ level, message }, at) => ({ id, fromEnd: kept.length - 1 - at, level, message }));
  });
  return {
    line_ids: pgArray(lines.map(({ id }) => id)),
    line_places: pgArray(lines.map(({ fromEnd }) => fromEnd)),
    line_levels: pgArray(lines.map(({ level }) => level)),
    line_messages: pgArray(lines.map(({ message }) => message)),
  };
}
