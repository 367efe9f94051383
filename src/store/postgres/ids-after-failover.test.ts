/** A server that lacks the latest acknowledged tasks gives no id a second time. */
import { afterAll, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { SQL } from "bun";
import { createWire } from "../../../test/chaos/wire.ts";
import { eventually } from "../../../test/support/eventually.ts";
import { addressOf, inAdmin, withDatabase } from "../../../test/support/postgres.ts";
import { codeOf } from "../../../test/support/redis.ts";
import {
  createPgbouncer,
  createPostgres,
  createStandby,
  postgresTool,
} from "../../../test/support/servers/postgres.ts";
import { sharedPostgres } from "../../../test/support/servers/shared.ts";
import { openTestStore } from "../../../test/support/stores.ts";
import { create, TYPE_DEFAULTS } from "../../core/lifecycle.ts";
import type { TaskId } from "../../core/task.ts";
import type { TaskStore } from "../store.ts";

/** More than the 32 ids that PostgreSQL itself skips after a crash. */
const MANY = 200;
const SKIPPED = 100_000;

const closing: (() => unknown)[] = [];
afterAll(async () => {
  for (const close of closing.splice(0).reverse()) await close();
}, 300_000);

/** Creates tasks and returns their ids; keyed ones are created by another statement. */
async function addTo(store: TaskStore, count: number, key?: string): Promise<TaskId[]> {
  const drafts = Array.from({ length: count }, (_, at) =>
    create({ name: "a task", ...(key === undefined ? {} : { key: `${key} ${at}` }) }, TYPE_DEFAULTS, 0),
  );
  const [answer] = await store.insert([{ drafts, idempotency: null }], 0);
  if (answer?.kind !== "created") throw new Error("expected the tasks to be created");
  return answer.tasks.map(({ id }) => id);
}

async function script(url: string, statements: string): Promise<void> {
  const sql = new SQL(url, { max: 1, prepare: false });
  try {
    await sql.unsafe(statements).simple();
  } finally {
    await sql.close();
  }
}

async function ask(url: string, statement: string): Promise<unknown> {
  const sql = new SQL(url, { max: 1, prepare: false });
  try {
    const [row] = await sql.unsafe(statement).values();
    return row?.[0];
  } finally {
    await sql.close();
  }
}

test("a standby that lagged and was promoted gives no id a second time, and processes skip ids once, directly and behind PgBouncer", async () => {
  const primary = await createPostgres({ fsync: "off" });
  closing.push(() => primary.remove());
  await primary.start();
  const [clients, replication] = [await createWire(primary.port), await createWire(primary.port)];
  closing.push(() => clients.close());
  const standby = await createStandby(primary, replication.port, { fsync: "off" });
  closing.push(() => standby.remove());
  await standby.start();
  const bouncer = await createPgbouncer(clients);
  closing.push(() => bouncer.remove());
  await bouncer.start();

  const direct = await openTestStore(primary.url.replace(String(primary.port), String(clients.port)));
  const bounced = await openTestStore(bouncer.url);
  closing.push(
    () => direct.close(),
    () => bounced.close(),
  );
  await addTo(direct, 1);
  expect(await addTo(bounced, 1)).toEqual([2]);
  await eventually(
    () => ask(standby.url, "SELECT count(*)::integer FROM tasktrack.tasks").catch(() => 0),
    (count) => count === 2,
  );
  replication.hold();
  const lost = await addTo(direct, MANY);
  const highest = Math.max(...lost);
  expect(highest).toBe(MANY + 2);

  await primary.signal("SIGKILL");
  replication.close();
  clients.turnTo(standby.port);
  clients.cut();
  expect(await ask(standby.url, "SELECT pg_promote()")).toBe(true);
  const stores = [direct, bounced];
  for (const store of stores) {
    await eventually(
      () => codeOf(store.typeCounts()),
      (code) => code === "ok",
    );
  }
  const ids = (await Promise.all(stores.flatMap((store) => [addTo(store, 1), addTo(store, 1)]))).flat();
  expect(Math.min(...ids)).toBeGreaterThan(highest);
  expect(new Set(ids).size).toBe(4);
  expect(Math.max(...ids)).toBeLessThan(2 * SKIPPED);

  const [latest = 0] = await addTo(direct, 1);
  await standby.signal("SIGINT");
  await standby.start();
  let next: TaskId[] = [];
  await eventually(
    async () => {
      next = await addTo(bounced, 1).catch(() => []);
      return next.length;
    },
    (count) => count === 1,
  );
  expect(next).toEqual([latest + 1]); // the same server after a restart
}, 300_000);

describe("later ids are higher than all earlier ones", () => {
  const KINDS = [
    ["plain creates", undefined],
    ["keyed creates", "after"],
  ] as const;

  test.each(KINDS)("if an older copy of the database gets its name: %s", async (_kind, key) => {
    await withDatabase(async (name) => {
      const url = addressOf(sharedPostgres(), name);
      const before = await openTestStore(url);
      await addTo(before, 1);
      await before.close();
      await inAdmin((admin) => admin.unsafe(`CREATE DATABASE ${name}_copy TEMPLATE ${name}`));
      const original = await openTestStore(url);
      const highest = Math.max(...(await addTo(original, MANY)));
      expect(highest).toBe(MANY + 1); // opened again, nothing is skipped
      await original.close();
      await inAdmin(async (admin) => {
        await admin.unsafe(`DROP DATABASE ${name} WITH (FORCE)`);
        await admin.unsafe(`ALTER DATABASE ${name}_copy RENAME TO ${name}`);
      });
      const copies = await Promise.all([openTestStore(url), openTestStore(url)]);
      const ids = (
        await Promise.all(copies.map((store, at) => addTo(store, 1, key && `${key} ${at}`)))
      ).flat();
      for (const store of copies) await store.close();
      expect(ids.toSorted((a, b) => a - b)).toEqual([SKIPPED + 2, SKIPPED + 3]);
      expect(Math.min(...ids)).toBeGreaterThan(highest);
    });
  });

  test("if a dump, or only the rows of a dump, is restored in place while a process has open connections", async () => {
    await withDatabase(async (name) => {
      const url = addressOf(sharedPostgres(), name);
      const store = await openTestStore(url);
      await addTo(store, 1);
      const old = await ask(url, "SELECT last_value::integer FROM tasktrack.task_id");
      const highest = Math.max(...(await addTo(store, MANY)));
      const rowsAnew = `BEGIN; CREATE TEMP TABLE kept AS SELECT * FROM tasktrack.id_source;
        TRUNCATE tasktrack.id_source, tasktrack.tasks, tasktrack.changes, tasktrack.census;
        INSERT INTO tasktrack.id_source SELECT * FROM kept; DROP TABLE kept;
        SELECT setval('tasktrack.task_id', ${old}); COMMIT`;
      await script(url, rowsAnew);
      const [id = 0] = await addTo(store, 1);
      expect(id).toBeGreaterThan(highest);
      expect(id).toBeLessThan(2 * SKIPPED);
      await store.close();
    });
  });

  test("if the tasks were replicated and the sequence was not", async () => {
    await withDatabase(async (name) => {
      const url = addressOf(sharedPostgres(), name);
      const store = await openTestStore(url);
      const highest = Math.max(...(await addTo(store, MANY)));
      await store.close();
      await script(
        url,
        "UPDATE tasktrack.id_source SET system = 1; SELECT setval('tasktrack.task_id', 1, false)",
      );
      const subscriber = await openTestStore(url);
      expect(await addTo(subscriber, 1)).toEqual([highest + SKIPPED + 1]);
      await subscriber.close();
    });
  });

  test.skipIf(postgresTool("pg_dump") === null)(
    "if a dump was restored into a new database of the same name",
    async () => {
      await withDatabase(async (name) => {
        const url = addressOf(sharedPostgres(), name);
        const store = await openTestStore(url);
        await addTo(store, 1);
        const dump = run("pg_dump", ["-d", url]);
        const highest = Math.max(...(await addTo(store, MANY)));
        await store.close();
        await inAdmin(async (admin) => {
          await admin.unsafe(`DROP DATABASE ${name} WITH (FORCE)`);
          await admin.unsafe(`CREATE DATABASE ${name}`);
        });
        run("psql", ["-q", "-v", "ON_ERROR_STOP=1", "-d", url], dump);
        const restored = await openTestStore(url);
        const [id = 0] = await addTo(restored, 1);
        await restored.close();
        expect(id).toBeGreaterThan(highest);
        expect(id).toBe(SKIPPED + 2);
      });
    },
  );
});

function run(tool: string, args: readonly string[], input = ""): string {
  const done = spawnSync(postgresTool(tool) ?? tool, args, { encoding: "utf8", input });
  if (done.status !== 0) throw new Error(`${tool}: ${done.stderr}`);
  return done.stdout;
}
