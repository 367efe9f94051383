/** A task as a row of the table `task`: the columns of each field, and the conditions of a filter on them. */
import { CANCEL_GRACE_MS } from "../../core/lease.ts";
import type { Lease, Parts, Status, Task } from "../../core/task.ts";
import {
  type Column,
  createColumns,
  dictionary,
  type Field,
  type FieldTable,
  group,
  json,
  list,
  optionalGroup,
  plain,
  type Row,
  sized,
  type Value,
} from "../columns.ts";
import type { Cursor, TaskFilter } from "../store.ts";

const text = <T extends string | null>(name: string): Field<T> => plain<T>(name, "TEXT");
const integer = <T extends number | null>(name: string): Field<T> => plain<T>(name, "INTEGER");

/** The compiler refuses a field of a task that is not here. */
const FIELDS: FieldTable = {
  id: integer<number>("id"),
  version: integer<number>("version"),
  status: text<Status>("status"),
  name: sized(text<string>("name")),
  description: sized(text<string>("description")),
  type: text<string>("type"),
  payload: sized(text("payload")),
  priority: integer<number>("priority"),
  tags: list("tags", "TEXT"),
  labels: sized(dictionary("labels", "TEXT")),
  key: text("key"),
  runAt: integer<number>("run_at"),
  timeoutMs: integer("timeout_ms"),
  maxAttempts: integer<number>("max_attempts"),
  backoff: group({ baseMs: integer<number>("backoff_base_ms"), maxMs: integer<number>("backoff_max_ms") }),
  createdAt: integer<number>("created_at"),
  updatedAt: integer<number>("updated_at"),
  claims: integer<number>("claims"),
  token: text("token"),
  attempt: integer<number>("attempt"),
  failures: integer<number>("failures"),
  losses: integer<number>("losses"),
  workedMs: integer<number>("worked_ms"),
  attempts: sized(list("attempts", "TEXT")),
  startedAt: integer("started_at"),
  progress: json("progress", "TEXT"),
  result: sized(text("result")),
  error: json("error", "TEXT"),
  lease: optionalGroup<Lease>("until", {
    worker: text<string>("lease_worker"),
    until: integer<number>("lease_until"),
    leaseMs: integer<number>("lease_ms"),
    revokeAt: integer("revoke_at"),
  }),
  finishedAt: integer("finished_at"),
};

export const COLUMNS = createColumns(FIELDS);

const namesOf = (columns: readonly Column[]): readonly string[] => columns.map(({ name }) => name);

/** For a select list: the columns of these parts of a task, and those by which lists are sorted. */
export const selectList = (parts: Parts): string =>
  [...new Set([...namesOf(COLUMNS.in(parts)), "id", "finished_at"])].join();

/** In SQL: an INSERT of all columns, and of others that are no part of a task. */
export function insertStatement(others: readonly string[] = []): string {
  const names = [...namesOf(COLUMNS.all), ...others];
  return `INSERT INTO task (${names.join()}) VALUES (${names.map(() => "?").join()})`;
}

/** The values of these columns; null for what the task was read without. */
export const valuesOf = (columns: readonly Column[], task: Readonly<Partial<Task>>): Value[] =>
  columns.map(({ of }) => of(task) ?? null);

/** All columns except the texts are small. */
const OTHER_COLUMNS = 500;

/** The approximate number of characters of these parts of the row in an answer. */
export function sizeOf(row: Row, parts: Parts): number {
  let size = OTHER_COLUMNS;
  for (const { name } of SIZED[parts]) size += String(row[name] ?? "").length;
  return size;
}

const SIZED = { whole: COLUMNS.sized("whole"), light: COLUMNS.sized("light"), head: COLUMNS.sized("head") };

export const cursorOf = (row: Row): Cursor => ({
  id: row.id as number,
  finishedAt: row.finished_at as number | null, // the types of these columns
});

// ---- the conditions of a filter

/** Values of named parameters. */
export type Values = Record<string, Value>;

type Condition<Name extends keyof TaskFilter> = (
  wanted: NonNullable<TaskFilter[Name]>,
  values: Values,
) => string;

/**
 * The conditions of a filter in SQL; each adds its values to those of the statement. The compiler refuses a filter with a condition that
 * is not here. The statuses are chosen by the source of the rows, and a search is evaluated by core.
 */
const CONDITIONS: { readonly [Name in Exclude<keyof TaskFilter, "statuses" | "search">]-?: Condition<Name> } =
  {
    types: typeCondition,
    tags: (wanted, values) => {
      values.tags = JSON.stringify(wanted);
      return `NOT EXISTS (SELECT 1 FROM json_each($tags) AS wanted
      WHERE wanted.value NOT IN (SELECT value FROM json_each(task.tags)))`;
    },
    labels: (wanted, values) => {
      values.labels = JSON.stringify(wanted);
      return `NOT EXISTS (SELECT 1 FROM json_each($labels) AS wanted
      WHERE wanted.value NOT IN (SELECT key || ':' || value FROM json_each(task.labels)))`;
    },
    finishedBefore: (wanted, values) => {
      values.finishedBefore = wanted;
      return "finished_at < $finishedBefore";
    },
    /** lifecycle.expiresAt */
    expiredAt: (wanted, values) => {
      values.expiredAt = wanted;
      return "min(lease_until, coalesce(revoke_at, lease_until)) <= $expiredAt";
    },
    /** lifecycle.isOverlong */
    overlongAt: (wanted, values) => {
      values.overlongAt = wanted;
      return `(lease_until > $overlongAt + 2 * lease_ms
  OR coalesce(revoke_at > $overlongAt + ${2 * CANCEL_GRACE_MS}, FALSE))`;
    },
  };

const CONDITION_NAMES = Object.keys(CONDITIONS) as (keyof typeof CONDITIONS)[]; // its own keys

/** The conditions that the filter has, except those on the status and on texts. */
export const conditionsOn = (filter: TaskFilter, values: Values): string[] =>
  CONDITION_NAMES.flatMap((name) => {
    const wanted = filter[name];
    // The condition and the value have the same name, but the compiler cannot see that for a union of names.
    const condition = CONDITIONS[name] as Condition<keyof TaskFilter>;
    return wanted === undefined ? [] : [condition(wanted, values)];
  });

/** Follows every type that begins with the same prefix. */
const TOP = "\u{10FFFF}";

/** A prefix is a range, because LIKE and GLOB would give some characters of a type another meaning. */
function typeCondition(types: readonly string[], values: Values): string {
  const any = types.map((pattern, index) => {
    if (!pattern.endsWith("*")) {
      values[`type${index}`] = pattern;
      return `type = $type${index}`;
    }
    const prefix = pattern.slice(0, -1);
    values[`type${index}`] = prefix;
    values[`top${index}`] = prefix + TOP;
    return `(type >= $type${index} AND type < $top${index})`;
  });
  return any.length === 0 ? "FALSE" : `(${any.join(" OR ")})`;
}
