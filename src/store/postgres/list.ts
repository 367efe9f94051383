/** Pages of tasks in bounded pieces: a statement looks at a bounded number of rows, whatever the filter. */
import { CANCEL_GRACE_MS } from "../../core/lifecycle.ts";
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
import { ANSWER_BYTES } from "../../core/text-size.ts";
import type { Cursor, TaskFilter, TaskPage, TaskQuery } from "../store.ts";
import { pgArray } from "./array.ts";
import type { Parameter, Row, Session } from "./pool.ts";
import { readParts, readTask, selectList, sizeOf } from "./rows.ts";

/** Rows that a page looks at where its filter may leave out most of them: some milliseconds of the server. */
const SIFTED_ROWS = 5_000;
const COUNTED_ROWS = 50_000;

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
    if (filter.search?.fields.length) return countByReading(filter);
    let total = 0;
    for (const source of walk.sources) total += await countSource(source, filter);
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

  async function countByReading(filter: TaskFilter): Promise<number> {
    let total = 0;
    let after: Cursor | null = null;
    do {
      const page: TaskPage<AnyParts> = await list({ filter, sort: "id", after, limit: 1_000, parts: "head" });
      total += page.tasks.length;
      after = page.next;
    } while (after !== null);
    return total;
  }

  /** The way to walk; null where there is nothing to find. */
  async function walkOf(filter: TaskFilter, sort: TaskQuery["sort"]): Promise<Walk | null> {
    const byEnd = sort === "finished_at" || sort === "-finished_at";
    const statuses = STATUSES.filter((status) => isPossible(status, filter, byEnd));
    if (statuses.length === 0 || filter.types?.length === 0) return null;
    const { types, tags, search, finishedBefore } = filter;
    const sifting = [types, tags, search, sort === "finished_at" ? undefined : finishedBefore];
    const sources = byEnd ? statuses.map(ofEnded) : await sourcesById(statuses);
    const isSifted = sifting.some((part) => part !== undefined) || sources.some((source) => source.isSifted);
    return { byEnd, forward: !sort.startsWith("-"), sources, isSifted };
  }

  /** The index of each status where all have one, or are few enough to need none; else all tasks along their ids. */
  async function sourcesById(statuses: readonly Status[]): Promise<readonly Source[]> {
    if (statuses.length === STATUSES.length) return [{ from: TASKS, test: "true", isSifted: false }];
    const sources: Source[] = [];
    for (const status of statuses) {
      if (RARE.has(status)) sources.push({ from: TASKS, test: `t.status = '${status}'`, isSifted: false });
      else if (await areFew(status))
        sources.push({ from: `(${gathered(status)})`, test: "true", isSifted: false });
      else
        return [
          {
            from: TASKS,
            test: `t.status IN (${statuses.map((each) => `'${each}'`).join(", ")})`,
            isSifted: true,
          },
        ];
    }
    return sources;
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

/** What each status's other index says, with the order in which it lies there. */
const INDEXED: Readonly<Record<Status, string>> = {
  pending: "t.status = 'pending'",
  running: "t.status = 'running'",
  done: "t.status = 'done' AND t.finished_at IS NOT NULL",
  failed: "t.status = 'failed'",
  cancelled: "t.status = 'cancelled'",
};

/** Along an index, so that it costs what it finds; no more than a few, should many have come since they were counted. */
const gathered = (status: Status): string =>
  `SELECT t.* FROM ${TASKS} t WHERE ${INDEXED[status]}
    ORDER BY ${status === "pending" ? "t.type, t.priority, t.run_at, t.id" : "t.finished_at, t.id"} LIMIT ${2 * FEW}`;

/** What parts they are stands in the query. */
type AnyParts = Task | LightTask | TaskHead;

const NOTHING: TaskPage = { tasks: [], next: null };

/** Gathers parameters while a statement is written. */
function createBinder() {
  const values: Parameter[] = [];
  return { values, next: (value: Parameter): string => `$${values.push(value)}` };
}
type Bind = (value: Parameter) => string;

/** Where rows of some statuses are read in order. */
type Source = {
  /** The table, or a subquery in its place. */
  readonly from: string;
  readonly test: string;
  /** Whether the test leaves out rows that are looked at. */
  readonly isSifted: boolean;
};

type Walk = {
  readonly byEnd: boolean;
  readonly forward: boolean;
  /** Walked side by side, the best of all of them first. */
  readonly sources: readonly Source[];
  /** Whether rows are looked at that the filter may leave out. */
  readonly isSifted: boolean;
};

/** Spelled out, so that the planner sees that its index serves. */
const ofEnded = (status: Status): Source => ({
  from: TASKS,
  test: `t.status = '${status}'`,
  isSifted: false,
});

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
  const direction = walk.forward ? "ASC" : "DESC";
  const order = walk.byEnd ? `t.finished_at ${direction}, t.id ${direction}` : `t.id ${direction}`;
  const back = walk.byEnd ? order.replaceAll(direction, walk.forward ? "DESC" : "ASC") : "";
  const lastOf = walk.byEnd
    ? `(SELECT t.id FROM piece t ORDER BY ${back} LIMIT 1) AS id, ${walk.forward ? "max" : "min"}(t.finished_at) AS finished_at`
    : `${walk.forward ? "max" : "min"}(t.id) AS id, NULL::bigint AS finished_at`;
  const sifted = walk.sources.filter((source) => source.isSifted).map((source) => source.test);
  const tests = [...siftings(filter, bind), ...sifted, "true"].join(" AND ");
  return `WITH piece AS MATERIALIZED (${pieceOf(walk, { filter, after }, { order, looksAt }, bind)}),
    looked AS (SELECT count(*) AS n, ${lastOf} FROM piece t),
    matching AS (SELECT t.* FROM piece t WHERE ${tests} ORDER BY ${order} LIMIT ${bind(limit + 1)}),
    found AS (SELECT t.*, sum(${sizeOf("t", parts)})
      OVER (ORDER BY ${order} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS bytes_before FROM matching t)
    SELECT looked.n::integer, looked.id::float8, looked.finished_at::float8,
      (SELECT count(*) FROM matching)::integer, t.id::float8, t.finished_at::float8, ${selectList("t", parts)}
    FROM looked LEFT JOIN found t ON coalesce(t.bytes_before, 0) < ${ANSWER_BYTES}
    ORDER BY ${order}`;
}

