/** A task as a row: the columns of each field, and what the statements need of them. */
import { CANCEL_GRACE_MS } from "../../core/lease.ts";
import { searchText } from "../../core/search.ts";
import type { Failure, Lease, LightTask, Parts, Progress, Status } from "../../core/task.ts";
import {
  byDefault,
  type Column,
  createColumns,
  dictionary,
  type Field,
  type FieldTable,
  group,
  list,
  numeric,
  numericOrNull,
  optionalGroup,
  plain,
  sized,
  type Value,
} from "../columns.ts";
import type { Stepped, TaskFilter } from "../store.ts";
import { pgArray, pgColumnOf } from "./array.ts";
import type { Parameter, Values } from "./statement.ts";

const text = <T extends string | null>(name: string): Field<T> => plain<T>(name, "text");
const integer = (name: string): Field<number> => plain<number>(name, "integer");
const double = (name: string): Field<number> => plain<number>(name, "double precision");

/**
 * A bigint, which the client returns as a text. Casting it to double precision in SQL would cost less, but the digits that a server
 * sends of a double depend on extra_float_digits, which a connection pooler does not let a client set.
 */
const bigint = (name: string): Field<number> => numeric(name, "bigint");
const bigintOrNull = (name: string): Field<number | null> => numericOrNull(name, "bigint");

/** The compiler refuses a field of a task that is not here. */
const FIELDS: FieldTable = {
  id: bigint("id"),
  version: byDefault(integer("version")),
  status: byDefault(text<Status>("status")),
  name: sized(text<string>("name")),
  description: sized(text<string>("description")),
  type: text<string>("type"),
  payload: sized(text("payload")),
  priority: integer("priority"),
  tags: list("tags", "text"),
  labels: sized(dictionary("labels", "text")),
  key: text("key"),
  runAt: bigint("run_at"),
  timeoutMs: bigintOrNull("timeout_ms"),
  maxAttempts: integer("max_attempts"),
  backoff: group({ baseMs: bigint("backoff_base_ms"), maxMs: bigint("backoff_max_ms") }),
  createdAt: bigint("created_at"),
  updatedAt: bigint("updated_at"),
  claims: byDefault(integer("claims")),
  token: byDefault(text("token")),
  attempt: byDefault(integer("attempt")),
  failures: byDefault(integer("failures")),
  losses: byDefault(integer("losses")),
  workedMs: byDefault(bigint("worked_ms")),
  attempts: byDefault(sized(list("attempts", "text"))),
  startedAt: byDefault(bigintOrNull("started_at")),
  progress: byDefault(
    optionalGroup<Progress>("percent", {
      percent: double("progress_percent"),
      message: text<string>("progress_message"),
    }),
  ),
  result: byDefault(sized(text("result"))),
  error: byDefault(
    optionalGroup<Failure>("code", {
      code: text<string>("error_code"),
      message: text<string>("error_message"),
    }),
  ),
  lease: byDefault(
    optionalGroup<Lease>("worker", {
      worker: text<string>("lease_worker"),
      until: bigint("lease_until"),
      leaseMs: bigint("lease_ms"),
      revokeAt: bigintOrNull("revoke_at"),
    }),
  ),
  finishedAt: byDefault(bigintOrNull("finished_at")),
};

export const COLUMNS = createColumns(FIELDS);

/** A column that a statement writes. */
export type Written = Pick<Column, "name" | "type" | "of">;

/** Made from the whole task: a step that changes one of these texts has all three. */
const SEARCH_TEXT: Written = {
  name: "search_text",
  type: "text",
  of: ({ name, description, payload }) => {
    if (name === undefined || description === undefined || payload === undefined)
      throw new Error("a step of a light task cannot change the searched text");
    return searchText({ name, description, payload });
  },
};

const SEARCHED: readonly string[] = ["name", "description", "payload"];

/** The columns of a new task; the others have the defaults of the table. */
export const DRAFT_COLUMNS: readonly Written[] = [...COLUMNS.ofDraft, SEARCH_TEXT];

/** Every column of a task that is restored. */
export const ALL_COLUMNS: readonly Written[] = [...COLUMNS.all, SEARCH_TEXT];

/** The columns in which two states of a task differ: what a step writes, and nothing else. */
export function changedColumns(from: LightTask, to: Stepped): readonly Written[] {
  const changed = COLUMNS.changed(from, to);
  return changed.some(({ field }) => SEARCHED.includes(field)) ? [...changed, SEARCH_TEXT] : changed;
}

export const namesOf = (columns: readonly Pick<Column, "name">[], before = ""): string =>
  columns.map(({ name }) => `${before}${name}`).join(", ");

