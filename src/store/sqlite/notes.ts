import type { Database } from "bun:sqlite";
import { NOTES_READ, type Note, type NoteWrite, type NoteWritten } from "../store.ts";

const CLEARED_AT_ONCE = 1_000;

/** Behind every printable character. */
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
  const select = db.prepare<Note, [string, string, number]>(
    `SELECT name, value, version, until FROM note
     WHERE name >= ? AND name < ? AND until > ? ORDER BY name LIMIT ${NOTES_READ}`,
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

  return {
    writeNotes,
    readNotes: (prefix: string, now: number): Note[] => select.all(prefix, prefix + TOP, now),
    /** Clears away some whose time is over; true while there may be more. */
    clear: (now: number): boolean => clearSome.run(now).changes === CLEARED_AT_ONCE,
  };
}
