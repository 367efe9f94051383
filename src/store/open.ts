import { createMemoryStore } from "./memory/store.ts";
import type { MigrationPlan } from "./migrations.ts";
import type { StoreSetup } from "./setup.ts";
import type { TaskStore } from "./store.ts";

/**
 * An adapter: both functions reject with a TaskError whose message is one line for the operator, `store_unavailable` if
 * no server answers, `invalid` if the server or the file is unfit.
 */
type Adapter = {
  /** Connects, brings the schema up to date under a lock, checks that the store is fit. */
  readonly open: (setup: StoreSetup) => Promise<TaskStore>;
  /** What `open` would do to the schema; with `apply` the changes are made. */
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

/** Each adapter is loaded only when it is used. */
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
      throw new Error(`there is no store for ${scheme}:`); // config.ts has checked the scheme
  }
}

/** Opens the store that STORE_URL names. */
export const openStore = async (setup: StoreSetup): Promise<TaskStore> =>
  (await adapterOf(setup.url)).open(setup);

/** The migrations that the store's schema lacks; with `apply` they are carried out. */
export const migrateStore = async (setup: StoreSetup, apply: boolean): Promise<MigrationPlan> =>
  (await adapterOf(setup.url)).migrate(setup, apply);
