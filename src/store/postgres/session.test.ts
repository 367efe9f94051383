/** What statements mean and return does not depend on the defaults of the role or the database, nor on a connection pooler. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createWire } from "../../../test/chaos/wire.ts";
import { createTestLog } from "../../../test/support/engine.ts";
import { eventually } from "../../../test/support/eventually.ts";
import { addressOf, inAdmin, withDatabase } from "../../../test/support/postgres.ts";
import { type BouncerServer, createPgbouncer } from "../../../test/support/servers/postgres.ts";
import { sharedPgbouncer, sharedPostgres } from "../../../test/support/servers/shared.ts";
import { openTestStore } from "../../../test/support/stores.ts";
import { isTaskError } from "../../core/error.ts";
import { create, TYPE_DEFAULTS } from "../../core/lifecycle.ts";
import type { Task } from "../../core/task.ts";
import type { TaskStore } from "../store.ts";
import { SESSION } from "./settings.ts";

const NOW = Date.UTC(2026, 10, 28, 20, 51, 7, 123);

/** Values whose meaning a default may change: a null in an array, a time, a backslash, a double. */
async function addAndRead(store: TaskStore): Promise<Task> {
  const drafts = [1, 2].map((n) =>
    create(
      { name: `task ${n}`, payload: '{"path":"C:\\\\new"}', ...(n === 1 ? { key: "k" } : {}) },
      TYPE_DEFAULTS,
      NOW,
    ),
  );
  await store.insert([{ drafts, idempotency: null }], NOW);
  const terms = { now: NOW, nonce: "n" };
  const [claimed] = await store.claim([{ worker: "w", types: ["*"], max: 2, leaseMs: 45_678 }], terms);
  const last = claimed?.at(-1);
  const progress = { percent: 100 / 3, message: "C:\\new" };
  if (last !== undefined)
    await store.extend([{ id: last.id, token: last.token ?? "", progress, log: [] }], NOW + 1);
  const [task] = await store.get([2]);
  if (task === null || task === undefined) throw new Error("expected the task to be found");
  return task;
}

const EXPECTED = {
  id: 2,
  key: null,
  payload: '{"path":"C:\\\\new"}',
  createdAt: NOW,
  startedAt: NOW,
  progress: { percent: 100 / 3, message: "C:\\new" },
  lease: { worker: "w", until: NOW + 1 + 45_678, leaseMs: 45_678, revokeAt: null },
};

/** A function that is found before PostgreSQL's own if the schema `public` comes first. */
const TRAP = `CREATE FUNCTION public.octet_length(text) RETURNS integer LANGUAGE plpgsql AS
  $$ BEGIN RAISE EXCEPTION 'not the function of PostgreSQL'; END $$`;

const DEFAULTS: readonly (readonly [name: string, value: string])[] = [
  ["array_nulls", "off"],
  ["extra_float_digits", "-15"],
  ["standard_conforming_strings", "off"],
  ["search_path", "public, pg_catalog"],
];

async function withDefaults(
  settings: readonly (readonly [string, string])[],
  body: (name: string) => Promise<void>,
): Promise<void> {
  await withDatabase(async (name) => {
    await inDatabase(name, TRAP);
    await inAdmin(async (admin) => {
      for (const [setting, value] of settings)
        await admin.unsafe(`ALTER DATABASE ${name} SET ${setting} = ${value}`);
    });
    await body(name);
  });
}

async function inDatabase(name: string, statement: string): Promise<void> {
  const sql = new Bun.SQL(addressOf(sharedPostgres(), name), { max: 1, prepare: false });
  await sql.unsafe(statement);
  await sql.close();
}

test("defaults of the database do not change any answer", async () => {
  const timeouts = ["statement_timeout", "lock_timeout", "idle_session_timeout"].map(
    (name) => [name, "1"] as const,
  );
  await withDefaults([...DEFAULTS, ...timeouts], async (name) => {
    const store = await openTestStore(addressOf(sharedPostgres(), name));
    expect(await addAndRead(store)).toMatchObject(EXPECTED);
    await store.close();
  });
});

