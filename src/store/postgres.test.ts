import { afterAll } from "bun:test";
import { SQL } from "bun";
import { sharedPgbouncer, sharedPostgres } from "../../test/support/servers/shared.ts";
import { openTestStore } from "../../test/support/stores.ts";
import { examineSharedStore, examineStore } from "./store.suite.ts";
import type { TaskStore } from "./store.ts";

const TABLES = ["tasks", "log_lines", "changes", "idempotency", "census", "notes"];

/**
 * TRUNCATE makes 25 files and lets every session plan its statements again: 5 ms of the server's processor time for each of 740 cases,
 * and the plans. Most cases leave a few rows, which DELETE removes in 0.4 ms; dead rows are truncated away when they become many.
 * The sequence of batches is not reset, because an open store remembers the last batch that it has read.
 */
const emptied = (schema: string): string => {
  const tables = TABLES.map((table) => `${schema}.${table}`);
  return `DO $$ BEGIN
    IF ${tables.map((table) => `pg_relation_size('${table}')`).join(" + ")} > 1000000 THEN
      TRUNCATE ${tables.join(", ")};
    ELSE
      ${tables.map((table) => `DELETE FROM ${table};`).join(" ")}
    END IF;
  END $$;
  ALTER SEQUENCE ${schema}.task_id RESTART; UPDATE ${schema}.meta SET pruned = 0`;
};

/** A store that stays open from case to case, until a case closes it. */
type Kept = { readonly store: TaskStore; readonly close: () => Promise<void>; isClosed: boolean };

async function openKept(url: string): Promise<Kept> {
  const store = await openTestStore(url);
  const close = async (): Promise<void> => {
    kept.isClosed = true;
    await store.close();
  };
  const kept: Kept = { store: { ...store, close }, close, isClosed: false };
  return kept;
}

/**
 * A schema is created once and emptied for each case. The stores and their connections are used again: two
 * stores for each case were 2,000 backends of the server, half of the CPU seconds of the exam.
 */
async function examine(name: string, url: () => string, schema: string): Promise<void> {
  const admin = new SQL(url(), { max: 1, prepare: false });
  const kept: Kept[] = [];

  const open = async (place: 0 | 1): Promise<TaskStore> => {
    const present = kept[place];
    if (present !== undefined && !present.isClosed) return present.store;
    const opened = await openKept(`${url()}?schema=${schema}&connections=3`);
    kept[place] = opened;
    return opened.store;
  };

  afterAll(async () => {
    for (const { close } of kept) await close();
    await admin.close();
  });

  const openBoth = async () => {
    const [store, peer] = [await open(0), await open(1)];
    await admin.unsafe(emptied(schema)).simple();
    const startedAt = performance.now();
    const now = await store.now();
    return {
      store,
      peer,
      now: () => Math.floor(now + performance.now() - startedAt),
      forgetChanges: async () => {
        await admin
          .unsafe(
            `UPDATE ${schema}.meta SET pruned = (SELECT last_value * 16384 + 16383 FROM ${schema}.batch); DELETE FROM ${schema}.changes`,
          )
          .simple();
      },
      close: async () => undefined, // the next case uses them
    };
  };

  examineStore(name, openBoth);
  examineSharedStore(name, openBoth);
}

await examine("PostgreSQL", sharedPostgres, "exam");
await examine("PostgreSQL behind PgBouncer", sharedPgbouncer, "bounced");
