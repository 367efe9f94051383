import { afterAll, beforeAll, expect, test } from "bun:test";
import { RedisClient } from "bun";
import { openRedis } from "../../../test/support/redis.ts";
import { sharedRedis } from "../../../test/support/servers/shared.ts";
import { create, TYPE_DEFAULTS } from "../../core/lifecycle.ts";
import type { TaskStore } from "../store.ts";

const HOUR_MS = 3_600_000;
const LAST = 300_000;

let store: TaskStore;
let client: RedisClient;
let prefix: string;

beforeAll(async () => {
  const opened = await openRedis(sharedRedis());
  store = opened.store;
  prefix = `{${new URL(opened.url).searchParams.get("prefix")}}:`;
  client = new RedisClient(sharedRedis());
});

afterAll(async () => {
  await store.close();
  await client.unlink(...(await client.keys(`${prefix}*`)));
  client.close();
});

const revs = async (): Promise<number[]> => {
  const entries = await client.send("XRANGE", [`${prefix}changes`, "-", "+"]);
  return (entries as [string, string[]][]).map(([id]) => Number.parseInt(id, 10)); // as XRANGE answers
};

/** One script's changes, the last of which has this rev. */
const append = (rev: number, at: number): Promise<unknown> =>
  client.send("XADD", [`${prefix}changes`, `${rev}-0`, "at", String(at), "n", "1", "c", "1 1 p+"]);

async function commit(): Promise<void> {
  const draft = create({ name: "a task" }, TYPE_DEFAULTS, 0);
  await store.insert([{ drafts: [draft], idempotency: null }], 0);
}

test("each commit deletes up to two entries that are an hour old and not among the last hundred thousand changes", async () => {
  const now = await store.now();
  await client.hset(`${prefix}house`, "rev", String(LAST));
  const old = [100_000, 150_000, 180_000];
  for (const rev of [...old, 250_000]) await append(rev, now - HOUR_MS - 1_000);
  await commit();
  expect(await revs()).toEqual([180_000, 250_000, LAST + 1]);
  await commit();
  expect(await revs()).toEqual([250_000, LAST + 1, LAST + 2]);
  await commit();
  expect(await revs()).toEqual([250_000, LAST + 1, LAST + 2, LAST + 3]);
});

test("the change log keeps changes of the last hour that are not among the last hundred thousand", async () => {
  await client.unlink(`${prefix}changes`);
  await client.hset(`${prefix}house`, "rev", String(LAST));
  await append(100, (await store.now()) - HOUR_MS + 10_000);
  await commit();
  expect(await revs()).toEqual([100, LAST + 1]);
});
