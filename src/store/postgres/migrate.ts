import { TaskError } from "../../core/error.ts";
import { type Migration, type MigrationPlan, planMigrations } from "../migrations.ts";
import tasks from "./migrations/001-tasks.sql" with { type: "text" };
import bounds from "./migrations/002-bounds.sql" with { type: "text" };
import leases from "./migrations/003-leases.sql" with { type: "text" };
import ids from "./migrations/004-ids.sql" with { type: "text" };
import columns from "./migrations/005-columns.sql" with { type: "text" };
import plans from "./migrations/006-plans.sql" with { type: "text" };
import labels from "./migrations/007-labels.sql" with { type: "text" };
import keptPlans from "./migrations/008-kept-plans.sql" with { type: "text" };
import type { Pool } from "./pool.ts";
import { inSchema } from "./schema.ts";
import type { ScriptSession } from "./schema-session.ts";
import type { Session } from "./statement.ts";

const MIGRATIONS: readonly Migration[] = [
  { number: 1, name: "tasks, log lines, changes, idempotency", text: tasks },
  { number: 2, name: "keyed creates in one statement, bounded claims", text: bounds },
  { number: 3, name: "beats that come late", text: leases },
  { number: 4, name: "ids after a failover or a restore", text: ids },
  { number: 5, name: "functions without lists of columns", text: columns },
  { number: 6, name: "plans of keyed creates", text: plans },
  { number: 7, name: "labels", text: labels },
  { number: 8, name: "plans that are kept", text: keptPlans },
];

const OLDEST_SERVER = 150_000;

/** Processes that start at the same time wait here for the first. */
const LOCK = "SELECT pg_advisory_xact_lock(hashtext('tasktrack migrations'), hashtext($1))";

/** The migrations that the schema lacks; with `apply` they are carried out in one transaction. */
export async function migrate(pool: Pool, schema: string, apply: boolean): Promise<MigrationPlan> {
  await refuseUnfit(pool);
  const plan = await planFor(pool, schema);
  if (!apply || plan.pending.length === 0) return plan;
  return pool.patiently(async (session) => {
    await session.rows(LOCK, [schema]);
    const { current, pending } = await planFor(session, schema); // another process may have been faster
    if (current === 0) await layFoundation(session, schema);
    for (const migration of pending) await carryOut(session, schema, migration);
    return { current, pending };
  });
}

async function refuseUnfit(session: Session): Promise<void> {
  const [row] = await session.rows(`SELECT current_setting('server_version_num')::integer AS number,
    current_setting('server_version') AS version, current_setting('server_encoding') AS encoding, current_database() AS database`);
  const { number, version, encoding, database } = row ?? {};
  if (Number(number) < OLDEST_SERVER) {
    throw new TaskError("invalid", `STORE_URL: PostgreSQL ${version} is too old; 15 or later is needed`);
  }
  if (encoding !== "UTF8") {
    throw new TaskError(
      "invalid",
      `STORE_URL: the database ${database} has the encoding ${encoding}, UTF8 is needed: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0`,
    );
  }
}

/**
 * Read from the catalog as from any table. to_regclass uses the session's cache. In a transaction that has waited for LOCK, the
 * cache still says that the table does not exist: first starts of several processes behind a connection pooler failed because of
 * that.
 */
const IS_THERE =
  "SELECT EXISTS (SELECT FROM pg_catalog.pg_tables WHERE schemaname = $1 AND tablename = 'migrations') AS is_there";
const IS_SCHEMA_THERE = "SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1) AS is_there";

async function planFor(session: Session, schema: string): Promise<MigrationPlan> {
  const [known] = await session.rows(IS_THERE, [schema]);
  if (known?.is_there !== true) return planMigrations(0, MIGRATIONS);
  const [latest] = await session.rows(
    inSchema(schema, "SELECT coalesce(max(number), 0)::integer AS latest FROM tasktrack.migrations"),
  );
  return planMigrations(Number(latest?.latest), MIGRATIONS);
}

/** CREATE SCHEMA needs the right to create schemas even if the schema exists, so a role that owns only the schema could not start. */
async function layFoundation(session: ScriptSession, schema: string): Promise<void> {
  const [known] = await session.rows(IS_SCHEMA_THERE, [schema]);
  if (known?.is_there !== true) await session.script(`CREATE SCHEMA "${schema}"`);
  await session.script(inSchema(schema, MIGRATIONS_TABLE));
}

const MIGRATIONS_TABLE = `CREATE TABLE tasktrack.migrations (
  number integer PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())`;

async function carryOut(
  session: ScriptSession,
  schema: string,
  { number, name, text }: Migration,
): Promise<void> {
  await session.script(inSchema(schema, text));
  await session.rows(inSchema(schema, "INSERT INTO tasktrack.migrations (number, name) VALUES ($1, $2)"), [
    number,
    name,
  ]);
}
