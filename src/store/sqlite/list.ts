/**
 * Lists and counts in pieces. A page is read from one or more arms (the whole table, or one index for each status), which SQLite merges in
 * order. Where a filter may leave out most rows, a first statement finds the row at which the piece ends.
 */
import type { Database } from "bun:sqlite";
import type { AnyParts } from "../../core/parts.ts";
import { matchesSearch } from "../../core/search.ts";
import { isEndedStatus, type Parts, STATUSES, type Status, type TaskId } from "../../core/task.ts";
import type { Row } from "../columns.ts";
import { possibleStatuses } from "../filter.ts";
import type { Cursor, TaskFilter, TaskPage, TaskQuery } from "../store.ts";
import type { Counted } from "./calls.ts";
import { COLUMNS, conditionsOn, cursorOf, selectList, sizeOf, type Values } from "./columns.ts";

/** Rows that one call reads: some milliseconds. A search reads and folds texts; a count without conditions reads an index. */
const SCANNED_ROWS = 5_000;
const SEARCHED_ROWS = 1_000;
const COUNTED_ROWS = 20_000;
/** Less than ANSWER_BYTES, because the server's own thread parses the answer: some milliseconds for 2 MiB. */
const ANSWER_TEXT = 2 * 1_048_576;

/** A part of the table in the order of the list, with conditions of its own. */
type Arm = { readonly from: string; readonly where: readonly string[] };
type Plan = {
  readonly arms: readonly Arm[];
  /** Conditions on every row. */
  readonly where: readonly string[];
  readonly order: string;
  /** Up to the row at `bound`, in this order. */
  readonly upTo: string;
  /** Whether many rows in a row may not match the filter, so that a piece needs an end. */
  readonly isSelective: boolean;
  readonly values: Values;
};

export function createLists(db: Database) {
  const selectById = (parts: Parts) =>
    db.prepare<Row, [TaskId]>(`SELECT ${selectList(parts)} FROM task WHERE id = ?`);
  const select = { whole: selectById("whole"), light: selectById("light"), head: selectById("head") };

  function get(ids: readonly TaskId[], parts: Parts = "whole"): (AnyParts | null)[] {
    const tasks: (AnyParts | null)[] = [];
    let bytes = 0;
    for (const id of ids) {
      if (bytes > ANSWER_TEXT) break;
      const row = select[parts].get(id);
      if (row !== null) bytes += sizeOf(row, parts);
      tasks.push(row === null ? null : COLUMNS.read(row, parts));
    }
    return tasks;
  }

  function list({ filter, sort, after, limit, parts = "whole" }: TaskQuery<Parts>): TaskPage<AnyParts> {
    const plan = planOf({ filter, sort, after });
    if (plan.arms.length === 0) return { tasks: [], next: null };
    const { search } = filter;
    const bound = plan.isSelective
      ? boundOf(plan, search === undefined ? SCANNED_ROWS : SEARCHED_ROWS)
      : null;
    const tasks: AnyParts[] = [];
    let last: Row | null = null;
    let bytes = 0;
    const read = search === undefined ? parts : "whole";
    for (const row of rowsOf(plan, bound, { parts: read, limit: search === undefined ? limit + 1 : null })) {
      if (tasks.length >= limit || bytes > ANSWER_TEXT)
        return { tasks, next: last === null ? after : cursorOf(last) };
      last = row;
      bytes += sizeOf(row, read);
      if (search === undefined || matchesSearch(searchedTexts(row), search))
        tasks.push(COLUMNS.read(row, parts));
    }
    return { tasks, next: bound };
  }

  function count(filter: TaskFilter, after: TaskId): Counted {
    if (filter.search !== undefined) {
      const cursor = { id: after, finishedAt: null };
      const page = list({ filter, sort: "id", after: cursor, limit: SEARCHED_ROWS, parts: "head" });
      return { count: page.tasks.length, next: page.next?.id ?? null };
    }
    // The index on the status is read faster than the rows themselves.
    const picky = isPicky(filter);
    const whole = picky ? "rows" : "statuses";
    const plan = planOf({ filter, sort: "id", after: { id: after, finishedAt: null } }, whole);
    const first = plan.arms.length === 0 ? null : firstOf(plan);
    if (first === null) return { count: 0, next: null };
    const bound = { id: first + (picky ? SCANNED_ROWS : COUNTED_ROWS) - 1, finishedAt: null }; // no more ids, no more rows
    const { sql, values } = bounded(plan, bound, "count(*) AS n");
    const row = db.query<{ n: number }, [Values]>(`SELECT sum(n) AS n FROM (${sql})`).get(values);
    return { count: row?.n ?? 0, next: bound.id };
  }

  function firstOf(plan: Plan): TaskId | null {
    const sql = union(plan, "min(id) AS id", []);
    return (
      db.query<{ id: TaskId | null }, [Values]>(`SELECT min(id) AS id FROM (${sql})`).get(plan.values)?.id ??
      null
    );
  }

  /** The last row of a piece of this many rows; null when fewer are left. */
  function boundOf(plan: Plan, rows: number): Cursor | null {
    const sql = union(plan, "id, finished_at AS finishedAt", []);
    return db
      .query<Cursor, [Values]>(`${sql} ORDER BY ${plan.order} LIMIT 1 OFFSET ${rows - 1}`)
      .get(plan.values);
  }

  function rowsOf(
    plan: Plan,
    bound: Cursor | null,
    { parts, limit }: { readonly parts: Parts; readonly limit: number | null },
  ): IterableIterator<Row> {
    const { sql, values } = bounded(plan, bound, selectList(parts));
    const most = limit === null ? "" : " LIMIT $limit";
    return db
      .query<Row, [Values]>(`${sql} ORDER BY ${plan.order}${most}`)
      .iterate(limit === null ? values : { ...values, limit });
  }

  return { get, list, count };
}

