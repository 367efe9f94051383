/** Tasks in a PostgreSQL that several processes share. What each method promises stands in ../store.ts. */

import { dueTypes } from "../../core/due.ts";
import { isTaskError, TaskError } from "../../core/error.ts";
import {
  claimOrder,
  isRunning,
  type LightTask,
  type LogLevel,
  type Parts,
  type RunningTask,
  type Task,
  type TaskHead,
  type TaskId,
  type TaskParts,
} from "../../core/task.ts";
import { ANSWER_BYTES } from "../../core/text-size.ts";
import { createBatch } from "../../lib/batch.ts";
import { countByCensus } from "../census.ts";
import { isCounted } from "../filter.ts";
import type { MigrationPlan } from "../migrations.ts";
import type { StoreSetup } from "../open.ts";
import { writeInTurn } from "../pieces.ts";
import type {
  Ask,
  Beat,
  ClaimTerms,
  InsertRequest,
  OnceNote,
  Step,
  TaskPage,
  TaskQuery,
  TaskRef,
  TaskStore,
} from "../store.ts";
import { pgArray } from "./array.ts";
import { createCensus } from "./census.ts";
import { createChangeReader } from "./changes.ts";
import { COLUMNS, selectList, sizeOf } from "./columns.ts";
import { createExtend } from "./extend.ts";
import { createHousekeeping } from "./housekeeping.ts";
import { createInsert } from "./insert.ts";
import { createLists } from "./list.ts";
import { migrate } from "./migrate.ts";
import { createNotes, createOnceNotes } from "./notes.ts";
import { openPool, type Pool, type Row, type Session } from "./pool.ts";
import { createReplace } from "./replace.ts";
import { createRestore } from "./restore.ts";
import { inSchema, schemaOf } from "./schema.ts";
import { type Statement, statement } from "./statement.ts";
import { createWatch } from "./watch.ts";

/** A row for each id in the order of the ids, empty if there is no such task, up to the byte limit of an answer. */
const getStatement = (parts: Parts): string => `SELECT ${selectList("t", parts)} FROM (
    SELECT t.*, w.n, sum(${sizeOf("t", parts)}) OVER (ORDER BY w.n ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS bytes_before
    FROM unnest($ids::bigint[]) WITH ORDINALITY AS w(id, n)
    LEFT JOIN LATERAL (SELECT * FROM tasktrack.tasks t WHERE t.id = w.id LIMIT 1) t ON true) t
  WHERE coalesce(t.bytes_before, 0) < ${ANSWER_BYTES} ORDER BY t.n`;

/** Each task with the number of its ask, from 1. */
const CLAIM = `SELECT c.ask, ${selectList("c")}
  FROM tasktrack.claim_due($workers::text[], $patterns::text[], $wanted::integer[], $leases::bigint[], $now, $nonce, ${ANSWER_BYTES}) c`;

const REMOVE = "SELECT id FROM tasktrack.remove($ids::bigint[], $versions::integer[]) AS id";

const READ_LOG = `SELECT n, at, level, message FROM tasktrack.log_lines
  WHERE task_id = $id AND n > $after ORDER BY n`;

/**
 * Also tells whether the server takes writes: a standby answers reads, so without this check the store would stay on it until a
 * write.
 */
