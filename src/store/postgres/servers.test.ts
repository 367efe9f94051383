/** Databases and roles with different settings of operators. */
import { describe, expect, test } from "bun:test";
import { SQL } from "bun";
import { addressOf, inAdmin, withDatabase, withSchema } from "../../../test/support/postgres.ts";
import { sharedPgbouncer, sharedPostgres } from "../../../test/support/servers/shared.ts";
import { openTestStore, uniqueName } from "../../../test/support/stores.ts";
import { isTaskError } from "../../core/error.ts";
import { create, TYPE_DEFAULTS } from "../../core/lifecycle.ts";
import type { Position, TaskStore } from "../store.ts";

const draftsOf = (count: number, keyOf: (at: number) => string | undefined) =>
  Array.from({ length: count }, (_, at) => {
    const key = keyOf(at);
    return create({ name: `task ${at}`, ...(key === undefined ? {} : { key }) }, TYPE_DEFAULTS, 0);
  });

async function createKeyed(store: TaskStore, keys: readonly string[]): Promise<void> {
  await store.insert([{ drafts: draftsOf(keys.length, (at) => keys[at]), idempotency: null }], 0);
}

/** Two processes change the same rows at the same time: with snapshots that last as long as a transaction, some of these calls fail. */
async function contend(stores: readonly TaskStore[]): Promise<void> {
  const [first] = stores;
  if (first === undefined) return;
  await createKeyed(
    first,
    Array.from({ length: 40 }, (_, at) => `first ${at}`),
  );
  for (let round = 0; round < 5; round++) {
    const keys = Array.from({ length: 20 }, (_, at) => `round ${round} ${at}`);
    await Promise.all(stores.map((store) => createKeyed(store, keys)));
    const tasks = await Promise.all(stores.map((store) => store.get([1, 2, 3, 4])));
    await Promise.all(
      stores.map((store, at) =>
        store.replace(
          (tasks[at] ?? []).flatMap((task) =>
            task === null
              ? []
              : [{ from: task, to: { ...task, priority: round, version: task.version + 1 } }],
          ),
        ),
      ),
    );
    await Promise.all(
      stores.map((store, at) =>
        store.claim([{ worker: `${at}`, types: ["*"], max: 3, leaseMs: 60_000 }], { now: 1, nonce: "n" }),
      ),
    );
  }
  expect(await first.count({})).toBe(140);
}

test("first starts of several processes wait for each other, also behind PgBouncer", async () => {
  for (const url of [sharedPostgres, sharedPgbouncer]) {
    await withDatabase(async (name) => {
      const address = `${addressOf(url(), name)}?connections=1`;
      const stores = await Promise.all(Array.from({ length: 8 }, () => openTestStore(address)));
      await Promise.all(stores.map((store, at) => createKeyed(store, [`${at}`])));
      expect(await stores[0]?.count({})).toBe(8);
      for (const store of stores) await store.close();
    });
  }
});

describe("a database or role whose default isolation is", () => {
  for (const isolation of ["repeatable read", "serializable"]) {
    for (const [way, url] of [
      ["directly", sharedPostgres],
      ["behind PgBouncer", sharedPgbouncer],
    ] as const) {
      test(`${isolation} serves several processes at once, ${way}, from their first start on`, async () => {
        await withDatabase(async (name) => {
          await inAdmin((admin) =>
            admin.unsafe(`ALTER DATABASE ${name} SET default_transaction_isolation = '${isolation}'`),
          );
          const address = `${addressOf(url(), name)}?connections=2`;
          const stores = await Promise.all(Array.from({ length: 4 }, () => openTestStore(address)));
          await contend(stores);
          for (const store of stores) await store.close();
        });
      });
    }
  }
});

