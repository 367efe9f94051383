/** The settings of a session: which ones the program sends, and whether they arrive. */
import type { Row } from "./statement.ts";

/** The isolation level of every transaction. */
export const READ_COMMITTED = "isolation level read committed";

/** The server gives up before the program does, so that a slow statement differs from a server that does not answer. */
export const STATEMENT_TIMEOUT_MS = 4_500;
/** Longer than any pause of a running process, short enough for the transactions that wait for its locks. */
export const IDLE_IN_TRANSACTION_MS = 3_000;

/** These settings decide what a statement means and what it returns. */
const MEANING = {
  /** If it is off, a null in an array is the text "NULL". */
  array_nulls: "on",
  /** Below 1, doubles are rounded. */
  extra_float_digits: 1,
  standard_conforming_strings: "on",
  /** The statements name the schema of each table. Functions and operators are those of PostgreSQL. */
  search_path: "pg_catalog",
};

/** For the session of a migration, whose statements may take long. */
export const PATIENT_SESSION = {
  application_name: "tasktrack",
  ...MEANING,
  statement_timeout: 0,
  lock_timeout: 0,
  idle_session_timeout: 0,
  idle_in_transaction_session_timeout: 10_000, // a suspended process must not prevent others from starting
  default_transaction_isolation: "read committed",
};

/**
 * Startup parameters, so that defaults of the database or the role have no effect.
 * The planner's settings: a statement is prepared once and its plan is kept, even if the plan was made while the tables were
 * empty and scans them whole. Until autovacuum analyzed the table, a get took 43 ms and a cancel 125 ms at 200,000 tasks. All
 * statements have an index for their conditions, so the other plans are disabled. Without `jit: off`, the cost that this adds to
 * a statement that must scan would start the JIT compiler.
 */
export const SESSION = {
  ...PATIENT_SESSION,
  statement_timeout: STATEMENT_TIMEOUT_MS,
  idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS,
  enable_indexscan: "on",
  enable_nestloop: "on",
  enable_seqscan: "off",
  enable_hashjoin: "off",
  enable_mergejoin: "off",
  plan_cache_mode: "auto",
  jit: "off",
};

/** For one transaction behind a connection pooler, which accepts no startup parameters. */
export const LIMIT_TRANSACTION = `SELECT set_config('idle_in_transaction_session_timeout', '${IDLE_IN_TRANSACTION_MS}', true),
  set_config('statement_timeout', '${STATEMENT_TIMEOUT_MS}', true)`;

/** The function is named with its schema, because search_path is one of the settings in question. */
const setting = (name: string): string => `pg_catalog.current_setting('${name}') AS ${name}`;

/** `transaction_read_only` is true on a standby, and if the database is set to read-only. */
export const READ_SESSION = `SELECT ${[
  "statement_timeout",
  "default_transaction_isolation",
  "transaction_read_only",
  "array_nulls",
  "extra_float_digits",
  "standard_conforming_strings",
]
  .map(setting)
  .join(
    ", ",
  )}, (SELECT s FROM unnest(pg_catalog.current_schemas(true)) AS s WHERE s NOT LIKE 'pg_temp%' LIMIT 1)::text AS first_schema`;

export type SessionState = {
  /** Whether the settings of SESSION arrived. A connection pooler drops them, or refuses the connection. */
  readonly isOurs: boolean;
  readonly isReadCommitted: boolean;
  readonly isReadOnly: boolean;
  /** SQL that corrects each default of the role or the database under which statements would have another meaning. */
  readonly cures: readonly string[];
};

/** A row of READ_SESSION. */
export function readSession(row: Row): SessionState {
  const cures = [
    row.array_nulls === "on" ? null : "array_nulls = on",
    Number(row.extra_float_digits) >= MEANING.extra_float_digits ? null : "extra_float_digits = 1",
    row.standard_conforming_strings === "on" ? null : "standard_conforming_strings = on",
    row.first_schema === "pg_catalog" ? null : "search_path = DEFAULT",
  ].filter((cure) => cure !== null);
  return {
    isOurs: row.statement_timeout === `${STATEMENT_TIMEOUT_MS}ms`,
    isReadCommitted: row.default_transaction_isolation === "read committed",
    isReadOnly: row.transaction_read_only === "on",
    cures,
  };
}
