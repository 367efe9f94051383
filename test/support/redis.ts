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

/** Deletes the key of this name, or all keys, of the store at this URL. */
export async function removeKeys(url: string, name = "*"): Promise<void> {
  const client = new RedisClient(url.split("?", 1)[0]);
  try {
    const keys = await client.keys(`{${new URL(url).searchParams.get("prefix")}}:${name}`);
    if (keys.length > 0) await client.unlink(...keys);
  } finally {
    client.close();
  }
}