test("a database that is not UTF-8 is refused with one line that names the remedy", async () => {
  await withDatabase(async (name) => {
    const refusal = await openTestStore(addressOf(sharedPostgres(), name)).then(
      () => "opened",
      (error: unknown) => (isTaskError(error) ? `${error.code}: ${error.message}` : String(error)),
    );
    expect(refusal).toBe(
      `invalid: STORE_URL: the database ${name} has the encoding LATIN1, UTF8 is needed: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0`,
    );
  }, "ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
});

test("the owner of the schema needs no right to create schemas", async () => {
  const role = uniqueName("owner");
  await withDatabase(async (name) => {
    await inAdmin((admin) => admin.unsafe(`CREATE ROLE ${role} LOGIN`));
    const owned = new SQL(addressOf(sharedPostgres(), name), { max: 1, prepare: false });
    await owned.unsafe(`CREATE SCHEMA tasktrack AUTHORIZATION ${role}`);
    await owned.close();
    const store = await openTestStore(addressOf(sharedPostgres(), name, role));
    await createKeyed(store, ["a"]);
    expect(await store.count({})).toBe(1);
    const { position } = await store.changes(null, 1);
    expect((await store.changes(position, 1)).kind).toBe("changes");
    await store.close();
  });
  await inAdmin((admin) => admin.unsafe(`DROP ROLE ${role}`));
});

describe("a reader of the change log gets `gone`", () => {
  const inDatabase = async (name: string, statements: string): Promise<void> => {
    const sql = new SQL(addressOf(sharedPostgres(), name), { max: 1, prepare: false });
    await sql.unsafe(statements).simple();
    await sql.close();
  };

  async function expectGone(url: string, position: Position): Promise<Position> {
    const store = await openTestStore(url);
    await createKeyed(store, ["one more", "and another"]); // so that the log is longer than the reader has seen
    const answer = await store.changes(position, 1);
    expect(answer.kind).toBe("gone");
    expect((await store.changes(answer.position, 1)).kind).toBe("changes");
    await store.close();
    return answer.position;
  }

  test("if an older copy of the database gets its name", async () => {
    await withDatabase(async (name) => {
      const url = addressOf(sharedPostgres(), name);
      const store = await openTestStore(url);
      const { position } = await store.changes(null, 1);
      await store.close();
      await inAdmin(async (admin) => {
        await admin.unsafe(`CREATE DATABASE ${name}_copy TEMPLATE ${name}`);
        await admin.unsafe(`DROP DATABASE ${name}`);
        await admin.unsafe(`ALTER DATABASE ${name}_copy RENAME TO ${name}`);
      });
      await expectGone(url, position);
    });
  });

  test("if a dump, or only the rows of a dump, was restored into the same database", async () => {
    await withDatabase(async (name) => {
      const url = addressOf(sharedPostgres(), name);
      const store = await openTestStore(url);
      await createKeyed(store, ["a"]);
      const { position } = await store.changes(null, 1);
      await store.close();

      await inDatabase(name, "ALTER SCHEMA tasktrack RENAME TO dumped");
      await (await openTestStore(url)).close();
      const rowsAnew = "TRUNCATE tasktrack.meta; INSERT INTO tasktrack.meta SELECT * FROM dumped.meta";
      await inDatabase(name, rowsAnew);
      const later = await expectGone(url, position);
      await inDatabase(name, rowsAnew);
      await expectGone(url, later);
    });
  });

  test("but not if only another process reads", async () => {
    await withDatabase(async (name) => {
      const url = addressOf(sharedPostgres(), name);
      const [store, peer] = [await openTestStore(url), await openTestStore(url)];
      const { position } = await store.changes(null, 1);
      await createKeyed(store, ["a"]);
      expect(await peer.changes(position, 10)).toMatchObject({ kind: "changes", changes: [{ id: 1 }] });
      await store.close();
      await peer.close();
    });
  });
});

test("the locks of a thousand keys take a limited part of the server's lock table", async () => {
  await withSchema(async (_, schema) => {
    await inAdmin(async (admin) => {
      const held = await admin.begin(async (session) => {
        await session.unsafe(
          `SELECT ${schema}.lock_keys(ARRAY(SELECT 'key ' || n FROM generate_series(1, 1000) AS n))`,
        );
        return session.unsafe("SELECT count(*)::int AS count FROM pg_locks WHERE pid = pg_backend_pid()");
      });
      expect(held[0].count).toBeLessThan(40);
    });
  });
});

test("sixteen processes that each create a thousand keyed tasks at the same time all get answers", async () => {
  await withDatabase(async (name) => {
    const url = `${addressOf(sharedPostgres(), name)}?connections=1`;
    const stores = await Promise.all(Array.from({ length: 16 }, () => openTestStore(url)));
    const keys = (of: number) => Array.from({ length: 1_000 }, (_, at) => `${of} ${at}`);
    await Promise.all(stores.map((store, of) => createKeyed(store, keys(of))));
    expect(await stores[0]?.count({})).toBe(16_000);
    for (const store of stores) await store.close();
  });
});
