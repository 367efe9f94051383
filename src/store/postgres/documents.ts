/** Documents; one function writes all documents of a call. */
import { ANSWER_BYTES } from "../../core/text-size.ts";
import {
  DOCUMENTS_PER_PAGE,
  type DocumentAnswer,
  type DocumentPage,
  type DocumentWrite,
  type OnceDocument,
} from "../store.ts";
import { pgArray } from "./array.ts";
import { bytesBefore, isWithin } from "./byte-limit.ts";
import { type Session, statement } from "./statement.ts";

const WRITE = `SELECT name FROM tasktrack.write_notes($names::text[], $values::text[], $untils::bigint[], $seen::integer[],
  $now) AS name`;

/** Reads one document more than a page holds, to find out whether there are others. */
const READ = `WITH found AS MATERIALIZED (
    SELECT name, value, version, until FROM tasktrack.notes
    WHERE name >= $prefix AND name < $top AND name > $after AND until > $now ORDER BY name LIMIT ${DOCUMENTS_PER_PAGE + 1}),
  sized AS (SELECT *, ${bytesBefore("octet_length(name) + octet_length(value)", "name")} FROM found)
  SELECT name, value, version, until, (SELECT count(*) FROM found)::integer AS found FROM sized
  WHERE ${isWithin(ANSWER_BYTES, "sized")} ORDER BY name LIMIT ${DOCUMENTS_PER_PAGE}`;

/** Follows every printable character. */
export const TOP = "\x7f";

export function createDocuments(setup: {
  readonly session: Session;
  readonly sql: (text: string) => string;
}) {
  const { session } = setup;
  const [write, read] = [statement(setup.sql(WRITE)), statement(setup.sql(READ))];

  async function writeDocuments(writes: readonly DocumentWrite[], now: number): Promise<DocumentAnswer[]> {
    if (writes.length === 0) return [];
    const inOrder = writes.toSorted((a, b) => (a.name < b.name ? -1 : 1)); // the order in which they are locked
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

  async function readDocuments(prefix: string, now: number, after = ""): Promise<DocumentPage> {
    const rows = await read(session, { prefix, top: prefix + TOP, after, now });
    const documents = rows.map(({ name, value, version, until }) => ({
      name: String(name),
      value: String(value),
      version: Number(version),
      until: Number(until),
    }));
    const found = Number(rows[0]?.found ?? 0);
    return { documents, next: documents.length < found ? (documents.at(-1)?.name ?? null) : null };
  }

  return { writeDocuments, readDocuments };
}

/** Writes a document with a step, in the transaction of the step. */
export function createOnceDocuments(sql: (text: string) => string) {
  const write = statement(sql(WRITE));

  const put = async (
    session: Session,
    { name, value, until, now }: OnceDocument,
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

  /** Runs the step only if there is no document with that name, and keeps the document only if the step was carried out. */
  return async <T>(
    session: Session,
    document: OnceDocument,
    step: { readonly run: () => Promise<T>; readonly isDone: (answer: T) => boolean; readonly otherwise: T },
  ): Promise<T> => {
    if (!(await put(session, document))) return step.otherwise;
    const answer = await step.run();
    if (!step.isDone(answer)) await put(session, document, { value: null, seen: null });
    return answer;
  };
}
