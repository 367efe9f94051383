/** Tasks in a PostgreSQL that several processes share. What each method promises stands in ../store.ts. */
import { TaskError } from "../../core/error.ts";
import { dueTypes } from "../../core/lifecycle.ts";
import {
  claimOrder,
  isRunning,
  type LogLevel,
  type RunningTask,
  type Task,
  type TaskId,
} from "../../core/task.ts";
import { createBatch } from "../../lib/batch.ts";
import { countByCensus, isCountedByCensus } from "../census.ts";
import type { MigrationPlan } from "../migrations.ts";
import type { StoreSetup } from "../open.ts";
import type { Ask, Beat, ClaimTerms, InsertRequest, Step, TaskRef, TaskStore } from "../store.ts";
import { pgArray } from "./array.ts";
import { createCensus } from "./census.ts";
import { createChangeReader } from "./changes.ts";
import { createExtend } from "./extend.ts";
import { createHousekeeping } from "./housekeeping.ts";
import { createInsert } from "./insert.ts";
import { createLists } from "./list.ts";
import { migrate } from "./migrate.ts";
import { createNotes } from "./notes.ts";
import { openPool, type Pool } from "./pool.ts";
import { createReplace } from "./replace.ts";
import { createRestore } from "./restore.ts";
import { COLUMNS, readTask, selectList } from "./rows.ts";
import { inSchema, schemaOf } from "./schema.ts";
import { createWatch } from "./watch.ts";

const GET = `SELECT ${selectList("t")} FROM tasktrack.tasks t WHERE t.id = ANY ($1::bigint[])`;

/** The number of the ask stands behind the task, so that a row is read where it lies. */
const CLAIM = `SELECT ${selectList("c")}, c.ask
  FROM tasktrack.claim($1::text[], $2::text[], $3::integer[], $4::bigint[], $5, $6) c`;

const REMOVE = "SELECT id::float8 FROM tasktrack.remove($1::bigint[], $2::integer[]) AS id";

const READ_LOG = `SELECT n, at::float8, level, message FROM tasktrack.log_lines
  WHERE task_id = $1 AND n > $2 ORDER BY n`;

const NOW = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8";

const LAST_BATCH = "SELECT coalesce(max(batch), 0)::float8 FROM tasktrack.changes";

const ABOUT = `SELECT current_setting('server_version'), current_setting('fsync'), current_setting('synchronous_commit')`;

export async function openPostgresStore(setup: StoreSetup): Promise<TaskStore> {
  const schema = schemaOf(setup.url);
  const pool = await openPool(setup);
  try {
    const { pending } = await migrate(pool, schema, true);
    for (const { number, name } of pending) setup.log.info("migrated", { store: pool.address, number, name });
    return await createPostgresStore(pool, schema, setup);
  } catch (error) {
    await pool.close();
    throw error;
  }
}

export async function migratePostgres(setup: StoreSetup, apply: boolean): Promise<MigrationPlan> {
  const pool = await openPool(setup);
  try {
    return await migrate(pool, schemaOf(setup.url), apply);
  } finally {
    await pool.close();
  }
}

