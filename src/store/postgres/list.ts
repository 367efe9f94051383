/**
 * Pages of tasks in bounded pieces: a statement reads a bounded number of rows with any filter.
 *
 * There is a fixed number of statement texts, some thirty: a condition that a filter does not use is a null, an empty array or a
 * source that is switched off. Each text stays prepared on each connection with its plan. When every number of words had its own
 * text, 600 searches took a connection from 4 MB to 1.4 GB.
 */
import { CANCEL_GRACE_MS } from "../../core/lease.ts";
import { matchesSearch } from "../../core/search.ts";
import {
  ENDED_STATUSES,
  type LightTask,
  type Parts,
  STATUSES,
  type Status,
  type Task,
  type TaskHead,
} from "../../core/task.ts";
import { ANSWER_BYTES, ANSWER_LEAST_BYTES } from "../../core/text-size.ts";
import { countByReading } from "../census.ts";
import type { Cursor, Sort, TaskFilter, TaskPage, TaskQuery } from "../store.ts";
import { pgArray } from "./array.ts";
import type { Parameter, Row, Session } from "./pool.ts";
import { readParts, readTask, selectList, sizeOf } from "./rows.ts";

/** Rows that a page looks at where its filter may leave out most of them: some milliseconds of the server. */
const SIFTED_ROWS = 5_000;
const COUNTED_ROWS = 50_000;
/** Rows of a page that are read to be counted. */
const READ_ROWS = 1_000;

/** Of these an index by id exists; see the migration. */
const RARE: ReadonlySet<Status> = new Set(["running", "failed", "cancelled"]);
/** Of the others one with no more tasks than this is gathered whole and sorted. */
const FEW = SIFTED_ROWS;

export function createLists(setup: { readonly session: Session; readonly sql: (text: string) => string }) {
  const { session, sql } = setup;

  async function list(query: TaskQuery<Parts>): Promise<TaskPage<AnyParts>> {
    const walk = await walkOf(query.filter, query.sort);
    if (walk === null) return NOTHING;
    const looksAt = walk.isSifted ? Math.max(SIFTED_ROWS, query.limit + 1) : query.limit + 1;
    const bind = createBinder();
    const statement = pageStatement(walk, query, looksAt, bind.next);
    return readPage(await session.rows(sql(statement), bind.values), query, looksAt);
  }

  async function count(filter: TaskFilter): Promise<number> {
    const walk = await walkOf(filter, "id");
    if (walk === null) return 0;
    if (filter.search?.fields.length) return countByReading(list, filter, READ_ROWS);
    let total = 0;
    const sources =
      walk.by === "status" ? walk.statuses.map((status) => sourceOf(status)) : [ofAny(walk.statuses)];
    for (const source of sources) total += await countSource(source, filter);
    return total;
  }

  async function countSource(source: Source, filter: TaskFilter): Promise<number> {
    let total = 0;
    for (let after: number | null = 0; after !== null; ) {
      const bind = createBinder();
      const [row] = await session.rows(sql(countStatement(source, filter, after, bind.next)), bind.values);
      total += Number(row?.[0]);
      after = row?.[1] == null ? null : Number(row[1]);
    }
    return total;
  }

  /** The way to walk; null where there is nothing to find. */
  async function walkOf(filter: TaskFilter, sort: TaskQuery["sort"]): Promise<Walk | null> {
    const byEnd = sort === "finished_at" || sort === "-finished_at";
    const statuses = STATUSES.filter((status) => isPossible(status, filter, byEnd));
    if (statuses.length === 0 || filter.types?.length === 0) return null;
    const by = byEnd ? "end" : (await haveIndexes(statuses)) ? "status" : "id";
    const isSifted = mayLeaveOut(filter, sort) || (by === "id" && statuses.length < STATUSES.length);
    return { by, forward: !sort.startsWith("-"), statuses, isSifted };
  }

  /** Whether each of these statuses has an index in id order, or so few tasks that it needs none. */
  async function haveIndexes(statuses: readonly Status[]): Promise<boolean> {
    if (statuses.length === STATUSES.length) return false;
    for (const status of statuses) if (!RARE.has(status) && !(await areFew(status))) return false;
    return true;
  }

  async function areFew(status: Status): Promise<boolean> {
    const [row] = await session.rows(
      sql(
        `SELECT count(*)::integer FROM (SELECT FROM ${TASKS} t WHERE ${INDEXED[status]} LIMIT ${FEW + 1}) t`,
      ),
    );
    return Number(row?.[0]) <= FEW;
  }

  return { list, count };
}

