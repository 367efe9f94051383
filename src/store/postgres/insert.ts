/** Creates tasks. All requests of a call are one statement; a call with keys has another statement than a call without. */
import { isTaskError, TaskError } from "../../core/error.ts";
import type { Draft, TaskId } from "../../core/task.ts";
import type { Idempotency, InsertAnswer, Inserted, InsertRequest } from "../store.ts";
import { pgArray } from "./array.ts";
import { CHANGES_A_BATCH } from "./changes.ts";
import { arraysOf, DRAFT_COLUMNS, namesOf, valuesOf } from "./columns.ts";
import type { Pool } from "./pool.ts";
import { type Row, type Session, type Statement, statement, type Values } from "./statement.ts";

/** Counts the tasks that were made, and adds them to the change log. */
const CREATED = `counted AS (
    INSERT INTO tasktrack.census (type, status, n) SELECT type, 'pending', count(*) FROM made GROUP BY type
  ),
  logged AS (
    INSERT INTO tasktrack.changes (n, entries)
    SELECT count(*), string_agg(id || ' 1 ' || tasktrack.status_code('pending') || '+', ';' ORDER BY id) FROM made CROSS JOIN gate
    HAVING count(*) > 0
  )`;

/**
 * Takes the columns of the drafts and the identity of the sequence that this process knows; returns the ids in order. With another identity it
 * creates nothing. Only a task that is really created takes an id.
 */
const CREATE = `WITH gate AS MATERIALIZED (SELECT tasktrack.gate()),
  made AS (
    INSERT INTO tasktrack.tasks (id, ${namesOf(DRAFT_COLUMNS)})
    SELECT nextval('tasktrack.task_id'), draft.* FROM unnest(${arraysOf(DRAFT_COLUMNS)}) AS draft
    WHERE (SELECT tasktrack.here()) = $seen
    RETURNING id, type
  ),
  ${CREATED}
  SELECT id FROM made ORDER BY id`;

/** The changes of one statement are one batch, which must hold them. */
const CREATED_AT_ONCE = CHANGES_A_BATCH / 2;

/** A transaction that creates or revives a task under a key holds the lock of the key. */
export const LOCK_KEYS = "SELECT tasktrack.lock_keys($names::text[]) AS locked";

/**
 * The same for requests some of which have keys. Returns rows with a number: the n-th row has the task of the n-th draft, and the
 * fingerprint and the answer of the n-th idempotency key if it is remembered; each is null if there is none. There is no row if the
 * identity of the sequence is another one.
 */
const CREATE_KEYED = `WITH decided AS MATERIALIZED (
    SELECT * FROM tasktrack.decide_keyed($now, $locks::text[], $key::text[], $asked_by::integer[],
      $scopes::text[], $idempotency_keys::text[], $fingerprints::text[], $untils::bigint[], $seen)
  ),
  gate AS MATERIALIZED (SELECT tasktrack.gate() FROM decided), -- after the wait for the locks of the keys
  made AS (
    INSERT INTO tasktrack.tasks (id, ${namesOf(DRAFT_COLUMNS)})
    SELECT draft.* FROM decided
    CROSS JOIN LATERAL unnest(decided.new_ids, ${arraysOf(DRAFT_COLUMNS)}) AS draft(new_id, ${namesOf(DRAFT_COLUMNS)})
    WHERE draft.new_id IS NOT NULL
    RETURNING id, type
  ),
  ${CREATED}
  SELECT answer.* FROM decided CROSS JOIN LATERAL unnest(decided.ids, decided.existing, decided.fingerprints, decided.answers)
    WITH ORDINALITY AS answer(id, existing, fingerprint, tasks, n)`;

const NOTE_SOURCE = "SELECT tasktrack.note_source() AS source";
/** More tries than one are needed only if the server changes between two statements. */
const TRIES = 5;

/** The highest number of keyed drafts in one commit. Other creates that need locks of the same keys wait for that commit. */
const KEYED_AT_ONCE = 1_000;

