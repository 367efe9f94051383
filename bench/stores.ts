/**
 * The servers and files that both sides of a benchmark keep their tasks in. They may run on every core: they are neither the
 * server under test nor the load, and where they run is the same for both sides. Each is private and ends with the bench.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RedisClient, SQL } from "bun";
import { createPostgres } from "../test/support/servers/postgres.ts";
import { createRedis } from "../test/support/servers/redis.ts";
import type { TestServer } from "../test/support/servers/runner.ts";
import { cpuSeconds, cpuSecondsWithChildren, onEveryCore, parentOf } from "./machine.ts";

export interface Store {
  /** The words in tables. */
  readonly name: string;
  /** An empty place to keep tasks in, as a STORE_URL. What was there before is gone, unless it is still in use. */
  empty(): Promise<string>;
  /** Nothing of what was written so far is left to be done in the background. */
  settle(): Promise<void>;
  /** What all its processes have used; null where it has none. */
  cpuSeconds(): number | null;
  remove(): Promise<void>;
}

export interface PostgresStore extends Store {
  /** Speaks to the database of the last `empty`. */
  sql(): SQL;
  cpuSeconds(): number;
}

const opened = new Set<{ remove(): Promise<void> }>();

/** Ends every store that is still there, the latest first, so that no connection outlives its server; safe twice. */
export const removeStores = async (): Promise<void> => {
  for (const store of [...opened].reverse()) {
    await store.remove();
  }
};

/** Ends with the bench, before what was registered earlier. */
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
 * A PostgreSQL as Debian starts it, with fsync on and the default synchronous_commit, but with the memory and the room for
 * its log that one gives to a database with work to do.
 * @param settings more lines of postgresql.conf, by name
 */
export const startPostgres = async (
  settings: Readonly<Record<string, string>> = {},
): Promise<PostgresStore> => {
  const server = await started(() =>
    createPostgres({ shared_buffers: "1GB", max_wal_size: "8GB", checkpoint_timeout: "30min", ...settings }),
  );
  const house = new SQL(server.url, { max: 1, idleTimeout: 0 });
  const [{ pid }] = (await house`SELECT pg_backend_pid() AS pid`) as [{ pid: number }];
  const postmaster = parentOf(pid, "postgres");
  let databases = 0;
  let url = server.url;
  let current = house;

  const empty = async (): Promise<string> => {
    await close();
    await house.unsafe(`DROP DATABASE IF EXISTS bench_${databases} WITH (FORCE)`);
    databases += 1;
    await house.unsafe(`CREATE DATABASE bench_${databases}`);
    url = server.url.replace(/\/postgres$/, `/bench_${databases}`);
    return url;
  };

  const close = async (): Promise<void> => {
    if (current !== house) {
      await current.close();
    }
    current = house;
  };

  const sql = (): SQL => {
    if (current === house) {
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
    cpuSeconds: () => cpuSecondsWithChildren(postmaster),
    remove: async () => {
      await close();
      await house.close();
      await server.remove();
    },
  });
};

/** A Redis that appends each write to its log, which it takes to the disk once a second or always. */
export const startRedis = async (appendfsync: "everysec" | "always"): Promise<Store> => {
  const server = await started(() => createRedis({ appendfsync }));
  const house = new RedisClient(server.url);
  const info = String(await house.send("INFO", ["server"]));
  const pid = Number(/^process_id:(\d+)/m.exec(info)?.[1]);
  parentOf(pid, "redis-server");
  return register({
    name: `Redis, appendfsync ${appendfsync}`,
    empty: async () => {
      await house.send("FLUSHALL", ["SYNC"]);
      return server.url;
    },
    settle: async () => undefined,
    cpuSeconds: () => cpuSeconds(pid),
    remove: async () => {
      house.close();
      await server.remove();
    },
  });
};

/** Files in the folder for temporary ones, which should be on a disk. */
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
