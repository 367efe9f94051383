/** Heartbeats: the lease's end always, progress and log lines where a beat brings some. */
import { LIMITS, type TaskId } from "../../core/task.ts";
import { type Beat, type BeatAnswer, PROGRESS_CHANGE_EVERY_MS } from "../store.ts";
import { pgArray } from "./array.ts";
import type { Parameter, Row, Session } from "./pool.ts";

/** Beats that bring nothing, which most do. */
const RENEW = "SELECT id, is_asked_to_stop FROM tasktrack.renew($1, $2::bigint[], $3::text[])";

/** Those that bring progress or log lines. */
const SPEAK = `SELECT id, is_asked_to_stop FROM tasktrack.speak($1, ${PROGRESS_CHANGE_EVERY_MS}, ${LIMITS.logLinesKept},
  $2::bigint[], $3::text[], $4::double precision[], $5::text[], $6::integer[],
  $7::bigint[], $8::integer[], $9::text[], $10::text[])`;

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