describe("behind a connection pooler", () => {
  test.each(DEFAULTS)(
    "the default %s = %s of the database is refused with one line",
    async (setting, value) => {
      await withDefaults([[setting, value]], async (name) => {
        const refusal = await openTestStore(addressOf(sharedPgbouncer(), name)).then(
          () => "opened",
          (error: unknown) => (isTaskError(error, "invalid") ? error.message : String(error)),
        );
        expect(refusal).toMatch(
          new RegExp(`^STORE_URL: .* passes no settings on.*ALTER ROLE … SET ${setting} = [^\\n]*$`),
        );
      });
    },
  );

  test("a default that equals PostgreSQL's own default is accepted", async () => {
    await withDefaults([["extra_float_digits", "1"]], async (name) => {
      const store = await openTestStore(addressOf(sharedPgbouncer(), name));
      expect(await addAndRead(store)).toMatchObject(EXPECTED);
      await store.close();
    });
  });
});

describe("a connection pooler that silently drops the settings of a session", () => {
  let pooler: BouncerServer;
  beforeAll(async () => {
    const ignored = Object.keys(SESSION).join(", ");
    pooler = await createPgbouncer(
      { port: Number(new URL(sharedPostgres()).port) },
      { ignore_startup_parameters: ignored },
    );
    await pooler.start();
  });
  afterAll(() => pooler.remove());

  /** Two processes whose prepared statements would have the same names on the same connections of the server. */
  async function exercise(stores: readonly TaskStore[]): Promise<void> {
    for (let round = 0; round < 5; round++) {
      await Promise.all(
        stores.map(async (store, at) => {
          const draft = create({ name: `task ${round} ${at}` }, TYPE_DEFAULTS, NOW);
          if ((round + at) % 2 === 0) await store.insert([{ drafts: [draft], idempotency: null }], NOW);
          await store.get([1]);
          await store.now();
          await store.typeCounts();
        }),
      );
    }
  }

  test("is noticed at the start", async () => {
    await withDatabase(async (name) => {
      const url = addressOf(pooler.url, name);
      const stores = [await openTestStore(url), await openTestStore(url)];
      await exercise(stores);
      for (const store of stores) await store.close();
    });
  });

  const LATER = [
    ["it", () => Number(new URL(pooler.url).port)],
    ["an ordinary PgBouncer", () => Number(new URL(sharedPgbouncer()).port)],
  ] as const;
  test.each(LATER)(
    "is noticed if the address later leads to %s; the log names pgbouncer=1, and commits of other processes still notify",
    async (_, port) => {
      await withDatabase(async (name) => {
        const wire = await createWire(Number(new URL(sharedPostgres()).port));
        const url = addressOf(
          sharedPostgres().replace(new URL(sharedPostgres()).port, String(wire.port)),
          name,
        );
        const logs = [createTestLog(), createTestLog()];
        const stores = await Promise.all(logs.map((log) => openTestStore(`${url}?connections=1`, { log })));
        const [first, second] = stores as [TaskStore, TaskStore];
        await exercise(stores);
        wire.turnTo(port());
        wire.cut();
        const works = (): Promise<boolean> =>
          exercise(stores).then(
            () => true,
            () => false,
          );
        await eventually(
          works,
          (isWell) => isWell && logs.some(({ events }) => events.includes("store_behind_pooler")),
        );
        // The store that has not noticed it yet is refused once when a statement of its own is missing.
        const worksFiveTimes = async (): Promise<boolean> => {
          for (let round = 0; round < 5; round++) if (!(await works())) return false;
          return true;
        };
        await eventually(worksFiveTimes, (isWell) => isWell);
        const [logged] = logs.flatMap(({ logged }) =>
          logged.filter(({ event }) => event === "store_behind_pooler"),
        );
        expect(logged?.fields.message).toInclude("pgbouncer=1");

        const isNoticed = logs.map(({ events }) => events.includes("store_behind_pooler"));
        const [listener, other] = isNoticed[0] ? [first, second] : [second, first];
        let notifications = 0;
        listener.watch(() => notifications++);
        await eventually(
          async () => {
            const drafts = [create({ name: "watched" }, TYPE_DEFAULTS, NOW)];
            await other.insert([{ drafts, idempotency: null }], NOW).catch(() => undefined); // refused once, as above
            return notifications;
          },
          (count) => count > 0,
        );
        for (const store of stores) await store.close();
        wire.close();
      });
    },
  );

  test("is refused with one line if the URL has pgbouncer=0", async () => {
    await expect(openTestStore(`${pooler.url}?pgbouncer=0`)).rejects.toThrow(
      /^STORE_URL: .* did not get the settings of the session, .* use pgbouncer=1$/,
    );
  });
});
