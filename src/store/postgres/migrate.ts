import { TaskError } from "../../core/error.ts";
import { type Migration, type MigrationPlan, planMigrations } from "../migrations.ts";
import tasks from "./migrations/001-tasks.sql" with { type: "text" };
import type { Pool, ScriptSession, Session } from "./pool.ts";
import { inSchema } from "./schema.ts";

const MIGRATIONS: readonly Migration[] = [
  { number: 1, name: "tasks, log lines, changes, idempotency", text: tasks },
];

const OLDEST_SERVER = 150_000;

/** Processes that start at once wait here for the first. */
const LOCK = "SELECT pg_advisory_xact_lock(hashtext('tasktrack migrations'), hashtext($1))";

/** Says what the schema lacks; with `apply` brings it, all migrations in one transaction. */
export async function migrate(pool: Pool, schema: string, apply: boolean): Promise<MigrationPlan> {
  await refuseOldServer(pool);
  const plan = await planFor(pool, schema);
  if (!apply || plan.pending.length === 0) return plan;
  return pool.patiently(async (session) => {
    await session.rows(LOCK, [schema]);
    const { current, pending } = await planFor(session, schema); // another process may have been faster
    if (current === 0) await session.script(FOUNDATION(schema));
    for (const migration of pending) await carryOut(session, schema, migration);
    return { current, pending };
  });
}

async function refuseOldServer(session: Session): Promise<void> {
  const [row] = await session.rows(
    "SELECT current_setting('server_version_num')::integer, current_setting('server_version')",
  );
  if (Number(row?.[0]) >= OLDEST_SERVER) return;
  throw new TaskError("invalid", `STORE_URL: PostgreSQL ${row?.[1]} is too old; 15 or later is needed`);
}

async function planFor(session: Session, schema: string): Promise<MigrationPlan> {
  const [known] = await session.rows("SELECT to_regclass($1) IS NOT NULL", [`${schema}.migrations`]);
  if (known?.[0] !== true) return planMigrations(0, MIGRATIONS);
  const [latest] = await session.rows(
    inSchema(schema, "SELECT coalesce(max(number), 0)::integer FROM tasktrack.migrations"),
  );
  return planMigrations(Number(latest?.[0]), MIGRATIONS);
}

const FOUNDATION = (schema: string): string =>
  inSchema(
    schema,
    `CREATE SCHEMA IF NOT EXISTS ${schema};
     CREATE TABLE tasktrack.migrations (
       number integer PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())`,
  );

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
