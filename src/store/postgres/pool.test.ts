/** The time limits of calls, and connections that may block others. */
import { describe, expect, test } from "bun:test";
import { createManualClock, settled } from "../../../test/support/clock.ts";
import { createTestLog } from "../../../test/support/engine.ts";
import { addressOf, openAdmin, withDatabase, withSchema } from "../../../test/support/postgres.ts";
import { sharedPgbouncer, sharedPostgres } from "../../../test/support/servers/shared.ts";
import { setupOf } from "../../../test/support/stores.ts";
import { isTaskError } from "../../core/error.ts";
import { create, TYPE_DEFAULTS } from "../../core/lifecycle.ts";
import { soon } from "../suite/examinee.ts";
import { openPool, type Pool } from "./pool.ts";

const SELECT_1 = "SELECT 1";

async function withPool(
  connections: number,
  body: (
    pool: Pool,
    clock: ReturnType<typeof createManualClock>,
    events: () => readonly string[],
  ) => Promise<void>,
): Promise<void> {
  const [clock, log] = [createManualClock(), createTestLog()];
  const pool = await openPool({ url: `${sharedPostgres()}?connections=${connections}`, clock, log });
  try {
    await body(pool, clock, () => log.events);
  } finally {
    await pool.close();
  }
}

const codeOf = (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => "ok",
    (error: unknown) => (isTaskError(error) ? error.code : String(error)),
  );

describe("a deadline", () => {
  test("applies to each statement, not to a transaction", async () => {
    await withPool(1, async (pool, clock, events) => {
      const call = pool.transaction(async (session) => {
        for (let n = 0; n < 5; n++) {
          await session.rows(SELECT_1);
          await clock.advance(4_000);
        }
        return "done";
      });
      expect(await call).toBe("done");
      expect(events()).toEqual([]);
    });
  });

  test("does not count the wait for a connection: that call is refused, and the connections stay", async () => {
    await withPool(1, async (pool, clock, events) => {
      const gate = Promise.withResolvers<void>();
      const held = pool.transaction(async (session) => {
        await session.rows(SELECT_1);
        gate.resolve();
        await clock.advance(5_000);
        expect(await Promise.race([late, "waits"])).toBe("waits");
        await clock.advance(1_000);
        expect(await late).toBe("overloaded");
        await session.rows(SELECT_1);
      });
      const late = gate.promise.then(() => codeOf(pool.rows(SELECT_1)));
      await held;
      expect(await codeOf(pool.rows(SELECT_1))).toBe("ok");
      expect(events()).toEqual([]);
    });
  });

  test("ends before the wait for a connection: if the server does not answer, no call is refused as too many", async () => {
    await withPool(1, async (pool, clock) => {
      const first = codeOf(pool.rows("SELECT pg_sleep(60)"));
      const waiting = codeOf(pool.rows(SELECT_1));
      await settled();
      await clock.advance(10_000);
      expect([await first, await waiting]).toEqual(["store_unavailable", "store_unavailable"]);
    });
  });

  test("closes all connections if the server does not answer a statement", async () => {
    await withPool(2, async (pool, clock, events) => {
      const slow = codeOf(pool.rows("SELECT pg_sleep(60)"));
      await settled();
      await clock.advance(5_000);
      expect(await slow).toBe("store_unavailable");
      expect(events()).toEqual(["store_reconnecting"]);
    });
  });
});

test("does not depend on searches, which never occupy all connections", async () => {
  await withPool(4, async (pool) => {
    const lock = "SELECT pg_advisory_lock_shared(1201)";
    const blocked = Promise.withResolvers<void>();
    const released = Promise.withResolvers<void>();
    const holder = pool.transaction(async (session) => {
      await session.rows("SELECT pg_advisory_xact_lock(1201)");
      blocked.resolve();
      await released.promise;
    });
    await blocked.promise;
    const searches = Array.from({ length: 10 }, () => pool.searches.rows(lock));
    expect(await codeOf(pool.rows(SELECT_1))).toBe("ok");
    released.resolve();
    await Promise.all([holder, ...searches]);
  });
});

describe("a process that is frozen in a transaction", () => {
  for (const [way, url] of [
    ["directly", sharedPostgres],
    ["behind PgBouncer", sharedPgbouncer],
  ] as const) {
    test(`does not keep the change log and its keys from others, ${way}`, async () => {
      await withSchema(async (store, schema) => {
        const { position } = await store.changes(null, 1);
        const frozen = await openPool(setupOf(url()));
        const never = new Promise<never>(() => undefined);
        const isInside = Promise.withResolvers<void>();
        void frozen
          .transaction(async (session) => {
            await session.rows(`SELECT ${schema}.lock_keys(ARRAY['key a'])`);
            await session.rows(`SELECT ${schema}.gate(), nextval('${schema}.batch')`);
            isInside.resolve();
            return never;
          })
          .catch(() => undefined);
        await isInside.promise;

        const drafts = [create({ name: "a task", key: "a" }, TYPE_DEFAULTS, 0)];
        await store.insert([{ drafts, idempotency: null }], 0);
        let ids: number[] = [];
        while (ids.length === 0) {
          const page = await store.changes(position, 10);
          ids = page.kind === "changes" ? page.changes.map(({ id }) => id) : [-1];
        }
        expect(ids).toEqual([1]);
        await frozen.close();
      });
    });
  }
});

test("a process that is frozen while it creates keyed tasks leaves no transaction open", async () => {
  await withDatabase(async (name) => {
    const url = addressOf(sharedPostgres(), name);
    const creator = Bun.spawn([process.execPath, "--no-env-file", CREATOR, url], { stdout: "pipe" });
    const admin = openAdmin();
    const states = async (): Promise<string[]> =>
      (await admin`SELECT state FROM pg_stat_activity WHERE datname = ${name} AND state IS NOT NULL`).map(
        ({ state }: { state: string }) => state,
      );
    try {
      await creator.stdout.getReader().read(); // the transaction is open
      for (let round = 0; round < 30; round++) {
        creator.kill("SIGSTOP");
        await soon("its statements to end", async () => !(await states()).includes("active"));
        expect(await states()).not.toContain("idle in transaction");
        creator.kill("SIGCONT");
        const before = await lastTaskOf(url);
        await soon("the next create", async () => (await lastTaskOf(url)) > before);
      }
    } finally {
      creator.kill("SIGKILL"); // a suspended process receives no other signal
      await creator.exited;
      await admin.close();
    }
  });
});

const CREATOR = `${import.meta.dir}/../../../test/support/keyed-creates.ts`;

async function lastTaskOf(url: string): Promise<number> {
  const sql = openAdmin(url);
  const [row] = await sql`SELECT last_value::float8 AS id FROM tasktrack.task_id`;
  await sql.close();
  return row.id;
}
