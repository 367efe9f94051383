/** Behaviour of the PostgreSQL store alone; the promises of all stores are tested in ../postgres.test.ts. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { SQL } from "bun";
import { withSchema } from "../../../test/support/postgres.ts";
import { createPostgres, type PostgresServer } from "../../../test/support/servers/postgres.ts";
import { sharedPgbouncer, sharedPostgres } from "../../../test/support/servers/shared.ts";
import { openTestStore, setupOf, uniqueName } from "../../../test/support/stores.ts";
import type { Clock } from "../../core/clock.ts";
import { isTaskError } from "../../core/error.ts";
import { create, DEFAULT_TYPE, edit, TYPE_DEFAULTS } from "../../core/lifecycle.ts";
import type { RunningTask, Task } from "../../core/task.ts";
import { systemClock } from "../../lib/system-clock.ts";
import { migrateStore } from "../open.ts";
import type { StoreSetup } from "../setup.ts";
import type { Change, Position, TaskStore } from "../store.ts";
import { soon } from "../suite/examinee.ts";
import { createRound } from "./housekeeping.ts";
import { openPool } from "./pool.ts";

let admin: SQL;
beforeAll(() => {
  admin = new SQL(sharedPostgres(), { max: 4, prepare: false });
});
afterAll(() => admin.close());

const draft = (now: number, name = "a task") => create({ name }, TYPE_DEFAULTS, now);

async function add(store: TaskStore, name?: string): Promise<void> {
  const now = await store.now();
  await store.insert([{ drafts: [draft(now, name)], idempotency: null }], now);
}

/** The code and message with which a call is refused. */
async function refusalOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
  } catch (error) {
    if (isTaskError(error)) return `${error.code}: ${error.message}`;
    throw error;
  }
  throw new Error("it was not refused");
}

/** Opens a store in a schema of its own and closes it after the test. */
async function withStore(
  body: (store: TaskStore, schema: string) => Promise<void>,
  more: Partial<StoreSetup> = {},
): Promise<void> {
  const schema = uniqueName("own");
  const store = await openTestStore(`${sharedPostgres()}?schema=${schema}`, more);
  try {
    await body(store, schema);
  } finally {
    await store.close();
    await admin.unsafe(`DROP SCHEMA ${schema} CASCADE`);
  }
}

describe("a store that cannot be used is refused with one line:", () => {
  const there = (): URL => new URL(sharedPostgres());
  const refusals: readonly (readonly [string, () => string, string])[] = [
    [
      "no server listens",
      () => "postgres://u@127.0.0.1:1/d",
      "store_unavailable: STORE_URL: PostgreSQL at 127.0.0.1:1/d:",
    ],
    [
      "the database does not exist",
      () => Object.assign(there(), { pathname: "/nowhere" }).href,
      'database "nowhere" does not exist',
    ],
    [
      "the user does not exist",
      () => Object.assign(there(), { username: "nobody" }).href,
      'role "nobody" does not exist',
    ],
    [
      "the schema's name would need quotes",
      () => `${there()}?schema=a"b`,
      "invalid: STORE_URL: schema must be",
    ],
    [
      "sslmode has an unknown value",
      () => `${there()}?sslmode=nonsense`,
      "invalid: STORE_URL: The argument 'sslmode' must be one of: disable, allow, prefer, require, verify-ca, verify-full",
    ],
    ["a parameter is unknown", () => `${there()}?nonsense=1`, "STORE_URL: PostgreSQL at 127.0.0.1"],
    [
      "TLS is required and the server has none",
      () => `${there()}?sslmode=require`,
      "Server does not support SSL; the server has no TLS; leave out sslmode",
    ],
    [
      "the certificate of the authority cannot be read",
      () => `${there()}?sslmode=verify-ca&sslrootcert=/nowhere.pem`,
      "sslrootcert, sslcert or sslkey names a file that cannot be read",
    ],
    [
      "the number of connections is too high",
      () => `${there()}?connections=0`,
      "invalid: STORE_URL: connections must be",
    ],
  ];
  test.each(refusals)("%s", async (_, url, says) => {
    const line = await refusalOf(openTestStore(url()));
    expect(line).toInclude(says);
    expect(line).not.toInclude("\n");
  });

  test("the role has no right to create or to read the schema", async () => {
    const [role, schema] = [uniqueName("poor"), uniqueName("rich")];
    await admin.unsafe(`CREATE ROLE ${role} LOGIN; CREATE SCHEMA ${schema}`).simple();
    for (const name of [schema, uniqueName("new")]) {
      const url = `${Object.assign(there(), { username: role })}?schema=${name}`;
      for (const call of [() => openTestStore(url), () => migrateStore(setupOf(url), true)]) {
        expect(await refusalOf(call())).toMatch(
          /STORE_URL: PostgreSQL at .*: permission denied for .*: the role must own the schema and all in it, or have/,
        );
      }
    }
    await admin.unsafe(`DROP SCHEMA ${schema}; DROP ROLE ${role}`).simple();
  });

  test("its schema is newer than the program", async () => {
    await withStore(async (_, schema) => {
      await admin.unsafe(`INSERT INTO ${schema}.migrations (number, name) VALUES (99, 'of a later version')`);
      const line = await refusalOf(openTestStore(`${sharedPostgres()}?schema=${schema}`));
      expect(line).toMatch(
        /^invalid: STORE_URL: the store's schema has number 99, this program knows numbers up to \d+/,
      );
    });
  });
});

