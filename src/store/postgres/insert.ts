/** Creating tasks. Most requests bring no key and are one statement together; those that do take the long way. */
import type { Draft, TaskId } from "../../core/task.ts";
import type { Idempotency, InsertAnswer, Inserted, InsertRequest } from "../store.ts";
import { pgArray, pgColumn } from "./array.ts";
import { CHANGES_A_BATCH } from "./changes.ts";
import type { Parameter, Pool, Session } from "./pool.ts";
import { DRAFT_COLUMNS, valuesOf } from "./rows.ts";

/** Takes a column of each draft; returns their ids in order. Only what is really created draws an id. */
const CREATE = `WITH gate AS MATERIALIZED (SELECT tasktrack.gate()),
  made AS (
    INSERT INTO tasktrack.tasks (id, ${DRAFT_COLUMNS.map(({ name }) => name).join(", ")})
    SELECT nextval('tasktrack.task_id'), draft.* FROM unnest(
      ${DRAFT_COLUMNS.map(({ type }, at) => `$${at + 1}::${type}[]`).join(", ")}) AS draft
    RETURNING id, type
  ),
  counted AS (
    INSERT INTO tasktrack.census (type, status, n) SELECT type, 'pending', count(*) FROM made GROUP BY type
  ),
  logged AS (
    INSERT INTO tasktrack.changes (n, entries)
    SELECT count(*), string_agg(id || ' 1 p+', ';' ORDER BY id) FROM made CROSS JOIN gate HAVING count(*) > 0
  )
  SELECT id::float8 FROM made ORDER BY id`;

/** The changes of one statement are one batch, which must hold them. */
const CREATED_AT_ONCE = CHANGES_A_BATCH / 2;

/** Whoever creates or revives a task under a key holds this lock, taken in one order by all. */
export const LOCK_KEYS = `SELECT pg_advisory_xact_lock('tasktrack.tasks'::regclass::oid::integer, h)
  FROM (SELECT DISTINCT hashtext(name) AS h FROM unnest($1::text[]) AS name ORDER BY 1) AS locks`;

const HOLDERS = `SELECT key, id::float8 FROM tasktrack.tasks
  WHERE key = ANY ($1::text[]) AND finished_at IS NULL`;

const REMEMBERED = `SELECT i.scope, i.key, i.fingerprint, i.tasks FROM tasktrack.idempotency i
  JOIN unnest($1::text[], $2::text[]) AS asked(scope, key) ON i.scope = asked.scope AND i.key = asked.key
  WHERE i.until > $3`;

const REMEMBER = `INSERT INTO tasktrack.idempotency (scope, key, fingerprint, until, tasks)
  SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[])
  ON CONFLICT (scope, key) DO UPDATE
  SET fingerprint = excluded.fingerprint, until = excluded.until, tasks = excluded.tasks`;

