import type { Database } from "bun:sqlite";
import {
  DOCUMENTS_PER_PAGE,
  type DocumentAnswer,
  type DocumentPage,
  type DocumentWrite,
  type OnceDocument,
  type StoredDocument,
} from "../store.ts";

const CLEARED_AT_ONCE = 1_000;
/** Less than ANSWER_BYTES: the text is parsed in the server's own thread. */
const ANSWER_TEXT = 2 * 1_048_576;

/** Follows every printable character. */
const TOP = "\x7f";

export function createDocuments(db: Database) {
  const selectVersion = db.prepare<{ version: number }, [string, number]>(
    "SELECT version FROM note WHERE name = ? AND until > ?",
  );
  const put = db.prepare<null, [string, string, number, number]>(
    `INSERT INTO note (name, value, version, until) VALUES (?, ?, ?, ?)
     ON CONFLICT (name) DO UPDATE SET value = excluded.value, version = excluded.version, until = excluded.until`,
  );
  const drop = db.prepare<null, [string]>("DELETE FROM note WHERE name = ?");
  const select = db.prepare<StoredDocument, [string, string, string, number]>(
    `SELECT name, value, version, until FROM note
     WHERE name >= ? AND name < ? AND name > ? AND until > ? ORDER BY name LIMIT ${DOCUMENTS_PER_PAGE + 1}`,
  );
  const clearSome = db.prepare<null, [number]>(
    `DELETE FROM note WHERE name IN (SELECT name FROM note WHERE until <= ? ORDER BY until LIMIT ${CLEARED_AT_ONCE})`,
  );

  const writeDocuments = (writes: readonly DocumentWrite[], now: number): DocumentAnswer[] =>
    writes.map((write) => writeOne(write, now));

  function writeOne({ name, value, until, ifVersion }: DocumentWrite, now: number): DocumentAnswer {
    const version = selectVersion.get(name, now)?.version ?? 0;
    if (ifVersion !== undefined && ifVersion !== version) return "stale";
    if (value === null) drop.run(name);
    else put.run(name, value, version + 1, until);
    return "ok";
  }

  /** Whether there is no document with that name; then it may be written with `put`. */
  const isFree = ({ name, now }: OnceDocument): boolean => selectVersion.get(name, now) === null;

  const putOnce = ({ name, value, until }: OnceDocument): void => void put.run(name, value, 1, until);

  function readDocuments(prefix: string, now: number, after: string): DocumentPage {
    const documents: StoredDocument[] = [];
    let bytes = 0;
    for (const document of select.iterate(prefix, prefix + TOP, after, now)) {
      const last = documents.at(-1);
      if (last !== undefined && (documents.length === DOCUMENTS_PER_PAGE || bytes > ANSWER_TEXT))
        return { documents, next: last.name };
      bytes += document.name.length + document.value.length;
      documents.push(document);
    }
    return { documents, next: null };
  }

  return {
    writeDocuments,
    readDocuments,
    isFree,
    putOnce,
    /** Deletes some documents that have expired; true while there may be others. */
    clear: (now: number): boolean => clearSome.run(now).changes === CLEARED_AT_ONCE,
  };
}