test("a commit that makes no task due is notified only while another process needs every commit", async () => {
  await withSchema(async (store, schema) => {
    const channel = new SQL(sharedPostgres(), { max: 2, prepare: false });
    const payloads: string[] = [];
    await channel.listen(schema, (payload) => payloads.push(payload));
    const peer = await openTestStore(`${sharedPostgres()}?schema=${schema}`);
    const draft = create({ name: "x", runAt: 9_000_000_000_000 }, TYPE_DEFAULTS, 0);
    const notified = async (): Promise<boolean> => {
      payloads.length = 0;
      await store.insert([{ drafts: [draft], idempotency: null }], 0);
      await channel.unsafe(`SELECT pg_notify('${schema}', 'test :-:1:')`);
      await soon("the marker", async () => payloads.includes("test :-:1:"));
      return payloads.some((payload) => !payload.startsWith("test ") && /:-:\d+:$/.test(payload));
    };
    await soon("no notification", async () => !(await notified())); // some seconds after the start
    const unwatch = peer.watch(() => undefined);
    await soon("a notification", notified);
    unwatch();
    await Promise.all([channel.close(), peer.close()]);
  });
}, 120_000);

test("the schema's name may be a keyword of SQL; commits in it notify other processes", async () => {
  const url = `${sharedPostgres()}?schema=user`;
  const [store, peer] = [await openTestStore(url), await openTestStore(url)];
  const notified: unknown[] = [];
  peer.watch((due) => notified.push(...(due ?? [])));
  // The peer may not listen yet when the first task is created.
  await soon("the notification", async () => {
    await add(store);
    return notified.includes(DEFAULT_TYPE);
  });
  expect(await peer.count({})).toBe(await store.count({}));
  expect((await peer.changes(null, 1)).kind).toBe("changes");
  await store.close();
  await peer.close();
  await admin.unsafe('DROP SCHEMA "user" CASCADE');
});

