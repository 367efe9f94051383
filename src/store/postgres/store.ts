/** Tasks in a PostgreSQL that several processes share. The contract of each method is in ../store.ts. */
import { dueTypes, mayRevoke, NONE_DUE } from "../../core/due.ts";
import { isTaskError, TaskError } from "../../core/error.ts";
import type { LogLevel, Parts, RunningTask, TaskHead, TaskId, TaskParts } from "../../core/task.ts";
import { isCounted } from "../filter.ts";
import type { MigrationPlan } from "../migrations.ts";
import type { StoreSetup } from "../setup.ts";
import type {
  Ask,
  Beat,
  ClaimTerms,
  InsertRequest,
  Step,
  TaskPage,
  TaskQuery,
  TaskRef,
  TaskStore,
} from "../store.ts";
import { sumTypeCounts } from "../type-counts.ts";
import { createChangeReader } from "./changes.ts";
import { createClaim } from "./claim.ts";
import { createDocuments } from "./documents.ts";
import { createExtend } from "./extend.ts";
import { createGet } from "./get.ts";
import { createHousekeeping } from "./housekeeping.ts";
import { createInsert } from "./insert.ts";
import { createLists } from "./list.ts";
import { createLook } from "./look.ts";
import { migrate } from "./migrate.ts";
import { openPool, type Pool } from "./pool.ts";
import { createRemove } from "./remove.ts";
import { createReplace } from "./replace.ts";
import { createRestore } from "./restore.ts";
import { inSchema, schemaOf } from "./schema.ts";
import { type Row, statement } from "./statement.ts";
import { createTypeCounts } from "./type-counts.ts";
import { createWatch } from "./watch.ts";

const READ_LOG = `SELECT n, at, level, message FROM tasktrack.log_lines
  WHERE task_id = $id AND n > $after ORDER BY n`;

/**
 * Also returns whether the server takes writes: a standby answers reads, so without this check the store would stay on it until a
 * write.
 */
const LAST_BATCH = "SELECT coalesce(max(batch), 0) AS batch FROM tasktrack.changes";

const ABOUT = `SELECT current_setting('server_version') AS version, current_setting('fsync') AS fsync,
  current_setting('synchronous_commit') AS synchronous_commit`;

export async function openPostgresStore(setup: StoreSetup): Promise<TaskStore> {
  const schema = schemaOf(setup.url);
  const pool = await openPool(setup);
  try {
    const { pending } = await migrate(pool, schema, true);
    for (const { number, name } of pending) setup.log.info("migrated", { store: pool.address, number, name });
    return await createPostgresStore(pool, schema, setup);
  } catch (error) {
    await pool.close();
    throw openingError(error, pool.address);
  }
}

/** One line for the operator, which names the setting. */
function openingError(error: unknown, address: string): unknown {
  if (!isTaskError(error) || error.message.startsWith("STORE_URL")) return error;
  return new TaskError(error.code, `STORE_URL: PostgreSQL at ${address}: ${error.message}`);
}

export async function migratePostgres(setup: StoreSetup, apply: boolean): Promise<MigrationPlan> {
  const pool = await openPool(setup);
  try {
    return await migrate(pool, schemaOf(setup.url), apply);
  } catch (error) {
    throw openingError(error, pool.address);
  } finally {
    await pool.close();
  }
}

async function createPostgresStore(pool: Pool, schema: string, setup: StoreSetup): Promise<TaskStore> {
  const { clock, log, random, nonce } = setup;
  const sql = (text: string): string => inSchema(schema, text);
  const parts = { pool, session: pool, sql, clock, log, random };
  const readLog = statement(sql(READ_LOG));
  const lastBatch = sql(LAST_BATCH);
  const { now, look } = createLook(parts);
  const [get, claim, remove] = [createGet(parts), createClaim(parts), createRemove(parts)];
  const insert = createInsert(parts);
  const replace = createReplace(parts);
  const restore = createRestore(parts);
  const extend = createExtend(parts);
  const lists = createLists({ session: pool.searches, sql });
  const { typeCounts, positionOf } = createTypeCounts(parts);
  const { writeDocuments, readDocuments } = createDocuments(parts);
  const changeLog = createChangeReader(parts);
  const housekeeping = createHousekeeping(parts);
  const watching = createWatch({ ...parts, channel: schema, name: nonce(), lastBatch: readLastBatch });

  async function readLastBatch(): Promise<number> {
    const [row] = await pool.rows(lastBatch);
    return Number(row?.batch);
  }

  async function insertAll(requests: readonly InsertRequest[], at: number) {
    const answers = await insert(requests, at);
    const created = requests.flatMap(({ drafts }, n) => (answers[n]?.kind === "created" ? drafts : []));
    if (created.length > 0) watching.committed(dueTypes(created));
    return answers;
  }

  async function claimAll(asks: readonly Ask[], terms: ClaimTerms): Promise<RunningTask[][]> {
    const given = await claim(asks, terms);
    if (given.some((tasks) => tasks.length > 0)) watching.committed();
    return given;
  }

  async function extendAll(beats: readonly Beat[], at: number) {
    const answers = await extend(beats, at);
    if (beats.some(({ progress }, n) => progress !== null && answers[n] !== "lost")) watching.committed();
    return answers;
  }

  async function replaceAll(steps: readonly Step[]) {
    if (steps.length === 0) return [];
    const answers = await replace(steps);
    const changed = steps.filter((_, n) => answers[n] === "ok");
    if (changed.length > 0) {
      const revokes = changed.some(({ from, to }) => mayRevoke(from, to));
      watching.committed(dueTypes(changed.map(({ to }) => to)), revokes);
    }
    return answers;
  }

  async function removeAll(refs: readonly TaskRef[]) {
    const answers = await remove(refs);
    if (answers.includes(true)) watching.committed(NONE_DUE, true);
    return answers;
  }

  const [about] = await pool.rows(ABOUT);
  await watching.start();
  housekeeping.start();

  return {
    durability: durabilityOf(about ?? {}),
    insert: insertAll,
    // The statements give the parts that the call names.
    get: async <P extends Parts>(ids: readonly TaskId[], parts?: P) =>
      (await get(ids, parts ?? "whole")) as (TaskParts[P] | null)[],
    list: async <P extends Parts>(query: TaskQuery<P>) =>
      (await lists.list(query)) as TaskPage<TaskHead & TaskParts[P]>,
    count: async (filter) =>
      isCounted(filter) ? sumTypeCounts(await typeCounts(), filter) : lists.count(filter),
    ...{ typeCounts, positionOf, writeDocuments, readDocuments },
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
      (await readLog(pool, { id, after: Math.min(after, MAX_INTEGER) })).map(({ n, at, level, message }) => ({
        n: Number(n),
        at: Number(at),
        level: level as LogLevel, // written by a heartbeat
        message: String(message),
      })),
    changes: changeLog.changes,
    watch: watching.watch,
    now,
    look,
    close: async () => {
      await watching.close();
      await housekeeping.stop();
      await pool.close();
    },
  };
}

const MAX_INTEGER = 2_147_483_647;

export function durabilityOf({ version, fsync, synchronous_commit: synchronous }: Row): string {
  const what = `PostgreSQL ${String(version).split(" ", 1)[0]}`;
  if (fsync !== "on") return `${what}: fsync is off, a crash of its machine may destroy the data`;
  if (synchronous === "off")
    return `${what}: synchronous_commit is off, a crash may lose the last answered writes`;
  return `${what}: every answered write is on the disk`;
}
