/**
 * The stores of both sides of a benchmark. Their servers may run on every core: they are neither the server under test nor the load,
 * and both sides use them in the same way. Each is private and ends with the benchmark.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RedisClient, SQL } from "bun";
import { createPostgres } from "../test/support/servers/postgres.ts";
import { createRedis } from "../test/support/servers/redis.ts";
import type { TestServer } from "../test/support/servers/runner.ts";
import { exactCpuSecondsWithChildren, onEveryCore, parentOf } from "./machine.ts";

export interface Store {
  /** The name in tables. */
  readonly name: string;
  /** An empty store, as a STORE_URL. The previous one is removed, unless it is still in use. */
  empty(): Promise<string>;
  /** Resolves when the background work for earlier writes is finished. */
  settle(): Promise<void>;
  /** The processor time of all its processes; null if it has none. */
  cpuSeconds(): number | null;
  remove(): Promise<void>;
}

export interface PostgresStore extends Store {
  /** A connection to the database of the last `empty`. */
  sql(): SQL;
  cpuSeconds(): number;
}

const opened = new Set<{ remove(): Promise<void> }>();

/** Ends every remaining store, the latest first, so that no connection outlives its server. May be called twice. */
export const removeStores = async (): Promise<void> => {
  for (const store of [...opened].reverse()) {
    await store.remove();
  }
};

/** Ends with the benchmark, before those that were registered earlier. */
export const register = <S extends { remove(): Promise<void> }>(store: S): S => {
  const registered: S = {
    ...store,
    remove: async () => {
      opened.delete(registered);
      await store.remove();
    },
  };
  opened.add(registered);
  return registered;
};

export const started = async <S extends TestServer>(create: () => Promise<S>): Promise<S> => {
  const server = await create();
  register(server);
  await onEveryCore(() => server.start());
  return server;
};

/**
 * A PostgreSQL as Debian starts it, with fsync on and the default synchronous_commit, but with the memory and the size of
 * the log that are usual for a busy database.
 * @param settings more lines of postgresql.conf, by name
 */
export const startPostgres = async (
  settings: Readonly<Record<string, string>> = {},
): Promise<PostgresStore> => {
  const server = await started(() =>
    createPostgres({ shared_buffers: "1GB", max_wal_size: "8GB", checkpoint_timeout: "30min", ...settings }),
  );
  const admin = new SQL(server.url, { max: 1, idleTimeout: 0 });
  const [{ pid }] = (await admin`SELECT pg_backend_pid() AS pid`) as [{ pid: number }];
  const postmaster = parentOf(pid, "postgres");
  let databases = 0;
  let url = server.url;
  let current = admin;

  const empty = async (): Promise<string> => {
    await close();
    await admin.unsafe(`DROP DATABASE IF EXISTS bench_${databases} WITH (FORCE)`);
    databases += 1;
    await admin.unsafe(`CREATE DATABASE bench_${databases}`);
    url = server.url.replace(/\/postgres$/, `/bench_${databases}`);
    return url;
  };

  const close = async (): Promise<void> => {
    if (current !== admin) {
      await current.close();
    }
    current = admin;
  };

  const sql = (): SQL => {
    if (current === admin) {
      current = new SQL(url, { max: 1, idleTimeout: 0 });
    }
    return current;
  };

  return register({
    name: "PostgreSQL",
    empty,
    sql,
    settle: async () => {
      await sql().unsafe("VACUUM ANALYZE");
      await sql().unsafe("CHECKPOINT");
    },
    cpuSeconds: () => exactCpuSecondsWithChildren(postmaster),
    remove: async () => {
      await close();
      await admin.close();
      await server.remove();
    },
  });
};

/** A Redis that appends each write to its log, with an fsync once a second or for each write. */
export const startRedis = async (appendfsync: "everysec" | "always"): Promise<Store> => {
  const server = await started(() => createRedis({ appendfsync }));
  const admin = new RedisClient(server.url);
  const info = String(await admin.send("INFO", ["server"]));
  const pid = Number(/^process_id:(\d+)/m.exec(info)?.[1]);
  parentOf(pid, "redis-server");
  return register({
    name: `Redis, appendfsync ${appendfsync}`,
    empty: async () => {
      await admin.send("FLUSHALL", ["SYNC"]);
      return server.url;
    },
    settle: async () => undefined,
    cpuSeconds: () => exactCpuSecondsWithChildren(pid),
    remove: async () => {
      admin.close();
      await server.remove();
    },
  });
};

/** Files in the temporary folder, which should be on a disk. */
export const createFiles = (): Store => {
  const folder = mkdtempSync(join(tmpdir(), "tasktrack-bench-"));
  let files = 0;
  return register({
    name: "SQLite",
    empty: async () => {
      rmSync(join(folder, String(files)), { recursive: true, force: true });
      files += 1;
      mkdirSync(join(folder, String(files)));
      return `sqlite:${join(folder, String(files), "tasks.db")}`;
    },
    settle: async () => undefined,
    cpuSeconds: () => null,
    remove: async () => rmSync(folder, { recursive: true, force: true }),
  });
};
