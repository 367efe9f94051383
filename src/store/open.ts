import type { Clock } from "../core/clock.ts";
import type { Log } from "../lib/log.ts";
import { createMemoryStore } from "./memory/store.ts";
import type { MigrationPlan } from "./migrations.ts";
import type { TaskStore } from "./store.ts";

/** What a store needs of the world. */
export type StoreSetup = {
  /** STORE_URL; config has checked its form. */
  readonly url: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Draws from [0, 1). */
  readonly random: () => number;
  /** A short text that never comes twice. */
  readonly nonce: () => string;
  /** Names this process in the leases of its own pool. */
  readonly worker: string;
  readonly allowVolatileRedis: boolean;
};

/**
 * An adapter: both functions reject with a TaskError whose message is one line for the operator, `store_unavailable` where
 * nobody answers, `invalid` where what answers will not do.
 */
type Adapter = {
  /** Connects, brings the schema up to date under a lock, checks that the store is fit. */
  readonly open: (setup: StoreSetup) => Promise<TaskStore>;
  /** What `open` would do to the schema; with `apply` it is done. */
  readonly migrate: (setup: StoreSetup, apply: boolean) => Promise<MigrationPlan>;
};

const memory: Adapter = {
  open: async ({ clock, nonce }) => createMemoryStore({ clock, epoch: nonce() }),
  migrate: async () => ({ current: 0, pending: [] }),
};

async function sqlite(): Promise<Adapter> {
  const { openSqliteStore, migrateSqlite } = await import("./sqlite/store.ts");
  return { open: openSqliteStore, migrate: migrateSqlite };
}

async function postgres(): Promise<Adapter> {
  const { openPostgresStore, migratePostgres } = await import("./postgres/store.ts");
  return { open: openPostgresStore, migrate: migratePostgres };
}

async function redis(): Promise<Adapter> {
  const { openRedisStore, migrateRedis } = await import("./redis/store.ts");
  return { open: openRedisStore, migrate: migrateRedis };
}

/** Each adapter is loaded only where it is used. */
async function adapterOf(url: string): Promise<Adapter> {
  const [scheme] = url.split(":", 1);
  switch (scheme) {
    case "memory":
      return memory;
    case "sqlite":
      return sqlite();
    case "postgres":
    case "postgresql":
      return postgres();
    case "redis":
    case "rediss":
    case "valkey":
    case "valkeys":
      return redis();
    default:
      throw new Error(`there is no store for ${scheme}:`); // config knows the schemes
  }
}

/** Opens the store that STORE_URL names. */
export const openStore = async (setup: StoreSetup): Promise<TaskStore> =>
  (await adapterOf(setup.url)).open(setup);

/** Says what the store's schema lacks and, with `apply`, brings it. */
export const migrateStore = async (setup: StoreSetup, apply: boolean): Promise<MigrationPlan> =>
  (await adapterOf(setup.url)).migrate(setup, apply);