/** The columns of a row of `from`, for a select list. */
export const selectList = (from: string, parts: Parts = "whole"): string =>
  namesOf(COLUMNS.in(parts), `${from}.`);

/** In SQL: the approximate size of these parts of a task in an answer. The length of a text is known without reading it. */
export const sizeOf = (alias: string, parts: Parts): string =>
  ["500", ...COLUMNS.sized(parts).map(({ name }) => `coalesce(octet_length(${alias}.${name}), 0)`)].join(
    " + ",
  );

/** In SQL: columns of many rows as parameters of unnest, each by its name. */
export const arraysOf = (columns: readonly Pick<Column, "name" | "type">[]): string =>
  columns.map(({ name, type }) => `$${name}::${type}[]`).join(", ");

/** The values of these parameters. */
export const valuesOf = (columns: readonly Written[], tasks: readonly Stepped[]): Values =>
  Object.fromEntries(
    columns.map(({ name, of }) => [name, pgColumnOf(tasks, (task): Value => of(task) ?? null)]),
  );

/** In SQL: lifecycle.expiresAt of the row `t` is not later than the time. */
export const isExpiredAt = (time: string): string => `least(t.lease_until, t.revoke_at) <= ${time}`;

// ---- the conditions of a filter

/** Adds a parameter to a statement that is being written; returns its place there. */
export type Bind = (value: Parameter) => string;

type Condition<Name extends keyof TaskFilter> = (wanted: TaskFilter[Name], bind: Bind) => string;

/**
 * The conditions of a filter in SQL, about the row `t`; the compiler refuses a filter with a condition that is not here. Each is always a
 * part of the statement, and is true if the filter does not have it, so that there is one text for all filters. The statuses are chosen
 * by the source of the rows. A search in fields of the payload is evaluated by core, which knows the rule.
 */
const CONDITIONS: { readonly [Name in Exclude<keyof TaskFilter, "statuses">]-?: Condition<Name> } = {
  types: (wanted, bind) => {
    const patterns = `${bind(wanted === undefined ? null : pgArray(wanted))}::text[]`;
    return `(${patterns} IS NULL OR tasktrack.takes_type(${patterns}, t.type))`;
  },
  tags: (wanted, bind) => {
    const tags = `${bind(wanted === undefined ? null : JSON.stringify(wanted))}::text`;
    return `(${tags} IS NULL OR t.tags::jsonb @> ${tags}::jsonb)`;
  },
  labels: (wanted, bind) => {
    const labels = `${bind(wanted === undefined ? null : pgArray(wanted))}::text[]`;
    return `(${labels} IS NULL
        OR ${labels} <@ ARRAY(SELECT key || ':' || value FROM jsonb_each_text(t.labels::jsonb)))`;
  },
  finishedBefore: (wanted, bind) => {
    const time = `${bind(wanted ?? null)}::bigint`;
    return `(${time} IS NULL OR t.finished_at < ${time})`;
  },
  expiredAt: (wanted, bind) => {
    const time = `${bind(wanted ?? null)}::bigint`;
    return `(${time} IS NULL OR ${isExpiredAt(time)})`;
  },
  /** lifecycle.isOverlong */
  overlongAt: (wanted, bind) => {
    const now = `${bind(wanted ?? null)}::bigint`;
    return `(${now} IS NULL OR t.lease_until > ${now} + 2 * t.lease_ms
        OR coalesce(t.revoke_at > ${now} + ${2 * CANCEL_GRACE_MS}, false))`;
  },
  search: (wanted, bind) => {
    const words = `${bind(pgArray(wanted?.words ?? []))}::text[]`;
    return `NOT EXISTS (SELECT FROM unnest(${words}) AS word WHERE strpos(t.search_text, word) = 0)`;
  },
};

const CONDITION_NAMES = Object.keys(CONDITIONS) as (keyof typeof CONDITIONS)[]; // its own keys

/** All conditions of a filter except the one on the status. */
export const conditionsOn = (filter: TaskFilter, bind: Bind): string =>
  // The condition and the value have the same name, but the compiler cannot see that for a union of names.
  CONDITION_NAMES.map((name) => (CONDITIONS[name] as Condition<keyof TaskFilter>)(filter[name], bind)).join(
    " AND ",
  );

/** Those on the lease. */
export const leaseConditions = ({ expiredAt, overlongAt }: TaskFilter, bind: Bind): string[] => [
  CONDITIONS.expiredAt(expiredAt, bind),
  CONDITIONS.overlongAt(overlongAt, bind),
];
