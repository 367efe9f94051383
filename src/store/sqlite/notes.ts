import type { Database } from "bun:sqlite";
import {
  NOTES_READ,
  type Note,
  type NotePage,
  type NoteWrite,
  type NoteWritten,
  type OnceNote,
} from "../store.ts";

const CLEARED_AT_ONCE = 1_000;
/** Less than ANSWER_BYTES: the text is parsed in the server's own thread. */
const ANSWER_TEXT = 2 * 1_048_576;

/** Follows every printable character. */
const TOP = "\x7f";

export function createNotes(db: Database) {
  const selectVersion = db.prepare<{ version: number }, [string, number]>(
    "SELECT version FROM note WHERE name = ? AND until > ?",
  );
  const put = db.prepare<null, [string, string, number, number]>(
    `INSERT INTO note (name, value, version, until) VALUES (?, ?, ?, ?)
     ON CONFLICT (name) DO UPDATE SET value = excluded.value, version = excluded.version, until = excluded.until`,
  );
  const drop = db.prepare<null, [string]>("DELETE FROM note WHERE name = ?");
  const select = db.prepare<Note, [string, string, string, number]>(
    `SELECT name, value, version, until FROM note
     WHERE name >= ? AND name < ? AND name > ? AND until > ? ORDER BY name LIMIT ${NOTES_READ + 1}`,
  );
  const clearSome = db.prepare<null, [number]>(
    `DELETE FROM note WHERE name IN (SELECT name FROM note WHERE until <= ? ORDER BY until LIMIT ${CLEARED_AT_ONCE})`,
  );

  const writeNotes = (writes: readonly NoteWrite[], now: number): NoteWritten[] =>
    writes.map((wish) => writeOne(wish, now));

  function writeOne({ name, value, until, ifVersion }: NoteWrite, now: number): NoteWritten {
    const version = selectVersion.get(name, now)?.version ?? 0;
    if (ifVersion !== undefined && ifVersion !== version) return "stale";
    if (value === null) drop.run(name);
    else put.run(name, value, version + 1, until);
    return "ok";
  }

  /** Whether there is no note with that name; then it may be written with `put`. */
  const isFree = ({ name, now }: OnceNote): boolean => selectVersion.get(name, now) === null;

  const putOnce = ({ name, value, until }: OnceNote): void => void put.run(name, value, 1, until);

  function readNotes(prefix: string, now: number, after: string): NotePage {
    const notes: Note[] = [];
    let bytes = 0;
    for (const note of select.iterate(prefix, prefix + TOP, after, now)) {
      const last = notes.at(-1);
      if (last !== undefined && (notes.length === NOTES_READ || bytes > ANSWER_TEXT))
        return { notes, next: last.name };
      bytes += note.name.length + note.value.length;
      notes.push(note);
    }
    return { notes, next: null };
  }

  return {
    writeNotes,
    readNotes,
    isFree,
    putOnce,
    /** Deletes some notes that have expired; true while there may be others. */
    clear: (now: number): boolean => clearSome.run(now).changes === CLEARED_AT_ONCE,
  };
}