describe("migrations", () => {
  test("are carried out once if several processes start at the same time without a schema", async () => {
    const schema = uniqueName("race");
    const url = `${sharedPostgres()}?schema=${schema}&connections=2`;
    const stores = await Promise.all(Array.from({ length: 6 }, () => openTestStore(url)));
    const [row] = await admin.unsafe(`SELECT count(*)::int AS count FROM ${schema}.migrations`);
    expect(row.count).toBe(8);
    for (const store of stores) await add(store);
    expect(await stores[0]?.count({})).toBe(6);
    for (const store of stores) await store.close();
    await admin.unsafe(`DROP SCHEMA ${schema} CASCADE`);
  });

  test("are only listed by a dry run", async () => {
    const schema = uniqueName("dry");
    const setup = setupOf(`${sharedPostgres()}?schema=${schema}`);
    const plan = await migrateStore(setup, false);
    expect(plan.current).toBe(0);
    expect(plan.pending.map(({ number }) => number)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    const [row] = await admin.unsafe(`SELECT to_regnamespace('${schema}') IS NULL AS absent`);
    expect(row.absent).toBe(true);
    expect((await migrateStore(setup, true)).pending.length).toBe(8);
    expect(await migrateStore(setup, false)).toEqual({ current: 8, pending: [] });
    await admin.unsafe(`DROP SCHEMA ${schema} CASCADE`);
  });
});

// ---- the change log

describe("a reader of the change log", () => {
  const end = async (store: TaskStore): Promise<Position> => (await store.changes(null, 1)).position;

  async function read(store: TaskStore, from: Position): Promise<readonly Change[]> {
    const page = await store.changes(from, 100);
    if (page.kind === "gone") throw new Error("expected changes, the position is gone");
    return page.changes;
  }

  /** Writes a change as the store does; the test commits it later. */
  const hold = async (schema: string, taskId: number) => {
    const session = await admin.reserve();
    await session.unsafe("BEGIN");
    await session.unsafe(
      `WITH gate AS MATERIALIZED (SELECT ${schema}.gate()) INSERT INTO ${schema}.changes (n, entries) SELECT 1, '${taskId} 1 p+' FROM gate`,
    );
    const end = async (word: "COMMIT" | "ROLLBACK"): Promise<void> => {
      await session.unsafe(word);
      session.release();
    };
    return { commit: () => end("COMMIT"), rollback: () => end("ROLLBACK") };
  };

  test("gets the same epoch in all first reads, also if many begin at the same time", async () => {
    await withStore(async (store) => {
      // The first read learns which cluster this is. The others are sent before, while and after that is answered; no more, because
      // a limited number of calls may wait for the store.
      const reads: Promise<Position>[] = [];
      for (let n = 0; n < 30; n++) {
        reads.push(end(store));
        await new Promise((resolve) => setImmediate(resolve));
      }
      const epochs = new Set((await Promise.all(reads)).map(({ epoch }) => epoch));
      expect(epochs.size).toBe(1);
    });
  });

  test("waits for an open transaction whose batch has a lower number", async () => {
    await withStore(async (store, schema) => {
      const from = await end(store);
      const held = await hold(schema, 1_000);
      await add(store);
      const reading = read(store, from);
      await Promise.race([reading, Bun.sleep(50)]); // long enough for a reader that does not wait
      await held.commit();
      expect((await reading).map(({ id }) => id)).toEqual([1_000, 1]);
    });
  });

  test("continues when the transaction that it waited for was rolled back", async () => {
    await withStore(async (store, schema) => {
      const from = await end(store);
      const held = await hold(schema, 1_000);
      await add(store);
      const reading = read(store, from);
      await held.rollback();
      expect((await reading).map(({ id }) => id)).toEqual([1]);
      await add(store);
      expect((await read(store, from)).map(({ id }) => id)).toEqual([1, 2]);
    });
  });

  test("returns no end before which a change can still appear", async () => {
    await withStore(async (store, schema) => {
      const held = await hold(schema, 1_000);
      await add(store);
      const ending = end(store);
      await Promise.race([ending, Bun.sleep(50)]);
      await held.commit();
      const position = await ending;
      expect(await read(store, position)).toEqual([]);
      await add(store);
      expect((await read(store, position)).map(({ id }) => id)).toEqual([2]);
    });
  });

  test("does not wait for a long transaction of another program", async () => {
    await withStore(async (store) => {
      const stranger = await admin.reserve();
      await stranger.unsafe("BEGIN");
      await stranger
        .unsafe("CREATE TEMP TABLE strangers_own (n int) ON COMMIT DROP; SELECT pg_current_xact_id()")
        .simple();
      const from = await end(store);
      await add(store);
      expect((await read(store, from)).map(({ id }) => id)).toEqual([1]);
      await stranger.unsafe("ROLLBACK");
      stranger.release();
    });
  });

  test("gets `gone` for its position if the data has another epoch", async () => {
    await withStore(async (store, schema) => {
      const from = await end(store);
      await admin.unsafe(`UPDATE ${schema}.meta SET epoch = 'another'`);
      expect((await store.changes(from, 10)).kind).toBe("gone");
    });
  });

  test("keeps the changes of the last hour, and at least the last hundred thousand", async () => {
    await withStore(async (store, schema) => {
      const batches = (count: number, at: string): string =>
        `INSERT INTO ${schema}.changes (n, entries, at) SELECT 2, '1 1 p~;2 1 p~', ${at} FROM generate_series(1, ${count})`;
      await admin.unsafe(batches(52_500, "now() - interval '61 minutes'"));
      const pool = await openPool(setupOf(sharedPostgres()));
      const sql = (text: string): string => text.replaceAll("tasktrack.", `${schema}.`);
      const round = createRound({ session: pool, sql, random: () => 0.5 });
      await round();
      const kept = async (): Promise<number> =>
        (await admin.unsafe(`SELECT sum(n)::int AS count FROM ${schema}.changes`))[0].count;
      expect(await kept()).toBe(100_000);
      const { epoch } = await end(store);
      const at = (batch: number, place: number) => store.changes({ epoch, rev: batch * 16_384 + place }, 1);
      expect((await at(2_500, 1)).kind).toBe("gone");
      expect(await at(2_500, 2)).toMatchObject({ kind: "changes", changes: [{ id: 1 }] });
      await admin.unsafe(`UPDATE ${schema}.changes SET at = now(); ${batches(7, "now()")}`).simple();
      await round();
      expect(await kept()).toBe(100_014);
      await pool.close();
    });
  });
});

describe("housekeeping", () => {
  /** A clock whose timers never fire: the store's own rounds would take a part of the work that the tests count. */
  const clock: Clock = { ...systemClock, after: () => () => undefined };

  async function withRound(
    body: (store: TaskStore, schema: string, round: () => Promise<number>) => Promise<void>,
  ): Promise<void> {
    await withStore(
      async (store, schema) => {
        const pool = await openPool(setupOf(sharedPostgres()));
        const sql = (text: string): string => text.replaceAll("tasktrack.", `${schema}.`);
        try {
          await body(store, schema, createRound({ session: pool, sql, random: () => 0.5 }));
        } finally {
          await pool.close();
        }
      },
      { clock },
    );
  }

  const rowsIn = async (schema: string, table: string): Promise<number> =>
    (await admin.unsafe(`SELECT count(*)::int AS count FROM ${schema}.${table}`))[0].count;

  test("sums up the type counts, and a count at the same time gives the same numbers", async () => {
    await withRound(async (store, schema, round) => {
      await admin.unsafe(`INSERT INTO ${schema}.census (type, status, n)
        SELECT 'type' || g % 5, CASE g % 3 WHEN 0 THEN 'done' ELSE 'failed' END, 1 FROM generate_series(1, 30000) g;
        INSERT INTO ${schema}.census (type, status, n) VALUES ('gone', 'done', 1), ('gone', 'done', -1)`);
      const before = await store.typeCounts();
      expect(before.map(({ type }) => type)).toEqual(["type0", "type1", "type2", "type3", "type4"]);
      const rounds = (async () => {
        for (let n = 0; n < 8; n++) await round();
        return "done";
      })();
      while ((await Promise.race([rounds, store.typeCounts()])) !== "done") {
        expect(await store.typeCounts()).toEqual(before);
      }
      expect(await store.typeCounts()).toEqual(before);
      expect(await rowsIn(schema, "census")).toBe(10);
    });
  });

  test("runs again soon while there is much to sum up, and later while there is little", async () => {
    await withRound(async (store, schema, round) => {
      await admin.unsafe(
        `INSERT INTO ${schema}.census (type, status, n) SELECT 'a', 'done', 1 FROM generate_series(1, 15000)`,
      );
      expect(await round()).toBe(100);
      await round();
      expect(await round()).toBe(30_000);
      expect(await store.count({})).toBe(15_000);
    });
  });

  test.each([
    ["notes", "(name, value, version, until) SELECT 'n' || g, '', 1, 1"],
    ["idempotency", "(scope, key, fingerprint, tasks, until) SELECT '', 'k' || g, '', '[]', 1"],
  ])("runs again soon while many old rows of %s are left", async (table, rows) => {
    await withRound(async (_, schema, round) => {
      await admin.unsafe(`INSERT INTO ${schema}.${table} ${rows} FROM generate_series(1, 10001) g`);
      expect(await round()).toBe(100);
      expect(await round()).toBe(30_000);
      expect(await rowsIn(schema, table)).toBe(0);
    });
  });

  test("deletes the expired documents, and no others", async () => {
    await withRound(async (store, schema, round) => {
      const now = await store.now();
      const writes = [-60_000, -1, 60_000].map((ms) => ({ name: `n${ms}`, value: "", until: now + ms }));
      await store.writeDocuments(writes, now - 120_000);
      await round();
      expect(await rowsIn(schema, "notes")).toBe(1);
      expect((await store.readDocuments("", now - 120_000)).documents.map(({ name }) => name)).toEqual([
        "n60000",
      ]);
    });
  });
});

// ---- calls of several transactions

describe("if the server refuses a part of a call, the refusal proves that nothing was written", () => {
  /** Two tasks in a store that refuses the name "bad" and the document "call/bad". */
  const withRefusingStore = (
    body: (store: TaskStore, tasks: readonly Task[]) => Promise<void>,
  ): Promise<void> =>
    withStore(async (store, schema) => {
      for (let n = 0; n < 2; n++) await add(store);
      await admin.unsafe(`ALTER TABLE ${schema}.tasks ADD CHECK (name <> 'bad');
        ALTER TABLE ${schema}.notes ADD CHECK (name <> 'call/bad')`);
      const { tasks } = await store.list({ filter: {}, sort: "id", after: null, limit: 2 });
      await body(store, tasks);
    });
  const codeOf = async (call: Promise<unknown>): Promise<string> =>
    (await refusalOf(call)).split(":")[0] ?? "";
  const bad = { name: "call/bad", value: "", until: 2, now: 1 };
  const renamed = (task: Task, name: string) => ({ from: task, to: edit(task, { name }, 1) });

  test("for a single or first step, but not after a step that was written", async () => {
    await withRefusingStore(async (store, [a, b]) => {
      if (a === undefined || b === undefined) throw new Error("expected two tasks");
      expect(await codeOf(store.replace([{ ...renamed(b, "good"), once: bad }]))).toBe("store_rejected");
      expect(await codeOf(store.replace([renamed(a, "good"), renamed(b, "bad")]))).toBe("store_rejected");
      const tagged = { from: a, to: edit(a, { tags: ["x"] }, 1) };
      expect(await codeOf(store.replace([tagged, renamed(b, "bad")]))).toBe("store_unavailable");
      const [tagged1] = await store.get([a.id]);
      if (!tagged1) throw new Error("expected the task to exist");
      expect(tagged1.version).toBe(2);
      const call = store.replace([renamed(tagged1, "good"), { ...renamed(b, "good"), once: bad }]);
      expect(await codeOf(call)).toBe("store_unavailable");
      expect((await store.get([a.id, b.id])).map((task) => task?.version)).toEqual([3, 1]);
    });
  });

  test("for a single deletion, but not after a task that was deleted", async () => {
    await withRefusingStore(async (store, [a, b]) => {
      if (a === undefined || b === undefined) throw new Error("expected two tasks");
      expect(await codeOf(store.remove([{ id: b.id, once: bad }]))).toBe("store_rejected");
      expect(await codeOf(store.remove([{ id: a.id }, { id: b.id, once: bad }]))).toBe("store_unavailable");
      expect((await store.get([a.id, b.id])).map((task) => task?.id)).toEqual([undefined, b.id]);
    });
  });
});

// ---- connections

describe("behind PgBouncer", () => {
  test("the store detects the connection pooler", async () => {
    const pool = await openPool(setupOf(sharedPgbouncer()));
    expect(pool.isBounced).toBe(true);
    await pool.close();
    const direct = await openPool(setupOf(sharedPostgres()));
    expect(direct.isBounced).toBe(false);
    await direct.close();
  });
});

describe("when the server", () => {
  let server: PostgresServer;
  beforeAll(async () => {
    server = await createPostgres({ fsync: "off" });
    await server.start();
  });
  afterAll(() => server.remove());

  /** Calls until one is answered; every refusal before must be `store_unavailable`. */
  async function comesBack(store: TaskStore): Promise<void> {
    await soon("an answer", async () => {
      try {
        await store.now();
        return true;
      } catch (error) {
        expect(isTaskError(error, "store_unavailable")).toBe(true);
        return false;
      }
    });
  }

  /** Needs an own server: an old row version is removed at once only if no other transaction of the server may still see it. */
  test("runs nothing else, a heartbeat changes no index", async () => {
    const schema = uniqueName("own");
    const store = await openTestStore(`${server.url}?schema=${schema}`);
    const admin = new SQL(server.url, { max: 1, prepare: false });
    const now = await store.now();
    const drafts = Array.from({ length: 50 }, () => draft(now));
    await store.insert([{ drafts, idempotency: null }], now);
    const ask = { worker: "w", types: ["*"], max: 50, leaseMs: 30_000 };
    const [running = []] = await store.claim([ask], { now, nonce: "n" });
    const beats = running.map(({ id, token }: RunningTask) => ({ id, token, progress: null, log: [] }));
    const updates = async () => {
      const [row] = await admin.unsafe(
        `SELECT n_tup_upd::int AS all, n_tup_hot_upd::int AS hot FROM pg_stat_user_tables WHERE schemaname = '${schema}' AND relname = 'tasks'`,
      );
      return row as { all: number; hot: number };
    };
    for (let round = 1; round <= 10; round++) await store.extend(beats, now + round);
    await store.close(); // a session reports its statistics when it ends
    await soon("the statistics", async () => (await updates()).all >= 550);
    const { all, hot } = await updates();
    expect(all).toBe(550); // fifty claims, which change indexes, and the heartbeats
    expect(hot).toBeGreaterThan(450);
    await admin.close();
  });

  test("cuts all connections, the store works again, and its watchers are notified again", async () => {
    const store = await openTestStore(server.url);
    const peer = await openTestStore(server.url);
    let notifications = 0;
    store.watch(() => notifications++);
    const killer = new SQL(server.url, { max: 1 });
    await killer.unsafe(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tasktrack' AND pid <> pg_backend_pid()",
    );
    await killer.close();
    await comesBack(store);
    await comesBack(peer);
    const before = notifications;
    await soon("a notification of the other process", async () => {
      await add(peer).catch(() => undefined); // its connections are found dead one after the other
      return notifications > before;
    });
    await store.close();
    await peer.close();
  });

  for (const signal of ["SIGINT", "SIGKILL"] as const) {
    test(`is restarted after ${signal}, the store comes back by itself`, async () => {
      const store = await openTestStore(server.url);
      await add(store);
      const count = await store.count({});
      await server.signal(signal);
      // A session of a killed server may answer once more before it notices.
      await soon("a refusal", () =>
        store.now().then(
          () => false,
          (error) => isTaskError(error, "store_unavailable"),
        ),
      );
      await server.start();
      await comesBack(store);
      expect(await store.count({})).toBe(count);
      await store.close();
    });
  }

  test("is frozen, calls end at their deadline, and work again when it continues", async () => {
    const store = await openTestStore(server.url);
    await server.signal("SIGSTOP");
    const calls = Array.from({ length: 20 }, () => refusalOf(store.now()));
    expect((await Promise.all(calls)).every((line) => line.startsWith("store_unavailable"))).toBe(true);
    await server.signal("SIGCONT");
    await comesBack(store);
    await store.close();
  });
});
