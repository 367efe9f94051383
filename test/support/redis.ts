import { RedisClient } from "bun";
import { isTaskError } from "../../src/core/error.ts";
import { create, type TaskSpec, TYPE_DEFAULTS } from "../../src/core/lifecycle.ts";
import type { RunningTask, TaskId } from "../../src/core/task.ts";
import { systemClock } from "../../src/lib/system-clock.ts";
import { DEADLINE_MS } from "../../src/store/redis/link.ts";
import type { ScriptBounds } from "../../src/store/redis/scripts.ts";
import { openRedisStore } from "../../src/store/redis/store.ts";
import type { StoreSetup } from "../../src/store/setup.ts";
import type { TaskStore } from "../../src/store/store.ts";
import { createTestLog, type TestLog } from "./engine.ts";
import { eventually } from "./eventually.ts";
import type { RedisServer } from "./servers/redis.ts";
import { tryWhereBusy } from "./stores.ts";

export const NOW = Date.UTC(2026, 0, 1);

/** Pauses are twenty times shorter. Deadlines are not shorter, because on a busy machine an answer may need them. */
export const HASTY: Partial<StoreSetup> = {
  clock: {
    ...systemClock,
    after: (delayMs, run) => systemClock.after(delayMs < DEADLINE_MS ? delayMs / 20 : delayMs, run),
  },
};

let count = 0;
const unique = (): string => `${process.pid}-${++count}`;

export type OpenedRedis = { readonly url: string; readonly store: TaskStore; readonly log: TestLog };

/** The setup of a Redis store, with real time. A URL without a prefix gets a unique one. */
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

export async function openRedis(
  url: string,
  more: Partial<StoreSetup> = {},
  bounds?: ScriptBounds,
): Promise<OpenedRedis> {
  const setup = redisSetup(url, more);
  return { url: setup.url, store: await tryWhereBusy(() => openRedisStore(setup, bounds)), log: setup.log };
}

/** Pauses before new attempts are twenty times shorter; deadlines are not, because a slow machine may need them. */
export const BRIEF_PAUSES: Partial<StoreSetup> = {
  clock: {
    ...systemClock,
    after: (delayMs, run) => systemClock.after(delayMs > 2_000 ? delayMs : delayMs / 20, run),
  },
};

export async function add(store: TaskStore, spec: Partial<TaskSpec> = {}): Promise<TaskId> {
  const draft = create({ name: "a task", ...spec }, TYPE_DEFAULTS, NOW);
  const [answer] = await store.insert([{ drafts: [draft], idempotency: null }], NOW);
  if (answer?.kind !== "created") throw new Error("expected the task to be created");
  return answer.tasks[0]?.id as TaskId; // one draft, one task
}

export async function claim(store: TaskStore): Promise<RunningTask> {
  const terms = { now: NOW, nonce: "n" };
  const [tasks] = await store.claim([{ worker: "w", types: ["*"], max: 1, leaseMs: 30_000 }], terms);
  const [task] = tasks ?? [];
  if (task === undefined) throw new Error("expected a task to be claimed");
  return task;
}

/** The error code of a refused call; "ok" if it is not refused. */
export const codeOf = (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => "ok",
    (error: unknown) => (isTaskError(error) ? error.code : String(error)),
  );

/** Waits until the store accepts a task; resolves with its id. */
export async function works(store: TaskStore): Promise<TaskId> {
  const attempt = () => add(store).catch(() => null);
  return Number(await eventually(attempt, (id) => id !== null));
}

/** One command to a server, on a connection of its own. */
export async function command({ url }: RedisServer, name: string, ...args: string[]): Promise<unknown> {
  const client = new RedisClient(url);
  try {
    return await client.send(name, args);
  } finally {
    client.close();
  }
}

/** The prefix of the store's keys. */
export const prefixOf = (url: string): string => `{${new URL(url).searchParams.get("prefix")}}:`;

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
  action: (client: RedisClient, prefix: string) => Promise<T>,
): Promise<T> {
  const client = new RedisClient(url.split("?", 1)[0]);
  try {
    return await action(client, prefixOf(url));
  } finally {
    client.close();
  }
}

/** The notifications of a store that has just subscribed. */
export async function watched(store: TaskStore): Promise<(readonly string[] | null)[]> {
  const notified: (readonly string[] | null)[] = [];
  store.watch((due) => notified.push(due));
  await eventually(
    () => notified.length,
    (count) => count > 0,
  );
  notified.length = 0;
  return notified;
}
