/** A task as a row: which columns hold each field, how it is written there and how it is read. */
import type {
  Attempt,
  Failure,
  Lease,
  LightTask,
  Parts,
  Progress,
  Status,
  Task,
  TaskHead,
} from "../../core/task.ts";

export type Value = string | number | null;

/** A row of the table `task` as SQLite gives it. */
export type Row = {
  readonly id: number;
  readonly status: Status;
  readonly version: number;
  readonly type: string;
  readonly priority: number;
  readonly run_at: number;
  readonly finished_at: number | null;
  readonly lease_until: number | null;
  readonly revoke_at: number | null;
  readonly lease_ms: number | null;
  readonly lease_worker: string | null;
  readonly claims: number;
  readonly token: string | null;
  readonly attempt: number;
  readonly failures: number;
  readonly losses: number;
  readonly started_at: number | null;
  readonly worked_ms: number;
  readonly timeout_ms: number | null;
  readonly max_attempts: number;
  readonly backoff_base_ms: number;
  readonly backoff_max_ms: number;
  readonly created_at: number;
  readonly updated_at: number;
  readonly progress_at: number | null;
  readonly log_count: number;
  readonly key: string | null;
  readonly name: string;
  readonly tags: string;
  readonly progress: string | null;
  readonly error: string | null;
  readonly attempts: string;
  readonly description: string;
  readonly payload: string | null;
  readonly result: string | null;
};

type Column = keyof Row;
type Field<T> = { readonly columns: readonly Column[]; readonly write: (value: T, into: Value[]) => void };

const plain = (column: Column): Field<Value> => ({
  columns: [column],
  write: (value, into) => into.push(value),
});

const json = (column: Column): Field<unknown> => ({
  columns: [column],
  write: (value, into) => into.push(value === null ? null : JSON.stringify(value)),
});

/** Tags and attempts are empty far more often than not. */
const list = (column: Column): Field<readonly unknown[]> => ({
  columns: [column],
  write: (value, into) => into.push(value.length === 0 ? "[]" : JSON.stringify(value)),
});

const FIELDS: { readonly [K in keyof Task]: Field<Task[K]> } = {
  id: plain("id"),
  status: plain("status"),
  version: plain("version"),
  type: plain("type"),
  priority: plain("priority"),
  runAt: plain("run_at"),
  finishedAt: plain("finished_at"),
  lease: {
    columns: ["lease_until", "revoke_at", "lease_ms", "lease_worker"],
    write: (lease, into) => {
      if (lease === null) into.push(null, null, null, null);
      else into.push(lease.until, lease.revokeAt, lease.leaseMs, lease.worker);
    },
  },
  claims: plain("claims"),
  token: plain("token"),
  attempt: plain("attempt"),
  failures: plain("failures"),
  losses: plain("losses"),
  startedAt: plain("started_at"),
  workedMs: plain("worked_ms"),
  timeoutMs: plain("timeout_ms"),
  maxAttempts: plain("max_attempts"),
  backoff: {
    columns: ["backoff_base_ms", "backoff_max_ms"],
    write: ({ baseMs, maxMs }, into) => into.push(baseMs, maxMs),
  },
  createdAt: plain("created_at"),
  updatedAt: plain("updated_at"),
  key: plain("key"),
  name: plain("name"),
  tags: list("tags"),
  progress: json("progress"),
  error: json("error"),
  attempts: list("attempts"),
  description: plain("description"),
  payload: plain("payload"),
  result: plain("result"),
};

export type FieldName = keyof Task;
const FIELD_NAMES = Object.keys(FIELDS) as FieldName[]; // its own keys

export const columnsOf = (names: readonly FieldName[] = FIELD_NAMES): readonly Column[] =>
  names.flatMap((name) => FIELDS[name].columns);

/** The values of `columnsOf` the same names. */
export function valuesOf(task: Readonly<Partial<Task>>, names: readonly FieldName[] = FIELD_NAMES): Value[] {
  const values: Value[] = [];
  // Field and value have the same name, which the compiler does not follow through a union of names.
  for (const name of names) (FIELDS[name] as Field<unknown>).write(task[name], values);
  return values;
}

export const fieldsOf = (changed: Readonly<Partial<Task>>): FieldName[] =>
  Object.keys(changed) as FieldName[];

const HEAD_COLUMNS = [
  ...["id", "status", "version", "type", "priority", "finished_at", "claims", "token", "attempt", "key"],
  ...["lease_until", "revoke_at", "lease_ms", "lease_worker"],
].join();

/** For a select list: what `partsOf` needs for these parts of a task, and the columns by which lists are sorted. */
export const COLUMNS_OF: Readonly<Record<Parts, string>> = {
  whole: "*",
  light: columnsOf(FIELD_NAMES.filter((name) => name !== "payload" && name !== "result")).join(),
  head: HEAD_COLUMNS,
};

/** These parts of the task that was written there; the row has at least their columns. */
export function partsOf(row: Row, parts: Parts): Task | LightTask | TaskHead {
  if (parts === "head") return headOf(row);
  return parts === "light" ? lightTaskOf(row) : taskOf(row);
}

const headOf = (row: Row): TaskHead => ({
  id: row.id,
  version: row.version,
  status: row.status,
  type: row.type,
  priority: row.priority,
  key: row.key,
  token: row.token,
  attempt: row.attempt,
  claims: row.claims,
  lease: leaseOf(row),
});

/** The task that was written there; as it was one then, its status agrees with its other fields. */
export function taskOf(row: Row): Task {
  const fields: { readonly [K in keyof Task]: Task[K] } = {
    ...lightTaskOf(row),
    payload: row.payload,
    result: row.result,
  };
  return fields as Task;
}

function lightTaskOf(row: Row): LightTask {
  const fields: { readonly [K in keyof LightTask]: LightTask[K] } = {
    id: row.id,
    version: row.version,
    name: row.name,
    description: row.description,
    type: row.type,
    priority: row.priority,
    tags: listOf<string>(row.tags),
    key: row.key,
    runAt: row.run_at,
    timeoutMs: row.timeout_ms,
    maxAttempts: row.max_attempts,
    backoff: { baseMs: row.backoff_base_ms, maxMs: row.backoff_max_ms },
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    claims: row.claims,
    token: row.token,
    attempt: row.attempt,
    failures: row.failures,
    losses: row.losses,
    workedMs: row.worked_ms,
    attempts: listOf<Attempt>(row.attempts),
    startedAt: row.started_at,
    progress: objectOf<Progress>(row.progress),
    error: objectOf<Failure>(row.error),
    status: row.status,
    lease: leaseOf(row),
    finishedAt: row.finished_at,
  };
  return fields as Task;
}

/** About what these parts of the row occupy in an answer; all but the texts is small. */
export function sizeOf(row: Row, parts: Parts = "whole"): number {
  if (parts === "head") return OTHER_COLUMNS;
  const size = OTHER_COLUMNS + row.name.length + row.description.length + row.attempts.length;
  return parts === "light" ? size : size + (row.payload?.length ?? 0) + (row.result?.length ?? 0);
}

const OTHER_COLUMNS = 500;

const leaseOf = ({ lease_until: until, lease_ms: leaseMs, ...row }: Row): Lease | null =>
  until === null || leaseMs === null
    ? null
    : { worker: row.lease_worker ?? "", until, leaseMs, revokeAt: row.revoke_at };

const listOf = <T>(text: string): readonly T[] => (text === "[]" ? [] : (JSON.parse(text) as T[])); // written by `list`
const objectOf = <T>(text: string | null): T | null => (text === null ? null : (JSON.parse(text) as T)); // by `json`
