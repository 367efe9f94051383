import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { RedisClient } from "bun";
import { add, openRedis, redisSetup } from "../../../test/support/redis.ts";
import { createRedis, createSentinel, type RedisServer } from "../../../test/support/servers/redis.ts";
import { freePort } from "../../../test/support/servers/runner.ts";
import { isTaskError, type TaskError } from "../../core/error.ts";
import type { StoreSetup } from "../setup.ts";
import { checkProduct, productOf } from "./fitness.ts";
import { migrateRedis } from "./store.ts";

let server: RedisServer;
let client: RedisClient;

beforeAll(async () => {
  server = await createRedis();
  await server.start();
  client = new RedisClient(server.url);
});

afterAll(async () => {
  await configure({ appendonly: "no" }); // a Redis that still writes its first log does not end on request
  client.close();
  await server.remove();
});

const FIT = {
  "maxmemory-policy": "noeviction",
  maxmemory: "0",
  appendonly: "yes",
  appendfsync: "everysec",
  save: "",
};

const configure = (settings: Record<string, string>) =>
  client.send("CONFIG", ["SET", ...Object.entries({ ...FIT, ...settings }).flat()]);

async function refusal(url: string, more: Partial<StoreSetup> = {}): Promise<TaskError> {
  try {
    await (await openRedis(url, more)).store.close();
  } catch (error) {
    if (isTaskError(error)) return error;
    throw error;
  }
  throw new Error("expected the store not to open");
}

/** The store's text about its durability, and the events that were logged while it opened. */
async function opening(url: string, more: Partial<StoreSetup> = {}) {
  const { store, log } = await openRedis(url, more);
  await store.close();
  return { durability: store.durability, events: log.events };
}

const VOLATILE: [string, Record<string, string>, string][] = [
  ["evicts", { "maxmemory-policy": "allkeys-lru" }, "maxmemory-policy allkeys-lru, not noeviction"],
  [
    "evicts keys that are about to expire",
    { "maxmemory-policy": "volatile-ttl" },
    "maxmemory-policy volatile-ttl",
  ],
  ["persists nothing", { appendonly: "no" }, "persists nothing (appendonly no, and no save points)"],
];