const TASKS = "tasktrack.tasks";

/**
 * Members of a filter that a walk itself answers: the statuses choose its branches, and of running tasks only the few whose lease is
 * over or overlong are read.
 */
const ANSWERED_BY_A_WALK: ReadonlySet<string> = new Set<keyof TaskFilter>([
  "statuses",
  "expiredAt",
  "overlongAt",
]);

/** Whether rows are read that another member of the filter may leave out. */
const mayLeaveOut = (filter: TaskFilter, sort: Sort): boolean =>
  Object.entries(filter).some(
    ([name, value]) =>
      value !== undefined &&
      !ANSWERED_BY_A_WALK.has(name) &&
      !(name === "finishedBefore" && sort === "finished_at"), // where this walk ends
  );

/** What each status's other index says, with the order in which it lies there. */
const INDEXED: Readonly<Record<Status, string>> = {
  pending: "t.status = 'pending'",
  running: "t.status = 'running'",
  done: "t.status = 'done' AND t.finished_at IS NOT NULL",
  failed: "t.status = 'failed'",
  cancelled: "t.status = 'cancelled'",
};

/** The parts depend on the query. */
type AnyParts = Task | LightTask | TaskHead;

const NOTHING: TaskPage = { tasks: [], next: null };

/** Gathers parameters while a statement is written. */
function createBinder() {
  const values: Parameter[] = [];
  return { values, next: (value: Parameter): string => `$${values.push(value)}` };
}
type Bind = (value: Parameter) => string;

type Walk = {
  /** In order of finished_at within each status, in id order within each status, or in id order over all tasks. */
  readonly by: "end" | "status" | "id";
  readonly forward: boolean;
  readonly statuses: readonly Status[];
  /** Whether rows are looked at that the filter may leave out. */
  readonly isSifted: boolean;
};

/** A source of the rows of one status in id order, as part of a statement. */
type Source = (bind: Bind) => {
  /** The table, or a subquery in its place. */
  readonly from: string;
  /** The condition that the index answers. */
  readonly test: string;
  /** The condition that filters rows after they are read. */
  readonly sifting: string;
};

/** Spelled out, so that the planner sees that its index serves. */
function sourceOf(status: Status, isOn = true): Source {
  return (bind) => {
    const test = `${bind(isOn)}::boolean AND ${INDEXED[status]}`;
    if (RARE.has(status)) return { from: TASKS, test, sifting: "true" };
    // From another index, so that the cost depends on the rows found. At most a few rows are read, in case many were added since
    // the count.
    const order = status === "pending" ? "t.type, t.priority, t.run_at, t.id" : "t.finished_at, t.id";
    const gathered = `SELECT t.* FROM ${TASKS} t WHERE ${test} ORDER BY ${order} LIMIT ${2 * FEW}`;
    return { from: `(${gathered})`, test: "true", sifting: "true" };
  };
}

const ofAny =
  (statuses: readonly Status[]): Source =>
  (bind) => ({ from: TASKS, test: "true", sifting: `t.status = ANY (${bind(pgArray(statuses))}::text[])` });

/** What the other parts of a filter leave of the statuses. */
function isPossible(status: Status, filter: TaskFilter, byEnd: boolean): boolean {
  const mustHaveEnded = byEnd || filter.finishedBefore !== undefined;
  if (mustHaveEnded && !ENDED_STATUSES.some((ended) => ended === status)) return false;
  const mustRun = filter.expiredAt !== undefined || filter.overlongAt !== undefined;
  if (mustRun && status !== "running") return false;
  return filter.statuses?.includes(status) ?? true;
}

/**
 * `piece` walks the indexes; `looked` says how far it came, so that a page without a match still tells where to go on;
 * `found` are the matches, up to the limit and to the bytes that a page may hold.
 */