export function createInsert(setup: { readonly pool: Pool; readonly sql: (text: string) => string }) {
  const { pool } = setup;
  const [create, createKeyed] = [statement(setup.sql(CREATE)), statement(setup.sql(CREATE_KEYED))];
  const noteSource = setup.sql(NOTE_SOURCE);
  /** The identity of the sequence of ids, as `note_source` returned it. */
  let source = "";

  /**
   * Creates tasks, if their ids are known to be higher than all earlier ids. Each statement compares the identity of the sequence itself: a
   * connection pooler may change the server behind an open connection, and a dump may be restored under open connections.
   */
  async function createAtSource(
    session: Session,
    createIn: Statement,
    values: Values,
  ): Promise<readonly Row[]> {
    for (let tries = 0; tries < TRIES; tries++) {
      const rows = await createIn(session, { ...values, seen: source });
      if (rows.length > 0) return rows; // there is none only if the identity of the sequence is another one
      source = String((await session.rows(noteSource))[0]?.source);
    }
    throw new TaskError(
      "store_unavailable",
      "The store does not answer: its connections lead to several servers",
    );
  }

  async function createPiece(session: Session, drafts: readonly Draft[]): Promise<TaskId[]> {
    if (drafts.length === 0) return [];
    const rows = await createAtSource(session, create, valuesOf(DRAFT_COLUMNS, drafts));
    return rows.map(({ id }) => Number(id));
  }

  async function createAll(session: Session, drafts: readonly Draft[]): Promise<TaskId[]> {
    const ids: TaskId[] = [];
    for (let at = 0; at < drafts.length; at += CREATED_AT_ONCE) {
      ids.push(...(await createPiece(session, drafts.slice(at, at + CREATED_AT_ONCE))));
    }
    return ids;
  }

  async function insert(requests: readonly InsertRequest[], now: number): Promise<InsertAnswer[]> {
    if (requests.every(isPlain)) return insertPlain(requests);
    return insertKeyed(requests, now);
  }

  async function insertPlain(requests: readonly InsertRequest[]): Promise<InsertAnswer[]> {
    const drafts = requests.flatMap((request) => request.drafts);
    const ids = await (drafts.length <= CREATED_AT_ONCE
      ? createPiece(pool, drafts)
      : pool.transaction((session) => createAll(session, drafts)));
    let at = 0;
    return requests.map(({ drafts }) => ({
      kind: "created",
      tasks: drafts.map((): Inserted => ({ id: ids[at++] ?? 0, existing: false })),
    }));
  }

  async function insertKeyed(requests: readonly InsertRequest[], now: number): Promise<InsertAnswer[]> {
    const answers: InsertAnswer[] = [];
    for (const piece of inPieces(requests)) {
      try {
        answers.push(...(await insertPiece(piece, now)));
      } catch (error) {
        if (answers.length === 0 || !isTaskError(error, "store_rejected")) throw error;
        throw new TaskError("store_unavailable", error.message); // the pieces before it have been written
      }
    }
    return answers;
  }

  async function insertPiece(requests: readonly InsertRequest[], now: number): Promise<InsertAnswer[]> {
    const call = gather(requests);
    const rows = await createAtSource(pool, createKeyed, {
      ...valuesOf(DRAFT_COLUMNS, call.drafts),
      now,
      locks: pgArray(call.locks),
      asked_by: pgArray(call.askedBy), // with its nulls, so that it is as long as the list of drafts
      scopes: pgArray(call.asked.map(({ scope }) => scope)),
      idempotency_keys: pgArray(call.asked.map(({ key }) => key)),
      fingerprints: pgArray(call.asked.map(({ fingerprint }) => fingerprint)),
      untils: pgArray(call.asked.map(({ until }) => until)),
    });
    return answersOf(requests, readAnswer(rows));
  }

  return insert;
}

/** Groups of consecutive requests with at most KEYED_AT_ONCE drafts each; a request is never split. */
function inPieces(requests: readonly InsertRequest[]): InsertRequest[][] {
  const pieces: InsertRequest[][] = [];
  let room = 0;
  for (const request of requests) {
    if (request.drafts.length > room || pieces.length === 0) {
      pieces.push([]);
      room = KEYED_AT_ONCE;
    }
    pieces.at(-1)?.push(request);
    room -= request.drafts.length;
  }
  return pieces;
}

/** The parameters of the statement. Of requests under one idempotency key only the first may create, so only its drafts are sent. */
function gather(requests: readonly InsertRequest[]) {
  const locks: string[] = [];
  const drafts: Draft[] = [];
  const askedBy: (number | null)[] = [];
  const asked = new Map<string, Idempotency>();
  for (const { drafts: wished, idempotency } of requests) {
    if (idempotency !== null) {
      const name = nameOf(idempotency);
      if (asked.has(name)) continue;
      asked.set(name, idempotency);
      locks.push(`idempotency ${name}`);
    }
    const place = idempotency === null ? null : asked.size;
    for (const draft of wished) {
      drafts.push(draft);
      askedBy.push(place);
      if (draft.key !== null) locks.push(keyLock(draft.key));
    }
  }
  return { locks, drafts, askedBy, asked: [...asked.values()] };
}

type Remembered = { readonly fingerprint: string; readonly tasks: readonly Inserted[] };

/** The tasks of the drafts, by the number of the draft, and the remembered answers, by the number of the idempotency key. */
function readAnswer(rows: readonly Row[]) {
  const tasks = new Map<number, Inserted>();
  const remembered = new Map<number, Remembered>();
  for (const { n, id, existing, fingerprint, tasks: text } of rows) {
    if (id !== null) tasks.set(Number(n), { id: Number(id), existing: existing === true });
    if (fingerprint !== null)
      remembered.set(Number(n), {
        fingerprint: String(fingerprint),
        tasks: JSON.parse(String(text)) as Inserted[], // as the function has written it
      });
  }
  return { tasks, remembered };
}

function answersOf(
  requests: readonly InsertRequest[],
  answer: ReturnType<typeof readAnswer>,
): InsertAnswer[] {
  const known = new Map<string, Remembered>(); // under each idempotency key of the call
  let draft = 0;
  return requests.map(({ drafts, idempotency }): InsertAnswer => {
    const name = idempotency === null ? null : nameOf(idempotency);
    const isFirst = name !== null && !known.has(name);
    const earlier = name === null ? undefined : (known.get(name) ?? answer.remembered.get(known.size + 1));
    const isSent = idempotency === null || isFirst;
    const from = draft;
    if (isSent) draft += drafts.length;
    if (earlier !== undefined && name !== null) {
      known.set(name, earlier);
      const isSame = earlier.fingerprint === idempotency?.fingerprint;
      return isSame ? { kind: "repeated", tasks: earlier.tasks } : { kind: "mismatch" };
    }
    const tasks = drafts.map((_, at) => answer.tasks.get(from + at + 1) ?? { id: 0, existing: false });
    if (idempotency !== null && name !== null)
      known.set(name, { fingerprint: idempotency.fingerprint, tasks });
    return { kind: "created", tasks };
  });
}

const isPlain = ({ drafts, idempotency }: InsertRequest): boolean =>
  idempotency === null && drafts.every(({ key }) => key === null);

const nameOf = ({ scope, key }: Pick<Idempotency, "scope" | "key">): string => JSON.stringify([scope, key]);

export const keyLock = (key: string): string => `key ${key}`;
