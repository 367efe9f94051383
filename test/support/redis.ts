import { RedisClient } from "bun";
import { systemClock } from "../../src/lib/system-clock.ts";
import type { StoreSetup } from "../../src/store/open.ts";
import { openRedisStore } from "../../src/store/redis/store.ts";
import type { TaskStore } from "../../src/store/store.ts";
import { createTestLog, type TestLog } from "./engine.ts";

let count = 0;
const unique = (): string => `${process.pid}-${++count}`;

export type OpenedRedis = { readonly url: string; readonly store: TaskStore; readonly log: TestLog };

/** What a Redis store needs, with real time. A URL without a prefix gets one that nobody else has. */
export function redisSetup(
  url: string,
  more: Partial<StoreSetup> = {},
): StoreSetup & { readonly log: TestLog } {
  return {
    url: url.includes("prefix=") ? url : `${url}?prefix=test-${unique()}`,
    clock: systemClock,
    random: () => 0.5,
    nonce: unique,
    worker: "test",
    allowVolatileRedis: false,
    ...more,
    log: createTestLog(),
  };
}

export async function openRedis(url: string, more: Partial<StoreSetup> = {}): Promise<OpenedRedis> {
  const setup = redisSetup(url, more);
  return { url: setup.url, store: await openRedisStore(setup), log: setup.log };
}

/** The names of the store's keys, without their prefix. */
export const keysOf = (url: string): Promise<string[]> =>
  onServer(url, async (client, prefix) => {
    const keys = await client.keys(`${prefix}*`);
    return keys.map((key) => key.slice(prefix.length)).sort();
  });

/** Deletes the key of this name, or all keys, of the store at this URL. */
export const removeKeys = (url: string, name = "*"): Promise<void> =>
  onServer(url, async (client, prefix) => {
    const keys = await client.keys(prefix + name);
    if (keys.length > 0) await client.unlink(...keys);
  });

async function onServer<T>(
  url: string,
  deed: (client: RedisClient, prefix: string) => Promise<T>,
): Promise<T> {
  const client = new RedisClient(url.split("?", 1)[0]);
  try {
    return await deed(client, `{${new URL(url).searchParams.get("prefix")}}:`);
  } finally {
    client.close();
  }
}