function pageStatement(walk: Walk, query: TaskQuery<Parts>, looksAt: number, bind: Bind): string {
  const { filter, after, limit } = query;
  const parts = readPartsOf(query);
  const byEnd = walk.by === "end";
  const mostBytes = isDecidedHere(filter) ? ANSWER_LEAST_BYTES : ANSWER_BYTES;
  const direction = walk.forward ? "ASC" : "DESC";
  const order = byEnd ? `t.finished_at ${direction}, t.id ${direction}` : `t.id ${direction}`;
  const back = byEnd ? order.replaceAll(direction, walk.forward ? "DESC" : "ASC") : "";
  const lastOf = byEnd
    ? `(SELECT t.id FROM piece t ORDER BY ${back} LIMIT 1) AS id, ${walk.forward ? "max" : "min"}(t.finished_at) AS finished_at`
    : `${walk.forward ? "max" : "min"}(t.id) AS id, NULL::bigint AS finished_at`;
  const statusTest = walk.by === "id" ? ofAny(walk.statuses)(bind).sifting : "true";
  return `WITH piece AS MATERIALIZED (${pieceOf(walk, { filter, after }, { order, looksAt }, bind)}),
    looked AS (SELECT count(*) AS n, ${lastOf} FROM piece t),
    matching AS (SELECT t.* FROM piece t WHERE ${statusTest} AND ${siftings(filter, bind)}
      ORDER BY ${order} LIMIT ${bind(limit + 1)}),
    found AS (SELECT t.*, sum(${sizeOf("t", parts)})
      OVER (ORDER BY ${order} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS bytes_before FROM matching t)
    SELECT looked.n::integer, looked.id, looked.finished_at,
      (SELECT count(*) FROM matching)::integer, t.id, t.finished_at, ${selectList("t", parts)}
    FROM looked LEFT JOIN found t ON coalesce(t.bytes_before, 0) < ${mostBytes}
    ORDER BY ${order}`;
}

/** A filtered walk reads a bounded number of rows, however many match; the filter's conditions are applied afterwards. */
function pieceOf(
  walk: Walk,
  { filter, after }: Pick<TaskQuery, "filter" | "after">,
  { order, looksAt }: { readonly order: string; readonly looksAt: number },
  bind: Bind,
): string {
  // Every sweep asks for expired tasks, and finds almost none among all running ones.
  const tests = [
    behind(walk, after, bind),
    expiredBy(filter.expiredAt, bind),
    overlongAt(filter.overlongAt, bind),
  ];
  if (walk.by === "end")
    tests.push(`t.finished_at IS NOT NULL AND t.finished_at < ${bind(endOf(walk, filter))}`);
  const limited = `ORDER BY ${order} LIMIT ${bind(looksAt)}`;
  const read = (from: string, test: string): string =>
    `SELECT t.* FROM ${from} t WHERE ${[...tests, test].join(" AND ")} ${limited}`;
  if (walk.by === "id") return read(TASKS, "true");
  // All statuses are read in parallel branches and merged in order. Branches that the filter does not need are switched off and
  // read nothing.
  const statuses = walk.by === "end" ? ENDED_STATUSES : STATUSES;
  const branches = statuses.map((status) => {
    const isOn = walk.statuses.includes(status);
    if (walk.by === "end") return read(TASKS, `${bind(isOn)}::boolean AND t.status = '${status}'`);
    const { from, test } = sourceOf(status, isOn)(bind);
    return read(from, test);
  });
  return `SELECT t.* FROM (${branches.map((branch) => `(${branch})`).join(" UNION ALL ")}) t ${limited}`;
}

const FOR_EVER = Number.MAX_SAFE_INTEGER;

/** Where a walk in order of finished_at stops. A walk backward from the newest reads all rows and filters them. */
const endOf = ({ forward }: Walk, { finishedBefore = FOR_EVER }: TaskFilter): number =>
  forward ? finishedBefore : FOR_EVER;

/** After the cursor, in the walk's order. A walk without a cursor begins at the first or the last row. */
function behind(walk: Walk, after: Cursor | null, bind: Bind): string {
  const start = walk.forward ? -FOR_EVER : FOR_EVER;
  const sign = walk.forward ? ">" : "<";
  const id = `${bind(after?.id ?? start)}::bigint`;
  if (walk.by !== "end") return `t.id ${sign} ${id}`;
  const finishedAt = after === null ? start : (after.finishedAt ?? 0);
  return `(t.finished_at, t.id) ${sign} (${bind(finishedAt)}::bigint, ${id})`;
}