const NOW = `SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS time,
  current_setting('transaction_read_only') = 'on' AS is_read_only`;

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
  const prepare = (text: string): Statement => statement(sql(text));
  const [claim, remove, readLog] = [prepare(CLAIM), prepare(REMOVE), prepare(READ_LOG)];
  const [now, lastBatch] = [sql(NOW), sql(LAST_BATCH)];
  const getOf: Readonly<Record<Parts, Statement>> = {
    whole: prepare(getStatement("whole")),
    light: prepare(getStatement("light")),
    head: prepare(getStatement("head")),
  };
  const insert = createInsert(parts);
  const replace = createReplace(parts);
  const restore = createRestore(parts);
  const extend = createExtend(parts);
  const lists = createLists({ session: pool.searches, sql });
  const { census, ahead } = createCensus(parts);
  const { writeNotes, readNotes } = createNotes(parts);
  const once = createOnceNotes(sql);
  const changeLog = createChangeReader(parts);
  const housekeeping = createHousekeeping(parts);
  const watching = createWatch({ ...parts, channel: schema, name: nonce(), lastBatch: readLastBatch });

  async function readLastBatch(): Promise<number> {
    const [row] = await pool.rows(lastBatch);
    return Number(row?.batch);
  }

  /** As many of the first ids as fit into one answer. */
  async function read(ids: readonly TaskId[], parts: Parts): Promise<(Task | LightTask | TaskHead | null)[]> {
    const rows = await getOf[parts](pool, { ids: pgArray(ids) });
    return rows.map((row) => (row.id === null ? null : COLUMNS.read(row, parts)));
  }

  /** Reads of one task are batched into one statement, as writes are. This is faster as soon as two reads are waiting. */
  const joinedGet = createBatch<TaskId, Task | null>({
    send: async (ids) => {
      const tasks: (Task | null)[] = [];
      while (tasks.length < ids.length) {
        for (const task of await read(ids.slice(tasks.length), "whole")) tasks.push(task as Task | null); // with the requested parts
      }
      return tasks;
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
    const rows = await claim(pool, {
      workers: pgArray(asks.map(({ worker }) => worker)),
      patterns: pgArray(asks.map(({ types }) => types.join(" "))),
      wanted: pgArray(asks.map(({ max }) => max)),
      leases: pgArray(asks.map(({ leaseMs }) => leaseMs)),
      now: terms.now,
      nonce: terms.nonce,
    });
    for (const row of rows) {
      const task = COLUMNS.read(row, "whole");
      if (isRunning(task)) given[Number(row.ask) - 1]?.push(task); // it was just claimed
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

  /** Deletions with notes have a transaction each; the others have one together, before them. */
  async function removeAll(refs: readonly TaskRef[]): Promise<boolean[]> {
    const indexed = [...refs.entries()];
    const plain = indexed.filter(([, { once }]) => once === undefined);
    const writes: (() => Promise<(readonly [number, boolean])[]>)[] = indexed.flatMap(([n, ref]) => {
      const { once } = ref;
      return once === undefined ? [] : [async () => [[n, await removeOnce(ref, once)]]];
    });
    if (plain.length > 0) writes.unshift(() => removePlain(plain));
    const removed = new Map((await writeInTurn(writes)).flat());
    const answers = refs.map((_, n) => removed.get(n) ?? false);
    if (answers.includes(true)) watching.committed([]);
    return answers;
  }

  async function removePlain(refs: readonly (readonly [number, TaskRef])[]): Promise<[number, boolean][]> {
    const removed = await removeIn(
      pool,
      refs.map(([, ref]) => ref),
    );
    return refs.map(([n, { id }]) => [n, removed.delete(id)]); // once, also where one id comes twice
  }

  const removeOnce = (ref: TaskRef, note: OnceNote): Promise<boolean> =>
    pool.transaction((session) =>
      once(session, note, {
        run: async () => (await removeIn(session, [ref])).has(ref.id),
        isDone: (isRemoved) => isRemoved,
        otherwise: false,
      }),
    );

  async function removeIn(session: Session, refs: readonly TaskRef[]): Promise<Set<TaskId>> {
    const rows = await remove(session, {
      ids: pgArray(refs.map(({ id }) => id)),
      versions: pgArray(refs.map(({ version }) => version ?? null)),
    });
    return new Set(rows.map(({ id }) => Number(id)));
  }

  const [about] = await pool.rows(ABOUT);
  await watching.start();
  housekeeping.start();

  return {
    durability: durabilityOf(about ?? {}),
    insert: insertAll,
    // The statements give the parts that the call names.
    get: async <P extends Parts>(ids: readonly TaskId[], parts?: P) => {
      const [id] = ids;
      if (id === undefined) return [];
      const isOneWhole = ids.length === 1 && (parts === undefined || parts === "whole");
      const tasks = isOneWhole ? [await joinedGet(id)] : await read(ids, parts ?? "whole");
      return tasks as (TaskParts[P] | null)[];
    },
    list: async <P extends Parts>(query: TaskQuery<P>) =>
      (await lists.list(query)) as TaskPage<TaskHead & TaskParts[P]>,
    count: async (filter) =>
      isCounted(filter) ? countByCensus(await census(), filter) : lists.count(filter),
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
      (await readLog(pool, { id, after: Math.min(after, MAX_INTEGER) })).map(({ n, at, level, message }) => ({
        n: Number(n),
        at: Number(at),
        level: level as LogLevel, // what a beat has written
        message: String(message),
      })),
    changes: changeLog.changes,
    watch: watching.watch,
    now: async () => {
      const [row] = await pool.rows(now);
      if (row?.is_read_only === true) {
        pool.leaveStandby();
        throw new TaskError("store_unavailable", "PostgreSQL takes no writes: it is a standby, or read-only");
      }
      return Math.floor(Number(row?.time));
    },
    close: async () => {
      await watching.close();
      await housekeeping.stop();
      await pool.close();
    },
  };
}

const MAX_INTEGER = 2_147_483_647;

function durabilityOf({ version, fsync, synchronous_commit: synchronous }: Row): string {
  const what = `PostgreSQL ${String(version).split(" ", 1)[0]}`;
  if (fsync !== "on") return `${what}: fsync is off, a crash of its machine may destroy it`;
  if (synchronous === "off")
    return `${what}: synchronous_commit is off, a crash may lose the last answered writes`;
  return `${what}: every answered write is on the disk`;
}