function bounded(plan: Plan, bound: Cursor | null, columns: string): { sql: string; values: Values } {
  if (bound === null) return { sql: union(plan, columns, plan.where), values: plan.values };
  return {
    sql: union(plan, columns, [plan.upTo, ...plan.where]),
    values: {
      ...plan.values,
      boundId: bound.id,
      ...(plan.upTo.includes("$boundAt") ? { boundAt: bound.finishedAt } : {}),
    },
  };
}

const union = ({ arms }: Plan, columns: string, where: readonly string[]): string =>
  arms
    .map((arm) => `SELECT ${columns} FROM ${arm.from} WHERE ${[...arm.where, ...where].join(" AND ")}`)
    .join(" UNION ALL ");

// ---- the rows that are read, and their order

function planOf(
  { filter, sort, after }: Omit<TaskQuery, "limit">,
  whole: "rows" | "statuses" = "rows",
): Plan {
  const values: Values = {};
  const where = conditionsOn(filter, values);
  const plan = sort === "id" || sort === "-id" ? planById : planByFinish;
  return { where, values, ...plan({ filter, sort, after }, values, whole) };
}

const searchedTexts = COLUMNS.readerOf(["name", "description", "payload"]);

type Ordered = Pick<Plan, "arms" | "order" | "upTo" | "isSelective">;

function planById(
  { filter, sort, after }: Omit<TaskQuery, "limit">,
  values: Values,
  whole: "rows" | "statuses",
): Ordered {
  const forward = sort === "id";
  values.id = after?.id ?? (forward ? 0 : Number.MAX_SAFE_INTEGER);
  const position = forward ? "id > $id" : "id < $id";
  return {
    arms: armsById(filter, whole).map(({ from, where }) => ({ from, where: [...where, position] })),
    order: forward ? "id" : "id DESC",
    upTo: forward ? "id <= $boundId" : "id >= $boundId",
    // Expired leases are found in their index, also if they are few; a sweep reads only one page.
    isSelective: !asksForLeases(filter) && (isPicky(filter) || filter.finishedBefore !== undefined),
  };
}

function armsById(filter: TaskFilter, whole: "rows" | "statuses"): Arm[] {
  const statuses = possibleStatuses(filter);
  if (asksForLeases(filter)) {
    const arm = { from: "task INDEXED BY task_running", where: ["status = 'running'"] };
    return statuses.includes("running") ? [arm] : [];
  }
  if (statuses.length === STATUSES.length && whole === "rows")
    return [{ from: "task NOT INDEXED", where: [] }];
  return statuses.map((status) => ({
    from: "task INDEXED BY task_by_status",
    where: [`status = '${status}'`],
  }));
}

function planByFinish({ filter, sort, after }: Omit<TaskQuery, "limit">, values: Values): Ordered {
  const forward = sort === "finished_at";
  if (after !== null) Object.assign(values, { id: after.id, at: after.finishedAt ?? 0 });
  const statuses = possibleStatuses(filter).filter(isEndedStatus);
  return {
    arms: statuses.flatMap((status) => armsByFinish(status, forward ? ">" : "<", after !== null)),
    order: forward ? "finished_at, id" : "finished_at DESC, id DESC",
    upTo: `(finished_at, id) ${forward ? "<=" : ">="} ($boundAt, $boundId)`,
    isSelective: isPicky(filter),
  };
}

/** Tasks that ended in the millisecond of the cursor are an arm of their own: SQLite searches the index by one column, not by both. */
function armsByFinish(status: Status, past: ">" | "<", isAfter: boolean): Arm[] {
  const from = "task INDEXED BY task_ended";
  const where = [`status = '${status}'`, "finished_at IS NOT NULL"];
  if (!isAfter) return [{ from, where }];
  return [
    { from, where: [...where, "finished_at = $at", `id ${past} $id`] },
    { from, where: [...where, `finished_at ${past} $at`] },
  ];
}

const asksForLeases = ({ expiredAt, overlongAt }: TaskFilter): boolean =>
  expiredAt !== undefined || overlongAt !== undefined;

/** Members of a filter for which there is an index. */
const INDEXED: ReadonlySet<string> = new Set<keyof TaskFilter>([
  "statuses",
  "finishedBefore",
  "expiredAt",
  "overlongAt",
]);

/** Whether many rows in a row may not match the filter: true if it has a member without an index. */
const isPicky = (filter: TaskFilter): boolean =>
  Object.entries(filter).some(([name, value]) => value !== undefined && !INDEXED.has(name));