/** The parts of a filter that no index answers. A field of the payload is left to core, which knows the rule. */
function siftings(filter: TaskFilter, bind: Bind): string {
  const { types, tags, search, finishedBefore, expiredAt, overlongAt: overlong } = filter;
  const [patterns, wanted] = [
    bind(types === undefined ? null : pgArray(types)),
    bind(tags === undefined ? null : JSON.stringify(tags)),
  ];
  const [before, words] = [bind(finishedBefore ?? null), bind(pgArray(search?.words ?? []))];
  return `(${patterns}::text[] IS NULL OR tasktrack.takes_type(${patterns}::text[], t.type))
      AND (${wanted}::text IS NULL OR t.tags::jsonb @> ${wanted}::text::jsonb)
      AND (${before}::bigint IS NULL OR t.finished_at < ${before}::bigint)
      AND ${expiredBy(expiredAt, bind)}
      AND ${overlongAt(overlong, bind)}
      AND NOT EXISTS (SELECT FROM unnest(${words}::text[]) AS word WHERE strpos(t.search_text, word) = 0)`;
}

/** lifecycle.expiresAt, in SQL. */
function expiredBy(at: number | undefined, bind: Bind): string {
  const time = bind(at ?? null);
  return `(${time}::bigint IS NULL OR least(t.lease_until, t.revoke_at) <= ${time}::bigint)`;
}

/** lifecycle.isOverlong, in SQL. */
function overlongAt(at: number | undefined, bind: Bind): string {
  const now = `${bind(at ?? null)}::bigint`;
  return `(${now} IS NULL OR t.lease_until > ${now} + 2 * t.lease_ms
        OR coalesce(t.revoke_at > ${now} + ${2 * CANCEL_GRACE_MS}, false))`;
}

function countStatement(source: Source, filter: TaskFilter, after: number, bind: Bind): string {
  const { from, test, sifting } = source(bind);
  return `SELECT count(*) FILTER (WHERE matches)::integer,
      CASE WHEN count(*) = ${COUNTED_ROWS} THEN max(id) END
    FROM (SELECT t.id, (${sifting} AND ${siftings(filter, bind)}) AS matches FROM ${from} t
      WHERE ${test} AND t.id > ${bind(after)}::bigint ORDER BY t.id LIMIT ${COUNTED_ROWS}) t`;
}

/**
 * A search for fields of the payload is evaluated here, on whole tasks. Their payloads are parsed between two turns of the event
 * loop.
 */
const isDecidedHere = ({ search }: TaskFilter): boolean => (search?.fields.length ?? 0) > 0;

const readPartsOf = ({ filter, parts = "whole" }: TaskQuery<Parts>): Parts =>
  isDecidedHere(filter) ? "whole" : parts;

function readPage(rows: readonly Row[], query: TaskQuery<Parts>, looksAt: number): TaskPage<AnyParts> {
  const { filter, limit, sort, parts = "whole" } = query;
  const [looked, lastId, lastFinishedAt, matching] = (rows[0] ?? []).map(Number);
  const page = rows.filter(([, , , , id]) => id !== null).slice(0, limit);
  const { search } = filter;
  const isMatch = (row: Row): boolean => !search?.fields.length || matchesSearch(readTask(row), search);
  const tasks = page
    .map((row) => row.slice(6))
    .filter(isMatch)
    .map((row) => readParts(row, parts));
  const last = page.at(-1);
  const isCut = last !== undefined && page.length < (matching ?? 0); // by the limit, or by the bytes
  if (isCut) return { tasks, next: cursorOf(last) };
  if ((looked ?? 0) < looksAt) return { tasks, next: null };
  return {
    tasks,
    next: { id: lastId ?? 0, finishedAt: sort.endsWith("finished_at") ? (lastFinishedAt ?? 0) : null },
  };
}

const cursorOf = ([, , , , id, finishedAt]: Row): Cursor => ({
  id: Number(id),
  finishedAt: finishedAt === null ? null : Number(finishedAt),
});
