/** A store of version 0.1.0, whose schema has number 1, opened by this program. */
import { expect, test } from "bun:test";
import { eventually } from "../../../test/support/eventually.ts";
import { inAdmin } from "../../../test/support/postgres.ts";
import { sharedPostgres } from "../../../test/support/servers/shared.ts";
import { openTestStore, uniqueName } from "../../../test/support/stores.ts";
import { create, TYPE_DEFAULTS } from "../../core/lifecycle.ts";
import first from "./migrations/001-tasks.sql" with { type: "text" };
import { inSchema } from "./schema.ts";

/** Three tasks, one running and two pending, one of them with a key; and a remembered request. */
const CONTENT = `
  INSERT INTO tasktrack.tasks (id, name, description, type, priority, tags, key, run_at, max_attempts, backoff_base_ms,
    backoff_max_ms, created_at, updated_at, search_text)
  SELECT nextval('tasktrack.task_id'), 'task ' || n, '', 'old', 0, '[]', CASE n WHEN 3 THEN 'k' END, 0, 3, 1000, 1000, 0, 0,
    'task ' || n FROM generate_series(1, 3) AS n;
  INSERT INTO tasktrack.census (type, status, n) VALUES ('old', 'pending', 3);
  INSERT INTO tasktrack.changes (n, entries) VALUES (3, '1 1 p+;2 1 p+;3 1 p+');
  INSERT INTO tasktrack.idempotency VALUES ('s', 'r', 'f', 9000000000000000, '[{"id":2,"existing":false}]');
  SELECT count(*) FROM tasktrack.claim(ARRAY['w'], ARRAY['old'], ARRAY[1], ARRAY[60000::bigint], 1, 'n');`;

test("a store of version 0.1.0 is upgraded while programs of that version run statements", async () => {
  const schema = uniqueName("old");
  await inAdmin(async (admin) => {
    await admin.unsafe(`CREATE SCHEMA ${schema}`);
    await admin.unsafe(`CREATE TABLE ${schema}.migrations (number integer PRIMARY KEY, name text NOT NULL)`);
    await admin.unsafe(inSchema(schema, first)).simple();
    await admin.unsafe(`INSERT INTO ${schema}.migrations VALUES (1, 'tasks')`);
    await admin.unsafe(inSchema(schema, CONTENT)).simple();

    // A program of version 0.1.0 has an open write and an open read. The migration waits for it, because it adds a column, and other
    // statements do not wait for the migration.
    const old = await admin.reserve();
    await old.unsafe("BEGIN");
    await old
      .unsafe(`UPDATE ${schema}.tasks SET priority = 1 WHERE id = 2; SELECT count(*) FROM ${schema}.notes`)
      .simple();
    const opening = openTestStore(`${sharedPostgres()}?schema=${schema}`);
    await eventually(
      async () => {
        const [waiting] = await admin.unsafe(
          `SELECT count(*)::int AS n FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND query LIKE '%LOCK TABLE "${schema}".tasks%'`,
        );
        return waiting.n;
      },
      (n) => n === 1,
    );
    for (let n = 0; n < 5; n++) {
      await admin
        .unsafe(`SET statement_timeout = 30000; UPDATE ${schema}.tasks SET priority = 0 WHERE id = 3`)
        .simple();
    }
    await old.unsafe("COMMIT");
    const store = await opening;

    expect(await store.get([1, 2, 3])).toMatchObject([
      { id: 1, status: "running", token: "1.n" },
      { id: 2, status: "pending", priority: 1 },
      { id: 3, status: "pending", key: "k", labels: {} },
    ]);
    const drafts = [create({ name: "new", key: "k" }, TYPE_DEFAULTS, 0)];
    const idempotency = { scope: "s", key: "r", fingerprint: "f", until: 9e15 };
    expect(
      await store.insert(
        [
          { drafts, idempotency: null },
          { drafts, idempotency },
        ],
        1,
      ),
    ).toEqual([
      { kind: "created", tasks: [{ id: 3, existing: true }] },
      { kind: "repeated", tasks: [{ id: 2, existing: false }] },
    ]);
    expect(await store.typeCounts()).toMatchObject([{ type: "old", counts: { pending: 2, running: 1 } }]);
    expect(await store.extend([{ id: 1, token: "1.n", progress: null, log: [] }], 2)).toEqual(["ok"]);

    // The old claim function still works.
    const claimed = await old.unsafe(
      `SELECT id::int FROM ${schema}.claim(ARRAY['w'], ARRAY['old'], ARRAY[1], ARRAY[60000::bigint], 3, 'o')`,
    );
    expect(claimed.map(({ id }: { id: number }) => id)).toEqual([2]);
    old.release();
    const [rest] = await store.claim([{ worker: "w", types: ["*"], max: 5, leaseMs: 60_000 }], {
      now: 4,
      nonce: "n",
    });
    expect(rest?.map(({ id }) => id)).toEqual([3]);

    const plain = [{ drafts: [create({ name: "next" }, TYPE_DEFAULTS, 0)], idempotency: null }];
    expect(await store.insert(plain, 5)).toMatchObject([{ tasks: [{ id: 4 }] }]); // the upgrade skips no id
    await store.close();
    await admin.unsafe(`DROP SCHEMA ${schema} CASCADE`);
  });
});
