/** A task as a row: which columns there are, how a field becomes a column and a row becomes a task. */
import { searchText } from "../../core/search.ts";
import type { Attempt, LightTask, Parts, Task, TaskHead } from "../../core/task.ts";
import type { Stepped } from "../store.ts";

type Value = string | number | null;

export type Column = {
  readonly name: string;
  readonly type: "bigint" | "integer" | "text" | "double precision";
  /** Undefined if the task was read without it. */
  readonly of: (task: Stepped) => Value | undefined;
};

const column = (name: string, type: Column["type"], of: Column["of"]): Column => ({ name, type, of });

/** Made from the whole task: a step that changes one of these texts has all three. */
const SEARCH_TEXT = column("search_text", "text", ({ name, description, payload }) => {
  if (payload === undefined) throw new Error("a light task cannot change what is searched for");
  return searchText({ name, description, payload });
});

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
  SEARCH_TEXT,
];

/** Every column of a task that is put in as it is. */
export const ALL_COLUMNS: readonly Column[] = [...COLUMNS, SEARCH_TEXT];

const SEARCHED: ReadonlySet<string> = new Set(["name", "description", "payload"]);

/** The columns in which two states of a task differ: what a step writes, and nothing else. */
export function changedColumns(from: LightTask, to: Stepped): readonly Column[] {
  const changed = COLUMNS.filter(({ of }) => of(to) !== undefined && of(from) !== of(to));
  return changed.some(({ name }) => SEARCHED.has(name)) ? [...changed, SEARCH_TEXT] : changed;
}

const LONG: ReadonlySet<string> = new Set(["payload", "result"]);
const OF_A_HEAD: ReadonlySet<string> = new Set([
  ...["id", "version", "status", "type", "priority", "key", "token", "attempt", "claims"],
  ...["lease_worker", "lease_until", "lease_ms", "revoke_at"],
]);

const isIn = (parts: Parts, name: string): boolean =>
  parts === "whole" || (parts === "light" ? !LONG.has(name) : OF_A_HEAD.has(name));

/**
 * For the select list of `alias`. A column that is not requested is null and is not read, so that the positions in the row stay
 * the same.
 */
export const selectList = (alias: string, parts: Parts = "whole"): string =>
  COLUMNS.map(({ name, type }) => (isIn(parts, name) ? `${alias}.${name}` : `NULL::${type}`)).join(", ");

/** In SQL: the approximate size of these parts of a task in an answer. The length of a text is known without reading it. */
export function sizeOf(alias: string, parts: Parts): string {
  const texts = ["name", "description", "attempts", "payload", "result"].filter((name) => isIn(parts, name));
  return ["500", ...texts.map((name) => `coalesce(octet_length(${alias}.${name}), 0)`)].join(" + ");
}

const NO_TAGS: readonly string[] = [];
const NO_ATTEMPTS: readonly Attempt[] = [];

const listText = (list: readonly unknown[]): string => (list.length === 0 ? "[]" : JSON.stringify(list));

/** These parts of the task, from a row that was selected for them. */
export function readParts(row: readonly unknown[], parts: Parts): Task | LightTask | TaskHead {
  if (parts === "head") return readHead(row);
  const task = readTask(row);
  if (parts === "whole") return task;
  const { payload: _payload, result: _result, ...light } = task;
  return light;
}

const readHead = (row: readonly unknown[]): TaskHead =>
  ({
    id: Number(row[0]),
    version: row[1],
    status: row[2],
    type: row[5],
    priority: row[7],
    key: row[9],
    claims: row[17],
    token: row[18],
    attempt: row[19],
    lease: leaseOf(row),
  }) as TaskHead; // as in `readTask`

const leaseOf = (row: readonly unknown[]) =>
  row[31] === null
    ? null
    : { worker: row[31], until: Number(row[32]), leaseMs: Number(row[33]), revokeAt: timeIn(row[34]) };

/**
 * A bigint, which the client gives as a text. Casting it to double precision in SQL would cost less, but the digits that a server
 * sends of a double depend on extra_float_digits, which a connection pooler does not let a client set.
 */
const timeIn = (value: unknown): number | null => (value === null ? null : Number(value));

/** A row in the order of COLUMNS; the table's constraints and this file's writers are what makes the cast true. */
export function readTask(row: readonly unknown[]): Task {
  return {
    id: Number(row[0]),
    version: row[1],
    name: row[3],
    description: row[4],
    type: row[5],
    payload: row[6],
    priority: row[7],
    tags: row[8] === "[]" ? NO_TAGS : JSON.parse(String(row[8])),
    key: row[9],
    runAt: Number(row[10]),
    timeoutMs: timeIn(row[11]),
    maxAttempts: row[12],
    backoff: { baseMs: Number(row[13]), maxMs: Number(row[14]) },
    createdAt: Number(row[15]),
    updatedAt: Number(row[16]),
    claims: row[17],
    token: row[18],
    attempt: row[19],
    failures: row[20],
    losses: row[21],
    workedMs: Number(row[22]),
    attempts: row[23] === "[]" ? NO_ATTEMPTS : JSON.parse(String(row[23])),
    startedAt: timeIn(row[24]),
    progress: row[26] === null ? null : { percent: row[26], message: row[27] },
    result: row[28],
    error: row[29] === null ? null : { code: row[29], message: row[30] },
    status: row[2],
    lease: leaseOf(row),
    finishedAt: timeIn(row[25]),
  } as Task;
}

/** A column of many rows, as a parameter of unnest. */
export const valuesOf = (column: Column, tasks: readonly Stepped[]): Value[] =>
  tasks.map((task) => column.of(task) ?? null);