async function createPostgresStore(pool: Pool, schema: string, setup: StoreSetup): Promise<TaskStore> {
  const { clock, log, random, nonce } = setup;
  const sql = (text: string): string => inSchema(schema, text);
  const parts = { pool, session: pool, sql, clock, log, random };
  const [get, claim, remove, readLog, now, lastBatch] = [GET, CLAIM, REMOVE, READ_LOG, NOW, LAST_BATCH].map(
    sql,
  ) as [string, string, string, string, string, string]; // one for each
  const insert = createInsert(parts);
  const replace = createReplace(parts);
  const restore = createRestore(parts);
  const extend = createExtend(parts);
  const lists = createLists(parts);
  const { census, ahead } = createCensus(parts);
  const { writeNotes, readNotes } = createNotes(parts);
  const changeLog = createChangeReader(parts);
  const housekeeping = createHousekeeping(parts);
  const watching = createWatch({ ...parts, channel: schema, name: nonce(), lastBatch: readLastBatch });

  async function readLastBatch(): Promise<number> {
    const [row] = await pool.rows(lastBatch);
    return Number(row?.[0]);
  }

  /** Reads share a statement as writes do: it pays as soon as two come at once. */
  const joinedGet = createBatch<TaskId, Task | null>({
    send: async (ids) => {
      const rows = await pool.rows(get, [pgArray(ids)]);
      const found = new Map(rows.map((row) => [Number(row[0]), readTask(row)]));
      return ids.map((id) => found.get(id) ?? null);
    },
    provesRollback: () => false,
    overloaded: () => new TaskError("overloaded", "Too many requests are waiting for the store"),
  });

  async function insertAll(requests: readonly InsertRequest[], at: number) {
    const answers = await insert(requests, at);
    const created = requests.flatMap(({ drafts }, n) => (answers[n]?.kind === "created" ? drafts : []));
    if (created.length > 0) watching.committed(dueTypes(created));
    return answers;
  }

  async function claimAll(asks: readonly Ask[], terms: ClaimTerms): Promise<RunningTask[][]> {
    const given: RunningTask[][] = asks.map(() => []);
    if (asks.every(({ max, types }) => max <= 0 || types.length === 0)) return given;
    const rows = await pool.rows(claim, [
      pgArray(asks.map(({ worker }) => worker)),
      pgArray(asks.map(({ types }) => types.join(" "))),
      pgArray(asks.map(({ max }) => max)),
      pgArray(asks.map(({ leaseMs }) => leaseMs)),
      terms.now,
      terms.nonce,
    ]);
    for (const row of rows) {
      const task = readTask(row);
      if (isRunning(task)) given[Number(row[COLUMNS.length]) - 1]?.push(task); // it was just claimed
    }
    if (rows.length > 0) watching.committed([]);
    return given.map((tasks) => tasks.sort(claimOrder));
  }

  async function extendAll(beats: readonly Beat[], at: number) {
    const answers = await extend(beats, at);
    if (beats.some(({ progress }, n) => progress !== null && answers[n] !== "lost")) watching.committed([]);
    return answers;
  }

  async function replaceAll(steps: readonly Step[]) {
    if (steps.length === 0) return [];
    const answers = await replace(steps);
    const changed = steps.flatMap(({ to }, n) => (answers[n] === "ok" ? [to] : []));
    if (changed.length > 0) watching.committed(dueTypes(changed));
    return answers;
  }

  async function removeAll(refs: readonly TaskRef[]): Promise<boolean[]> {
    if (refs.length === 0) return [];
    const rows = await pool.rows(remove, [
      pgArray(refs.map(({ id }) => id)),
      pgArray(refs.map(({ version }) => version ?? null)),
    ]);
    const removed = new Set(rows.map(([id]) => Number(id)));
    if (removed.size > 0) watching.committed([]);
    return refs.map(({ id }) => removed.delete(id)); // once, also where one id comes twice
  }

  const [about] = await pool.rows(ABOUT);
  await watching.start();
  housekeeping.start();

  return {
    durability: durabilityOf(about ?? []),
    insert: insertAll,
    get: (ids) => Promise.all(ids.map(joinedGet)),
    list: lists.list,
    count: async (filter) =>
      isCountedByCensus(filter) ? countByCensus(await census(), filter) : lists.count(filter),
    ...{ census, ahead, writeNotes, readNotes },
    claim: claimAll,
    extend: extendAll,
    replace: replaceAll,
    remove: removeAll,
    restore: async (records) => {
      const taken = await restore(records);
      if (taken > 0) watching.committed(dueTypes(records.map(({ task }) => task)));
      return taken;
    },
    readLog: async (id, after) =>
      (await pool.rows(readLog, [id, Math.min(after, MAX_INTEGER)])).map(([n, at, level, message]) => ({
        n: Number(n),
        at: Number(at),
        level: level as LogLevel, // what a beat has written
        message: String(message),
      })),
    changes: changeLog.changes,
    watch: watching.watch,
    now: async () => Math.floor(Number((await pool.rows(now))[0]?.[0])),
    close: async () => {
      await watching.close();
      await housekeeping.stop();
      await pool.close();
    },
  };
}

const MAX_INTEGER = 2_147_483_647;

function durabilityOf([version, fsync, synchronous]: readonly unknown[]): string {
  const what = `PostgreSQL ${String(version).split(" ", 1)[0]}`;
  if (fsync !== "on") return `${what}: fsync is off, a crash of its machine may destroy it`;
  if (synchronous === "off")
    return `${what}: synchronous_commit is off, a crash may lose the last answered writes`;
  return `${what}: every answered write is on the disk`;
}
