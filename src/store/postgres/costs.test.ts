/** The number of rows and index scans of statements, as the server counts them: no time is measured. */
import { describe, expect, test } from "bun:test";
import type { SQL } from "bun";
import { inAdmin, withSchema } from "../../../test/support/postgres.ts";
import { create, TYPE_DEFAULTS } from "../../core/lifecycle.ts";
import { ANSWER_BYTES } from "../../core/text-size.ts";

const TYPES = 2_000;

/** Pending tasks of many types, a few of each, with the same rows that creates would write. */
const populate = (schema: string, types: number, each: number): string =>
  `INSERT INTO ${schema}.tasks (id, name, description, type, payload, priority, tags, run_at, max_attempts, backoff_base_ms,
     backoff_max_ms, created_at, updated_at, search_text)
   SELECT nextval('${schema}.task_id'), 'a task', '', 'type' || n % ${types}, NULL, 0, '[]', n, 3, 1000, 1000, 0, 0, 'a task'
   FROM generate_series(1, ${types * each}) AS n`;

/** The number of index scans on the tasks table. */
async function scansOf(schema: string, statement: string): Promise<{ scans: number; rows: number }> {
  let found = { scans: 0, rows: 0 };
  await inAdmin((admin) =>
    admin.begin(async (session) => {
      const rows = await session.unsafe(statement);
      const [stat] = await session.unsafe(
        `SELECT idx_scan::int AS scans FROM pg_stat_xact_user_tables WHERE schemaname = '${schema}' AND relname = 'tasks'`,
      );
      found = { scans: stat.scans, rows: rows.length };
    }),
  );
  return found;
}

const claim = (schema: string, patterns: readonly string[]): string =>
  `SELECT ask FROM ${schema}.claim_due(array_fill('w'::text, ARRAY[${patterns.length}]), ARRAY['${patterns.join("','")}'],
    array_fill(1, ARRAY[${patterns.length}]), array_fill(1000::bigint, ARRAY[${patterns.length}]), 1000000, 'n', ${ANSWER_BYTES})`;

describe("with thousands of types", () => {
  test("many claims of any type step through the lanes once", async () => {
    await withSchema(async (_, schema) => {
      await inAdmin((admin: SQL) => admin.unsafe(populate(schema, TYPES, 3)));
      const { scans, rows } = await scansOf(schema, claim(schema, new Array(32).fill("*")));
      expect(rows).toBe(32);
      expect(scans).toBeLessThan(2 * TYPES);
      const others = await scansOf(schema, claim(schema, [...new Array(16).fill("type*"), "type1", "type2"]));
      expect(others.rows).toBe(18);
      expect(others.scans).toBeLessThan(2 * TYPES);
    });
  });

  test("typeCounts steps through the lanes once", async () => {
    await withSchema(async (store, schema) => {
      await inAdmin(async (admin: SQL) => {
        await admin.unsafe(populate(schema, TYPES, 3));
        await admin.unsafe(
          `INSERT INTO ${schema}.census (type, status, n) SELECT type, status, count(*) FROM ${schema}.tasks GROUP BY 1, 2`,
        );
      });
      const typeCounts = await store.typeCounts();
      expect(typeCounts.length).toBe(TYPES);
      expect(
        typeCounts.every(({ counts, oldestRunAt }) => counts.pending === 3 && oldestRunAt !== null),
      ).toBe(true);
      const { scans } = await scansOf(schema, `SELECT FROM ${schema}.lane_heads('{*}')`);
      expect(scans).toBeLessThan(2 * TYPES);
    });
  });
});

test("a claim ends at about 8 MiB of tasks, and leaves the rest as it was", async () => {
  await withSchema(async (store) => {
    const draft = create(
      { name: "a task", payload: JSON.stringify("x".repeat(1_048_576)) },
      TYPE_DEFAULTS,
      0,
    );
    for (let n = 0; n < 12; n++) await store.insert([{ drafts: [draft], idempotency: null }], 0);
    const ask = { worker: "w", types: ["*"], leaseMs: 60_000 };
    const given = async () =>
      (
        await store.claim(
          [
            { ...ask, max: 5 },
            { ...ask, max: 20 },
            { ...ask, max: 20 },
          ],
          { now: 1, nonce: "n" },
        )
      ).map((tasks) => tasks.map(({ id }) => id));
    expect(await given()).toEqual([[1, 2, 3, 4, 5], [6, 7, 8], []]);
    expect(await store.get([9])).toMatchObject([{ status: "pending", version: 1 }]);
    expect(await given()).toEqual([[9, 10, 11, 12], [], []]);
  });
});
