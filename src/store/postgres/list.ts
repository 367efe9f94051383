/**
 * Pages of tasks in bounded pieces: a statement reads a bounded number of rows with any filter.
 *
 * There is a fixed number of statement texts, some thirty: a condition that a filter does not use is a null, an empty array or a
 * source that is switched off. Each text stays prepared on each connection with its plan. When every number of words had its own
 * text, 600 searches took a connection from 4 MB to 1.4 GB.
 */
import type { AnyParts } from "../../core/parts.ts";
import { matchesSearch } from "../../core/search.ts";
import { ENDED_STATUSES, isEndedStatus, type Parts, STATUSES, type Status } from "../../core/task.ts";
import { ANSWER_BYTES, ANSWER_LEAST_BYTES } from "../../core/text-size.ts";
import { possibleStatuses } from "../filter.ts";
import type { Cursor, Sort, TaskFilter, TaskPage, TaskQuery } from "../store.ts";
import { countByReading } from "../type-counts.ts";
import { pgArray } from "./array.ts";
import { bytesBefore, isWithin } from "./byte-limit.ts";
import { type Bind, COLUMNS, conditionsOn, leaseConditions, selectList, sizeOf } from "./columns.ts";
import type { Parameter, Row, Session } from "./statement.ts";

/** Rows that a page reads if its filter may leave out most of them: some milliseconds of the server. */
const SIFTED_ROWS = 5_000;
const COUNTED_ROWS = 50_000;
/** Rows of a page that are read to be counted. */
const READ_ROWS = 1_000;

/** Statuses that have an index by id; see the migration. */
const RARE: ReadonlySet<Status> = new Set(["running", "failed", "cancelled"]);
/** All tasks of another status are read and sorted if there are no more than this. */
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
      const { matches, last } = row ?? {};
      total += Number(matches);
      after = last == null ? null : Number(last);
    }
    return total;
  }

  /** The order and the source of the rows; null if the filter can take no task. */
  async function walkOf(filter: TaskFilter, sort: TaskQuery["sort"]): Promise<Walk | null> {
    const byEnd = sort === "finished_at" || sort === "-finished_at";
    const statuses = possibleStatuses(filter).filter((status) => !byEnd || isEndedStatus(status));
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
        `SELECT count(*)::integer AS n FROM (SELECT FROM ${TASKS} t WHERE ${INDEXED[status]} LIMIT ${FEW + 1}) t`,
      ),
    );
    return Number(row?.n) <= FEW;
  }

  return { list, count };
}

const TASKS = "tasktrack.tasks";

/**
 * Members of a filter that the source of the rows answers: the statuses choose its branches, and of running tasks only the few whose lease is
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
      !(name === "finishedBefore" && sort === "finished_at"), // this walk ends there
  );

/** The condition of another index that holds all tasks of the status. */
const INDEXED: Readonly<Record<Status, string>> = {
  pending: "t.status = 'pending'",
  running: "t.status = 'running'",
  done: "t.status = 'done' AND t.finished_at IS NOT NULL",
  failed: "t.status = 'failed'",
  cancelled: "t.status = 'cancelled'",
};

const NOTHING: TaskPage = { tasks: [], next: null };

/** Collects parameters while a statement is written. */
function createBinder() {
  const values: Parameter[] = [];
  return { values, next: (value: Parameter): string => `$${values.push(value)}` };
}
type Walk = {
  /** In order of finished_at within each status, in id order within each status, or in id order over all tasks. */
  readonly by: "end" | "status" | "id";
  readonly forward: boolean;
  readonly statuses: readonly Status[];
  /** Whether rows are read that the filter may leave out. */
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

/** With the condition of the index as a constant, so that the planner can use the index. */
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

/**
 * `piece` has the rows that were read; `looked` has the last of them, so that a page without a match still has a cursor; `found` has the matches,
 * up to the limit and to the bytes that a page may hold.
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
    matching AS (SELECT t.* FROM piece t WHERE ${statusTest} AND ${conditionsOn(filter, bind)}
      ORDER BY ${order} LIMIT ${bind(limit + 1)}),
    found AS (SELECT t.*, ${bytesBefore(sizeOf("t", parts), order)} FROM matching t)
    SELECT looked.n::integer AS looked, looked.id AS last_id, looked.finished_at AS last_finished_at,
      (SELECT count(*) FROM matching)::integer AS matching, t.finished_at AS ended_at, ${selectList("t", parts)}
    FROM looked LEFT JOIN found t ON ${isWithin(mostBytes, "t")}
    ORDER BY ${order}`;
}

/** A filtered walk reads a bounded number of rows, with any number of matches; the filter's conditions are applied afterwards. */
function pieceOf(
  walk: Walk,
  { filter, after }: Pick<TaskQuery, "filter" | "after">,
  { order, looksAt }: { readonly order: string; readonly looksAt: number },
  bind: Bind,
): string {
  // Every sweep asks for expired tasks, and finds almost none among all running ones.
  const tests = [behind(walk, after, bind), ...leaseConditions(filter, bind)];
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

function countStatement(source: Source, filter: TaskFilter, after: number, bind: Bind): string {
  const { from, test, sifting } = source(bind);
  return `SELECT count(*) FILTER (WHERE matches)::integer AS matches,
      CASE WHEN count(*) = ${COUNTED_ROWS} THEN max(id) END AS last
    FROM (SELECT t.id, (${sifting} AND ${conditionsOn(filter, bind)}) AS matches FROM ${from} t
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
  const { looked, last_id: lastId, last_finished_at: lastFinishedAt, matching } = rows[0] ?? {};
  const page = rows.filter(({ id }) => id !== null).slice(0, limit);
  const { search } = filter;
  const isMatch = (row: Row): boolean =>
    !search?.fields.length || matchesSearch(COLUMNS.read(row, "whole"), search);
  const tasks = page.filter(isMatch).map((row) => COLUMNS.read(row, parts));
  const last = page.at(-1);
  const isCut = last !== undefined && page.length < Number(matching ?? 0); // by the limit, or by the bytes
  if (isCut) return { tasks, next: cursorOf(last) };
  if (Number(looked ?? 0) < looksAt) return { tasks, next: null };
  return {
    tasks,
    next: {
      id: Number(lastId ?? 0),
      finishedAt: sort.endsWith("finished_at") ? Number(lastFinishedAt ?? 0) : null,
    },
  };
}

const cursorOf = ({ id, ended_at: endedAt }: Row): Cursor => ({
  id: Number(id),
  finishedAt: endedAt === null ? null : Number(endedAt),
});
