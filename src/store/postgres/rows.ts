/** A task as a row: which columns there are, how a field becomes a column and a row becomes a task. */
import { searchText } from "../../core/search.ts";
import type { Attempt, Draft, Task } from "../../core/task.ts";

type Value = string | number | null;

export type Column = {
  readonly name: string;
  readonly type: "bigint" | "integer" | "text" | "double precision";
  readonly of: (task: Task) => Value;
};

const column = (name: string, type: Column["type"], of: Column["of"]): Column => ({ name, type, of });

/** In the order in which `readTask` reads them. */
export const COLUMNS = [
  column("id", "bigint", (task) => task.id),
  column("version", "integer", (task) => task.version),
  column("status", "text", (task) => task.status),
  column("name", "text", (task) => task.name),
  column("description", "text", (task) => task.description),
  column("type", "text", (task) => task.type),
  column("payload", "text", (task) => task.payload),
  column("priority", "integer", (task) => task.priority),
  column("tags", "text", (task) => listText(task.tags)),
  column("key", "text", (task) => task.key),
  column("run_at", "bigint", (task) => task.runAt),
  column("timeout_ms", "bigint", (task) => task.timeoutMs),
  column("max_attempts", "integer", (task) => task.maxAttempts),
  column("backoff_base_ms", "bigint", (task) => task.backoff.baseMs),
  column("backoff_max_ms", "bigint", (task) => task.backoff.maxMs),
  column("created_at", "bigint", (task) => task.createdAt),
  column("updated_at", "bigint", (task) => task.updatedAt),
  column("claims", "integer", (task) => task.claims),
  column("token", "text", (task) => task.token),
  column("attempt", "integer", (task) => task.attempt),
  column("failures", "integer", (task) => task.failures),
  column("losses", "integer", (task) => task.losses),
  column("worked_ms", "bigint", (task) => task.workedMs),
  column("attempts", "text", (task) => listText(task.attempts)),
  column("started_at", "bigint", (task) => task.startedAt),
  column("finished_at", "bigint", (task) => task.finishedAt),
  column("progress_percent", "double precision", (task) => task.progress?.percent ?? null),
  column("progress_message", "text", (task) => task.progress?.message ?? null),
  column("result", "text", (task) => task.result),
  column("error_code", "text", (task) => task.error?.code ?? null),
  column("error_message", "text", (task) => task.error?.message ?? null),
  column("lease_worker", "text", (task) => task.lease?.worker ?? null),
  column("lease_until", "bigint", (task) => task.lease?.until ?? null),
  column("lease_ms", "bigint", (task) => task.lease?.leaseMs ?? null),
  column("revoke_at", "bigint", (task) => task.lease?.revokeAt ?? null),
] as const satisfies readonly Column[];

/** What a new task says for itself; the rest is the table's defaults. */
const OF_A_DRAFT: ReadonlySet<string> = new Set([
  ...["name", "description", "type", "payload", "priority", "tags", "key", "run_at", "timeout_ms"],
  ...["max_attempts", "backoff_base_ms", "backoff_max_ms", "created_at", "updated_at"],
]);
export const DRAFT_COLUMNS: readonly Column[] = [
  ...COLUMNS.filter(({ name }) => OF_A_DRAFT.has(name)),
  column("search_text", "text", (task) => searchText(task)),
];

/** Every column of a task that is put in as it is. */
export const ALL_COLUMNS: readonly Column[] = [
  ...COLUMNS,
  column("search_text", "text", (task) => searchText(task)),
];

const SEARCHED = ["name", "description", "payload"] as const;

/** The columns in which two states of a task differ: what a step writes, and nothing else. */
export function changedColumns(from: Task, to: Task): readonly Column[] {
  const changed = COLUMNS.filter(({ of }) => of(from) !== of(to));
  const isFoundAnew = SEARCHED.some((field) => from[field] !== to[field]);
  return isFoundAnew ? [...changed, column("search_text", "text", (task) => searchText(task))] : changed;
}

/** For the select list of `alias`; whole numbers come as doubles, which carry them exactly and need no parsing. */
export const selectList = (alias: string): string =>
  COLUMNS.map(({ name, type }) => `${alias}.${name}${type === "bigint" ? "::float8" : ""}`).join(", ");

const NO_TAGS: readonly string[] = [];
const NO_ATTEMPTS: readonly Attempt[] = [];

const listText = (list: readonly unknown[]): string => (list.length === 0 ? "[]" : JSON.stringify(list));

/** A row in the order of COLUMNS; the table's constraints and this file's writers are what makes the cast true. */
export function readTask(row: readonly unknown[]): Task {
  return {
    id: row[0],
    version: row[1],
    name: row[3],
    description: row[4],
    type: row[5],
    payload: row[6],
    priority: row[7],
    tags: row[8] === "[]" ? NO_TAGS : JSON.parse(String(row[8])),
    key: row[9],
    runAt: row[10],
    timeoutMs: row[11],
    maxAttempts: row[12],
    backoff: { baseMs: row[13], maxMs: row[14] },
    createdAt: row[15],
    updatedAt: row[16],
    claims: row[17],
    token: row[18],
    attempt: row[19],
    failures: row[20],
    losses: row[21],
    workedMs: row[22],
    attempts: row[23] === "[]" ? NO_ATTEMPTS : JSON.parse(String(row[23])),
    startedAt: row[24],
    progress: row[26] === null ? null : { percent: row[26], message: row[27] },
    result: row[28],
    error: row[29] === null ? null : { code: row[29], message: row[30] },
    status: row[2],
    lease: row[31] === null ? null : { worker: row[31], until: row[32], leaseMs: row[33], revokeAt: row[34] },
    finishedAt: row[25],
  } as Task;
}

/** A column of many rows, as a parameter of unnest. */
export const valuesOf = (column: Column, tasks: readonly (Task | Draft)[]): Value[] => tasks.map(column.of);