describe("a server that", () => {
  for (const [what, settings, words] of VOLATILE) {
    test(`${what} is refused with one line that names the remedy`, async () => {
      await configure(settings);
      const { code, message } = await refusal(server.url);
      expect(code).toBe("invalid");
      expect(message).toContain(words);
      expect(message).toContain("ALLOW_VOLATILE_REDIS=1");
      expect(message).not.toContain("\n");
    });

    test(`${what} is accepted with ALLOW_VOLATILE_REDIS, with a warning`, async () => {
      await configure(settings);
      expect((await opening(server.url, { allowVolatileRedis: true })).events).toEqual(["volatile_redis"]);
    });
  }

  test.each([
    ["appends with everysec", {}, "up to two seconds of answered writes may be lost (appendfsync everysec)"],
    ["appends always", { appendfsync: "always" }, "every answered write is on the disk"],
    ["appends with no", { appendfsync: "no" }, "some tens of seconds"],
    ["only saves snapshots", { appendonly: "no", save: "60 1" }, "since the last snapshot"],
  ])("%s has a text about the writes that a crash loses", async (_what, settings, words) => {
    await configure(settings);
    const { durability, events } = await opening(server.url);
    expect(durability).toMatch(/^Redis \d+\.\d+\.\d+: /);
    expect(durability).toContain(words);
    expect(events).toEqual([]);
  });

  describe("forbids CONFIG", () => {
    const managed = (): string => server.url.replace("://", "://managed:secret@");
    beforeAll(() =>
      client.send("ACL", ["SETUSER", "managed", "on", ">secret", "~*", "&*", "+@all", "-config"]),
    );

    test("is checked by its INFO", async () => {
      await configure({});
      expect((await opening(managed())).events).toEqual([]);
      await configure({ "maxmemory-policy": "allkeys-random" });
      expect((await refusal(managed())).message).toContain("allkeys-random");
    });

    test("and does not append is accepted with a warning, because it may save snapshots", async () => {
      await configure({ appendonly: "no", save: "60 1" });
      const { durability, events } = await opening(managed());
      expect(events).toEqual(["unknown_redis"]);
      expect(durability).toContain("does not report");
    });
  });

  test("forbids CONFIG and INFO is accepted with a warning", async () => {
    await client.send("ACL", ["SETUSER", "silent", "on", ">secret", "~*", "&*", "+@all", "-config", "-info"]);
    const { durability, events } = await opening(server.url.replace("://", "://silent:secret@"));
    expect(events).toEqual(["unknown_redis"]);
    expect(durability).toContain("does not report");
  });

  test("forbids commands of the store is refused", async () => {
    await client.send("ACL", ["SETUSER", "reader", "on", ">secret", "~*", "&*", "+@read", "+info"]);
    const { code, message } = await refusal(server.url.replace("://", "://reader:secret@"));
    expect(code).toBe("invalid");
    expect(message).toContain("NOPERM");
  });

  test("forbids the store's channel is refused; one that forbids it later still takes tasks", async () => {
    await configure({});
    const user = ["SETUSER", "quiet", "on", ">secret", "~*", "+@all"];
    await client.send("ACL", [...user, "resetchannels"]);
    const url = `${server.url.replace("://", "://quiet:secret@")}?prefix=quiet`;
    const { code, message } = await refusal(url);
    expect(code).toBe("invalid");
    expect(message).toContain("ACL SETUSER … &{quiet}:rings");
    expect(message).not.toContain("\n");

    await client.send("ACL", [...user, "&{quiet}:rings"]);
    const { store } = await openRedis(url);
    await client.send("ACL", [...user, "resetchannels"]);
    expect(await add(store)).toBe(1);
    await store.close();
  });

  test("is a Sentinel is refused, and the error asks for the primary", async () => {
    const sentinel = await createSentinel(server);
    await sentinel.start();
    const { code, message } = await refusal(sentinel.url);
    expect(code).toBe("invalid");
    expect(message).toBe(
      "STORE_URL: this is a Sentinel, which keeps no data; name the address of the primary that it watches",
    );
    await sentinel.remove();
  });

  test("does not accept the password is refused", async () => {
    await configure({});
    const { code, message } = await refusal(server.url.replace("://", "://nobody:wrong@"));
    expect(code).toBe("store_unavailable");
    expect(message).toContain("does not accept the user, password or database");
  });

  test("does not exist is refused, and the error has the address", async () => {
    const port = await freePort();
    const { code, message } = await refusal(`redis://127.0.0.1:${port}`);
    expect(code).toBe("store_unavailable");
    expect(message).toContain(`127.0.0.1:${port}`);
  });

  test("does not have the database is refused", async () => {
    await configure({});
    expect((await refusal(`${server.url}/99`)).code).toBe("store_unavailable");
  });
});

test.each([
  [{ redis_version: "7.0.15" }, "Redis", "7.0.15"],
  [{ redis_version: "7.2.4", server_name: "valkey", valkey_version: "8.1.3" }, "Valkey", "8.1.3"],
  [{ redis_version: "6.3.4", executable: "/usr/bin/keydb-server", mvcc_depth: "0" }, "KeyDB", "6.3.4"],
  [{}, "Redis", "unknown"],
])("a server whose INFO has %o is %s %s", (info, product, version) => {
  expect(productOf(info)).toEqual({ product, version });
});

test("the refusal of KeyDB names that product", () => {
  const [product, version] = ["KeyDB", "6.3.4"];
  const unknown = {
    mode: "standalone",
    isReplica: false,
    eviction: null,
    appends: null,
    fsync: null,
    savesSnapshots: null,
  } as const;
  expect(() => checkProduct({ product, version, ...unknown })).toThrow(
    "STORE_URL: this is KeyDB 6.3.4; it takes Redis 7 or later, or Valkey",
  );
});

describe("the schema", () => {
  test("is planned, migrated and then up to date", async () => {
    await configure({});
    const setup = redisSetup(server.url);
    const numbers = async (apply: boolean) => {
      const { current, pending } = await migrateRedis(setup, apply);
      return [current, ...pending.map(({ number }) => number)];
    };
    expect(await numbers(false)).toEqual([0, 1, 2]);
    expect(await numbers(true)).toEqual([0, 1, 2]);
    expect(await numbers(true)).toEqual([2]);
  });

  test("of a newer program is refused and not changed", async () => {
    const { url } = redisSetup(server.url);
    const serverKey = `{${new URL(url).searchParams.get("prefix")}}:house`;
    await client.hset(serverKey, "schema", "99");
    const { code, message } = await refusal(url);
    expect(code).toBe("invalid");
    expect(message).toContain("number 99");
    expect(await client.hgetall(serverKey)).toEqual({ schema: "99" });
  });
});