function pieceOf(
  walk: Walk,
  { filter, after }: Pick<TaskQuery, "filter" | "after">,
  { order, looksAt }: { readonly order: string; readonly looksAt: number },
  bind: Bind,
): string {
  const tests = behind(walk, after, bind);
  if (walk.byEnd) tests.push("t.finished_at IS NOT NULL");
  if (walk.byEnd && walk.forward && filter.finishedBefore !== undefined) {
    tests.push(`t.finished_at < ${bind(filter.finishedBefore)}`);
  }
  // Every sweep asks this, and finds next to nothing among all that run.
  if (filter.expiredAt !== undefined) tests.push(expiredBy(filter.expiredAt, bind));
  if (filter.overlongAt !== undefined) tests.push(overlongAt(filter.overlongAt, bind));
  const limited = `ORDER BY ${order} LIMIT ${bind(looksAt)}`;
  // A sifted walk looks at so many rows, whatever it finds among them; its test is asked afterwards.
  const read = ({ from, test, isSifted }: Source): string =>
    `SELECT t.* FROM ${from} t WHERE ${[...tests, isSifted ? "true" : test].join(" AND ")} ${limited}`;
  const [only, ...others] = walk.sources.map(read);
  if (others.length === 0) return only ?? "";
  return `SELECT t.* FROM (${[only, ...others].map((each) => `(${each})`).join(" UNION ALL ")}) t ${limited}`;
}

/** After the cursor, in the walk's order. */
function behind(walk: Walk, after: Cursor | null, bind: Bind): string[] {
  if (after === null) return [];
  const sign = walk.forward ? ">" : "<";
  if (!walk.byEnd) return [`t.id ${sign} ${bind(after.id)}`];
  return [`(t.finished_at, t.id) ${sign} (${bind(after.finishedAt ?? 0)}, ${bind(after.id)})`];
}

/** The parts of a filter that no index answers. A field of the payload is left to core, which knows the rule. */
function siftings(filter: TaskFilter, bind: Bind): string[] {
  const { types, tags, search, finishedBefore, expiredAt } = filter;
  return [
    ...(types === undefined ? [] : [`tasktrack.takes_type(${bind(pgArray(types))}, t.type)`]),
    ...(tags === undefined ? [] : [`t.tags::jsonb @> ${bind(JSON.stringify(tags))}::text::jsonb`]),
    ...(finishedBefore === undefined ? [] : [`t.finished_at < ${bind(finishedBefore)}`]),
    ...(expiredAt === undefined ? [] : [expiredBy(expiredAt, bind)]),
    ...(filter.overlongAt === undefined ? [] : [overlongAt(filter.overlongAt, bind)]),
    ...(search?.words ?? []).map((word) => `strpos(t.search_text, ${bind(word)}) > 0`),
  ];
}

/** lifecycle.expiresAt, in SQL. */
const expiredBy = (at: number, bind: Bind): string => `least(t.lease_until, t.revoke_at) <= ${bind(at)}`;

/** lifecycle.isOverlong, in SQL. */
const overlongAt = (at: number, bind: Bind): string => {
  const now = `${bind(at)}::bigint`;
  return `(t.lease_until > ${now} + 2 * t.lease_ms OR coalesce(t.revoke_at > ${now} + ${2 * CANCEL_GRACE_MS}, false))`;
};

function countStatement(source: Source, filter: TaskFilter, after: number, bind: Bind): string {
  const tests = [...siftings(filter, bind), source.isSifted ? source.test : "true"].join(" AND ");
  return `SELECT count(*) FILTER (WHERE matches)::integer,
      CASE WHEN count(*) = ${COUNTED_ROWS} THEN max(id) END::float8
    FROM (SELECT t.id, (${tests}) AS matches FROM ${source.from} t
      WHERE ${source.isSifted ? "true" : source.test} AND t.id > ${bind(after)} ORDER BY t.id LIMIT ${COUNTED_ROWS}) t`;
}

/** A search for fields of the payload is decided here, by whole tasks. */
const readPartsOf = ({ filter, parts = "whole" }: TaskQuery<Parts>): Parts =>
  filter.search?.fields.length ? "whole" : parts;

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
