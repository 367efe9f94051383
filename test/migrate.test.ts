/** `tasktrack migrate`: prints or applies the migrations that a start would apply. */
import { Database } from "bun:sqlite";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RedisClient, SQL } from "bun";
import { corner } from "./chaos/places.ts";
import { populate, readAll } from "./support/populate.ts";
import { keysOf } from "./support/redis.ts";
import { type Ended, killLeftovers, tasktrack } from "./support/server-process.ts";
import { sharedPostgres, sharedRedis } from "./support/servers/shared.ts";
import { openTestStore } from "./support/stores.ts";

/** The URL of a store, and its state and changes as by another program. */
type Place = {
  readonly storeUrl: string;
  /** Whether the store does not exist. */
  isEmpty(): Promise<boolean>;
  /** Changes the schema number as a later version of this program would do. */
  makeNewer(): Promise<unknown>;
  remove(): Promise<unknown>;
};

let home = "";
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "tasktrack-migrate-"));
});
afterAll(async () => {
  killLeftovers();
  await rm(home, { recursive: true });
});

let files = 0;

function sqlitePlace(): Place {
  const path = join(home, `${++files}.db`);
  return {
    storeUrl: `sqlite:${path}`,
    isEmpty: async () => !existsSync(path),
    makeNewer: async () => {
      using db = new Database(path);
      db.run("PRAGMA user_version = 99");
    },
    remove: async () => undefined, // it is removed with the folder
  };
}

function postgresPlace(): Place {
  const place = corner("PostgreSQL");
  const schema = new URL(place.storeUrl).searchParams.get("schema");
  const ask = async (statement: string): Promise<unknown[]> => {
    const sql = new SQL(sharedPostgres(), { max: 1 });
    try {
      return await sql.unsafe(statement);
    } finally {
      await sql.close();
    }
  };
  return {
    ...place,
    isEmpty: async () => (await ask(`SELECT FROM pg_namespace WHERE nspname = '${schema}'`)).length === 0,
    makeNewer: () => ask(`INSERT INTO ${schema}.migrations (number, name) VALUES (99, 'of a later version')`),
  };
}

function redisPlace(): Place {
  const place = corner("Redis");
  const prefix = new URL(place.storeUrl).searchParams.get("prefix");
  return {
    ...place,
    isEmpty: async () => (await keysOf(place.storeUrl)).length === 0,
    makeNewer: async () => {
      const client = new RedisClient(sharedRedis());
      await client.hset(`{${prefix}}:house`, "schema", "99");
      client.close();
    },
  };
}

const migrate = (args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ended> =>
  tasktrack(["migrate", ...args], { cwd: home, env }).ended;

/** The output of a command that succeeds. */
async function outputOf(args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await migrate(args);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout.replaceAll("\n", "")).not.toMatch(/\p{Cc}/u);
  return stdout;
}

describe.each([
  ["SQLite", sqlitePlace, 2],
  ["PostgreSQL", postgresPlace, 8],
  ["Redis", redisPlace, 2],
] as const)("migrate on %s", (name, placeOf, newest) => {
  let place: Place;
  beforeAll(() => {
    place = placeOf();
  });
  afterAll(() => place.remove());

  test("--dry-run prints the missing migrations, and changes nothing", async () => {
    const args = ["--dry-run", "--store", place.storeUrl];
    const first = await outputOf(args);
    expect(first.split("\n")[0]).toBe(`${place.storeUrl} has schema number 0`);
    expect(first).toMatch(/^ {2}would apply 1: tasks/m);
    expect(first.includes("\n-- 1\n")).toBe(name !== "Redis"); // Redis needs no script
    expect(await outputOf(args)).toBe(first);
    expect(await place.isEmpty()).toBe(true);
  });

  test("applies the migrations, once", async () => {
    const args = ["--store", place.storeUrl];
    expect(await outputOf(args)).toMatch(
      / had schema number 0\n {2}applied 1: tasks[^\n]*\n( {2}applied \d+: [^\n]*\n)*$/,
    );
    expect(await place.isEmpty()).toBe(false);
    const upToDate = `${place.storeUrl} has schema number ${newest}\n  up to date\n`;
    expect(await outputOf(args)).toBe(upToDate);
    expect(await outputOf(["--dry-run", ...args])).toBe(upToDate);
  });

  test("leaves the tasks of a store that is up to date as they are", async () => {
    const store = await openTestStore(place.storeUrl);
    await populate(store, 30);
    const all = await readAll(store);
    const { position } = await store.changes(null, 1);
    await store.close();
    await outputOf(["--store", place.storeUrl]);
    const again = await openTestStore(place.storeUrl);
    expect(await readAll(again)).toStrictEqual(all);
    expect((await again.changes(null, 1)).position).toEqual(position);
    await again.close();
  });

  test("has nothing to do after a start", async () => {
    const other = placeOf();
    await (await openTestStore(other.storeUrl)).close();
    expect(await outputOf(["--store", other.storeUrl])).toEndWith("\n  up to date\n");
    await other.remove();
  });

  test("is refused with one line if the schema is newer", async () => {
    await place.makeNewer();
    const newer = `the store's schema has number 99, this program knows numbers up to ${newest}; use a newer TaskTrack`;
    for (const args of [[], ["--dry-run"]]) {
      const { code, stdout, stderr } = await migrate([...args, "--store", place.storeUrl]);
      expect({ code, stdout, stderr }).toEqual({
        code: 1,
        stdout: "",
        stderr: `tasktrack: STORE_URL: ${newer}\n`,
      });
    }
    const copy = await tasktrack(["copy", "--from", place.storeUrl, "--to", "sqlite:none.db"], { cwd: home })
      .ended;
    expect({ code: copy.code, stderr: copy.stderr }).toEqual({
      code: 1,
      stderr: `tasktrack: --from: ${newer}\n`,
    });
    expect(existsSync(join(home, "none.db"))).toBe(false);
  });
});

describe("migrate", () => {
  test("uses the store of STORE_URL, and has nothing to do for memory", async () => {
    const { storeUrl, isEmpty } = sqlitePlace();
    const { code, stdout } = await migrate([], { STORE_URL: storeUrl });
    expect({ code, stdout }).toMatchObject({ code: 0, stdout: expect.stringContaining(storeUrl) });
    expect(await isEmpty()).toBe(false);
    expect(await outputOf([])).toBe("memory: has schema number 0\n  up to date\n");
  });

  test.each([
    ["an unknown store", ["--store", "mysql://u:secret@host/db"], /^tasktrack: STORE_URL: .*:\*\*\*@host/],
    ["an unknown flag", ["--force"], /--force/],
  ])("is refused in one line with %s", async (_case, args, line) => {
    const { code, stdout, stderr } = await migrate(args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toMatch(/^tasktrack: [^\n]+\n$/);
    expect(stderr).toMatch(line);
    expect(stderr).not.toContain("secret");
  });

  test.each([
    "postgres://u:secret@127.0.0.1:1/db",
    "redis://u:secret@127.0.0.1:1",
    "sqlite:no/such/folder/a.db",
  ])("reports in one line that %s cannot be reached", async (url) => {
    const { code, stdout, stderr } = await migrate(["--store", url]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toMatch(/^tasktrack: STORE_URL: [^\n]+\n$/);
    expect(stderr).not.toContain("secret");
  });
});
