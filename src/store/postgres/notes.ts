/** Notes; one function writes all notes of a call. */
import { ANSWER_BYTES } from "../../core/text-size.ts";
import { NOTES_READ, type NotePage, type NoteWrite, type NoteWritten, type OnceNote } from "../store.ts";
import { pgArray } from "./array.ts";
import { bytesBefore, isWithin } from "./byte-limit.ts";
import { type Session, statement } from "./statement.ts";

const WRITE = `SELECT name FROM tasktrack.write_notes($names::text[], $values::text[], $untils::bigint[], $seen::integer[],
  $now) AS name`;

/** Reads one note more than a page holds, so that the page tells whether there are others. */
const READ = `WITH found AS MATERIALIZED (
    SELECT name, value, version, until FROM tasktrack.notes
    WHERE name >= $prefix AND name < $top AND name > $after AND until > $now ORDER BY name LIMIT ${NOTES_READ + 1}),
  sized AS (SELECT *, ${bytesBefore("octet_length(name) + octet_length(value)", "name")} FROM found)
  SELECT name, value, version, until, (SELECT count(*) FROM found)::integer AS found FROM sized
  WHERE ${isWithin(ANSWER_BYTES, "sized")} ORDER BY name LIMIT ${NOTES_READ}`;

/** Follows every printable character. */
const TOP = "\x7f";

export function createNotes(setup: { readonly session: Session; readonly sql: (text: string) => string }) {
  const { session } = setup;
  const [write, read] = [statement(setup.sql(WRITE)), statement(setup.sql(READ))];

  async function writeNotes(writes: readonly NoteWrite[], now: number): Promise<NoteWritten[]> {
    if (writes.length === 0) return [];
    const inOrder = writes.toSorted((a, b) => (a.name < b.name ? -1 : 1)); // in which they are locked
    const rows = await write(session, {
      names: pgArray(inOrder.map(({ name }) => name)),
      values: pgArray(inOrder.map(({ value }) => value)),
      untils: pgArray(inOrder.map(({ until }) => until)),
      seen: pgArray(inOrder.map(({ ifVersion }) => ifVersion ?? null)),
      now,
    });
    const written = new Set(rows.map(({ name }) => name));
    return writes.map(({ name }) => (written.has(name) ? "ok" : "stale"));
  }

  async function readNotes(prefix: string, now: number, after = ""): Promise<NotePage> {
    const rows = await read(session, { prefix, top: prefix + TOP, after, now });
    const notes = rows.map(({ name, value, version, until }) => ({
      name: String(name),
      value: String(value),
      version: Number(version),
      until: Number(until),
    }));
    const found = Number(rows[0]?.found ?? 0);
    return { notes, next: notes.length < found ? (notes.at(-1)?.name ?? null) : null };
  }

  return { writeNotes, readNotes };
}

/** Writes a note with a step, in the transaction of the step. */
export function createOnceNotes(sql: (text: string) => string) {
  const write = statement(sql(WRITE));

  const put = async (
    session: Session,
    { name, value, until, now }: OnceNote,
    { value: written, seen }: { readonly value: string | null; readonly seen: number | null } = {
      value,
      seen: 0,
    },
  ): Promise<boolean> => {
    const [names, values, untils, versions] = [
      pgArray([name]),
      pgArray([written]),
      pgArray([until]),
      pgArray([seen]),
    ];
    return (await write(session, { names, values, untils, seen: versions, now })).length > 0;
  };

  /** Runs the step only if there is no note with that name, and keeps the note only if the step was carried out. */
  return async <T>(
    session: Session,
    note: OnceNote,
    step: { readonly run: () => Promise<T>; readonly isDone: (answer: T) => boolean; readonly otherwise: T },
  ): Promise<T> => {
    if (!(await put(session, note))) return step.otherwise;
    const answer = await step.run();
    if (!step.isDone(answer)) await put(session, note, { value: null, seen: null });
    return answer;
  };
}