export function createInsert(setup: { readonly pool: Pool; readonly sql: (text: string) => string }) {
  const { pool } = setup;
  const create = setup.sql(CREATE);
  const [lockKeys, holdersOf, rememberedOf, remember] = [LOCK_KEYS, HOLDERS, REMEMBERED, REMEMBER].map(
    setup.sql,
  ) as [string, string, string, string]; // one for each

  async function createPiece(session: Session, drafts: readonly Draft[]): Promise<TaskId[]> {
    if (drafts.length === 0) return [];
    const parameters = DRAFT_COLUMNS.map((column) => pgColumn(valuesOf(column, drafts)));
    return (await session.rows(create, parameters)).map(([id]) => Number(id));
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
    return pool.transaction((session) => insertKeyed(session, requests, now));
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

  /**
   * With the keys locked nobody else can create, revive or remember under them, so what is read then holds until the
   * commit; what the requests of the call mean to each other is decided here, in their order.
   */
  async function insertKeyed(
    session: Session,
    requests: readonly InsertRequest[],
    now: number,
  ): Promise<InsertAnswer[]> {
    const keys = requests.flatMap(({ drafts }) => drafts.flatMap(({ key }) => (key === null ? [] : [key])));
    const asked = requests.flatMap(({ idempotency }) => (idempotency === null ? [] : [idempotency]));
    await session.rows(lockKeys, [pgArray([...keys.map(keyLock), ...asked.map(idempotencyLock)])]);
    const holders = await readHolders(session, keys);
    const known = await readRemembered(session, asked, now);
    const plan = decide(requests, holders, known);
    const ids = await createAll(session, plan.drafts);
    const answers = plan.answers.map((answer) => resolveIds(answer, ids));
    await rememberAll(session, requests, answers);
    return answers;
  }

  async function readHolders(session: Session, keys: readonly string[]): Promise<Map<string, TaskId>> {
    if (keys.length === 0) return new Map();
    const rows = await session.rows(holdersOf, [pgArray(keys)]);
    return new Map(rows.map(([key, id]) => [String(key), Number(id)]));
  }

  async function readRemembered(
    session: Session,
    asked: readonly Idempotency[],
    now: number,
  ): Promise<Known> {
    if (asked.length === 0) return new Map();
    const rows = await session.rows(rememberedOf, [
      pgArray(asked.map(({ scope }) => scope)),
      pgArray(asked.map(({ key }) => key)),
      now,
    ]);
    return new Map(
      rows.map(([scope, key, fingerprint, tasks]) => [
        nameOf({ scope: String(scope), key: String(key) }),
        { fingerprint: String(fingerprint), tasks: JSON.parse(String(tasks)) as Inserted[] }, // as it was written below
      ]),
    );
  }

  async function rememberAll(
    session: Session,
    requests: readonly InsertRequest[],
    answers: readonly InsertAnswer[],
  ): Promise<void> {
    const rows = new Map<string, Parameter[]>();
    for (const [at, { idempotency }] of requests.entries()) {
      const answer = answers[at];
      if (idempotency === null || answer?.kind !== "created") continue;
      const { scope, key, fingerprint, until } = idempotency;
      rows.set(nameOf(idempotency), [scope, key, fingerprint, until, JSON.stringify(answer.tasks)]);
    }
    if (rows.size === 0) return;
    const columns = [0, 1, 2, 3, 4].map((at) => pgArray([...rows.values()].map((row) => row[at] ?? null)));
    await session.rows(remember, columns);
  }

  return insert;
}

type Known = Map<string, { readonly fingerprint: string; readonly tasks: readonly Planned[] }>;

/** A task that stands already, or the draft at this place of those that are to be created. */
type Planned = Inserted | { readonly draft: number };
type PlannedAnswer =
  | { readonly kind: "created" | "repeated"; readonly tasks: readonly Planned[] }
  | { readonly kind: "mismatch" };

/** What becomes of each request: repeated, refused, or created but for the drafts whose key is held. */
function decide(requests: readonly InsertRequest[], holders: ReadonlyMap<string, TaskId>, known: Known) {
  const drafts: Draft[] = [];
  const held = new Map<string, Planned>([...holders].map(([key, id]) => [key, { id, existing: true }]));
  const plan = (draft: Draft): Planned => {
    const holder = draft.key === null ? undefined : held.get(draft.key);
    if (holder !== undefined) return holder;
    const planned = { draft: drafts.push(draft) - 1 };
    if (draft.key !== null) held.set(draft.key, planned);
    return planned;
  };
  const answers = requests.map(({ drafts: wished, idempotency }): PlannedAnswer => {
    const earlier = idempotency === null ? undefined : known.get(nameOf(idempotency));
    if (earlier !== undefined && idempotency !== null) {
      const isSame = earlier.fingerprint === idempotency.fingerprint;
      return isSame ? { kind: "repeated", tasks: earlier.tasks } : { kind: "mismatch" };
    }
    const before = drafts.length;
    const tasks = wished.map(plan).map((task) => asSeenFrom(task, before));
    if (idempotency !== null) known.set(nameOf(idempotency), { ...idempotency, tasks });
    return { kind: "created", tasks };
  });
  return { drafts, answers };
}

/** A draft of an earlier request stands for a task that exists. */
const asSeenFrom = (task: Planned, before: number): Planned & { readonly existing?: boolean } =>
  "draft" in task && task.draft < before ? { ...task, existing: true } : task;

function resolveIds(answer: PlannedAnswer, ids: readonly TaskId[]): InsertAnswer {
  if (answer.kind === "mismatch") return answer;
  const tasks = answer.tasks.map(
    (task: Planned & { readonly existing?: boolean }): Inserted =>
      "draft" in task ? { id: ids[task.draft] ?? 0, existing: task.existing ?? false } : task,
  );
  return { kind: answer.kind, tasks };
}

const isPlain = ({ drafts, idempotency }: InsertRequest): boolean =>
  idempotency === null && drafts.every(({ key }) => key === null);

const nameOf = ({ scope, key }: Pick<Idempotency, "scope" | "key">): string => JSON.stringify([scope, key]);

export const keyLock = (key: string): string => `key ${key}`;
const idempotencyLock = (idempotency: Idempotency): string => `idempotency ${nameOf(idempotency)}`;
