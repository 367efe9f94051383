/** Prepared statements that stay on a connection, and plans that were made while the tables were empty. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { inAdmin, openAdmin, withSchema } from "../../../test/support/postgres.ts";
import { sharedPostgres } from "../../../test/support/servers/shared.ts";
import { openTestStore, setupOf } from "../../../test/support/stores.ts";
import { cancel, create, TYPE_DEFAULTS } from "../../core/lifecycle.ts";
import { STATUSES } from "../../core/task.ts";
import { systemClock } from "../../lib/system-clock.ts";
import type { TaskFilter } from "../store.ts";
import { soon } from "../suite/examinee.ts";
import { createChangeReader } from "./changes.ts";
import { createLists } from "./list.ts";
import { openPool } from "./pool.ts";
import { inSchema } from "./schema.ts";

test("any mix of filters prepares a fixed number of statements", async () => {
  await withSchema(async (_, schema) => {
    const pool = await openPool(setupOf(`${sharedPostgres()}?connections=1`));
    const { list, count } = createLists({ session: pool, sql: (text) => inSchema(schema, text) });
    const some = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
      fc.option(value, { nil: undefined });
    const word = fc.stringMatching(/^[a-z]{1,5}$/);
    const filters = fc.record({
      statuses: some(fc.subarray([...STATUSES])),
      types: some(fc.array(word, { maxLength: 3 })),
      tags: some(fc.array(word, { maxLength: 3 })),
      words: fc.array(word, { maxLength: 32 }),
      finishedBefore: some(fc.nat()),
      expiredAt: some(fc.nat()),
      overlongAt: some(fc.nat()),
      sort: fc.constantFrom("id", "-id", "finished_at", "-finished_at"),
      after: fc.option(fc.record({ id: fc.nat(), finishedAt: fc.nat() }), { nil: null }),
      limit: fc.integer({ min: 1, max: 1_000 }),
      parts: fc.constantFrom("whole", "light", "head"),
    });
    await fc.assert(
      fc.asyncProperty(filters, async ({ words, sort, after, limit, parts, ...given }) => {
        const known = Object.entries(given).filter(([, value]) => value !== undefined);
        const filter: TaskFilter = { ...Object.fromEntries(known), search: { words, fields: [] } };
        await list({ filter, sort, after, limit, parts });
        await count(filter);
      }),
      { numRuns: 300 },
    );
    const [row] = await pool.rows("SELECT count(*)::integer AS n FROM pg_prepared_statements");
    expect(row?.n).toBeLessThan(40);
    await pool.close();
  });
});

describe("plans are kept", () => {
  test("by each function that the statements call", async () => {
    await withSchema(async (_, schema) => {
      await inAdmin(async (admin) => {
        const rows = await admin`SELECT proname FROM pg_proc WHERE pronamespace = ${schema}::regnamespace
          AND 'plan_cache_mode=force_generic_plan' = ANY (proconfig) ORDER BY proname`;
        expect(rows.map(({ proname }: { proname: string }) => proname)).toEqual(
          expect.arrayContaining([
            "ahead",
            "claim_tasks",
            "decide_keyed",
            "end_attempts",
            "lane_heads",
            "remove",
            "renew",
            "speak",
          ]),
        );
      });
    });
  });

  test("by the read of new changes, however many were made since", async () => {
    await withSchema(async (store, schema) => {
      const pool = await openPool(setupOf(`${sharedPostgres()}?connections=1`));
      const sql = (text: string): string => inSchema(schema, text);
      const { changes } = createChangeReader({ session: pool, clock: systemClock, sql });
      await inAdmin((admin) =>
        admin
          .unsafe(
            `INSERT INTO ${schema}.changes (n, entries) SELECT 1, '1 1 p~' FROM generate_series(1, 5000);
             ANALYZE ${schema}.changes`,
          )
          .simple(),
      );
      let { position } = await changes(null, 1);
      for (let n = 0; n < 20; n++) {
        const drafts = Array.from({ length: n }, () => create({ name: "a task" }, TYPE_DEFAULTS, 0));
        if (n > 0) await store.insert([{ drafts, idempotency: null }], 0);
        const page = await changes(position, 1_000);
        expect(page.kind === "changes" && page.changes.length).toBe(n);
        position = page.position;
      }
      const plans = await pool.rows(
        "SELECT generic_plans::integer, custom_plans::integer FROM pg_prepared_statements WHERE statement LIKE 'WITH ahead%'",
      );
      // PostgreSQL makes five plans for the values of a call before it compares their cost with that of a plan for all values.
      expect(plans).toEqual([{ generic_plans: 15, custom_plans: 5 }]);
      await pool.close();
    });
  });
});

test("statements that were planned while the store was empty read few rows of a store that grew fast", async () => {
  await withSchema(async (_, schema) => {
    const store = await openTestStore(`${sharedPostgres()}?schema=${schema}&connections=1`);
    await inAdmin((admin) => admin.unsafe(`ALTER TABLE ${schema}.tasks SET (autovacuum_enabled = false)`));
    const insert = (count: number, key: string | null) =>
      store.insert(
        [
          {
            drafts: Array.from({ length: count }, (_, at) =>
              create({ name: "a task", ...(key === null ? {} : { key: `${key} ${at}` }) }, TYPE_DEFAULTS, 0),
            ),
            idempotency: null,
          },
        ],
        0,
      );
    /** Each operation on the store's newest tasks. */
    const callAll = async (round: number): Promise<void> => {
      await insert(4, `round ${round}`);
      const page = await store.list({ filter: {}, sort: "-id", after: null, limit: 4 });
      const ids = page.tasks.map(({ id }) => id);
      const [first, second] = await store.get(ids);
      if (first == null || second == null) throw new Error("expected the tasks that were just created");
      await store.replace([
        { from: first, to: { ...first, name: "edited", version: first.version + 1 } },
        { from: second, to: cancel(second, 1) },
      ]);
      await store.remove([{ id: first.id }]);
      const terms = { now: 1, nonce: "n" };
      const [[running] = []] = await store.claim(
        [{ worker: "w", types: ["*"], max: 1, leaseMs: 60_000 }],
        terms,
      );
      if (running === undefined) throw new Error("expected due tasks");
      const log = [{ level: "info", message: "a line" }] as const;
      await store.extend([{ id: running.id, token: running.token, progress: null, log }], 2);
      await store.readLog(running.id, 0);
      await store.list({ filter: { expiredAt: 1 }, sort: "id", after: null, limit: 10 });
      await store.list({ filter: { statuses: ["cancelled"] }, sort: "finished_at", after: null, limit: 10 });
    };
    const rounds = 8; // more than the server needs before it keeps a plan
    for (let round = 0; round < rounds; round++) await callAll(round);
    for (let n = 0; n < 10; n++) await insert(2_000, null);
    await store.changes(null, 1);
    const admin = openAdmin();
    const read = async (): Promise<number> => {
      const [row] = await admin.unsafe(
        `SELECT (seq_tup_read + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes i WHERE i.relid = t.relid))::int AS rows
         FROM pg_stat_user_tables t WHERE schemaname = '${schema}' AND relname = 'tasks'`,
      );
      return row.rows;
    };
    for (let round = 0; round < rounds; round++) await callAll(rounds + round);
    await store.close(); // a session reports its statistics when it ends
    await soon("the statistics", async () => (await created(admin, schema)) >= 20_000 + 8 * rounds);
    // Each round reads some ten rows in some ten statements; one scan of the table reads 20,000.
    expect(await read()).toBeLessThan(5_000);
    await admin.close();
  });
});

async function created(admin: ReturnType<typeof openAdmin>, schema: string): Promise<number> {
  const [row] = await admin.unsafe(
    `SELECT n_tup_ins::int AS created FROM pg_stat_user_tables WHERE schemaname = '${schema}' AND relname = 'tasks'`,
  );
  return row.created;
}
