/** The stores of these tests: an own file or server, or a schema or prefix on the shared servers. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RedisClient, SQL } from "bun";
import { removeKeys } from "../support/redis.ts";
import { createPostgres } from "../support/servers/postgres.ts";
import { createRedis } from "../support/servers/redis.ts";
import { sharedPostgres, sharedRedis } from "../support/servers/shared.ts";
import { uniqueName } from "../support/stores.ts";

export interface Place {
  readonly storeUrl: string;
  remove(): Promise<void>;
}

/** A store whose server the test may stop and disconnect. */
export interface ServedPlace extends Place {
  /** Stops it cleanly, or by SIGKILL. */
  end(how: "fast" | "kill"): Promise<void>;
  /** Starts it again on its data; resolves when it answers. */
  start(): Promise<void>;
  freeze(): Promise<void>;
  thaw(): Promise<void>;
  /** The server cuts every connection of its clients, at once. */
  cutConnections(): Promise<void>;
}

export type ServerName = "PostgreSQL" | "Redis";

/** The stores that processes share. */
export const SHARED: readonly ServerName[] = ["PostgreSQL", "Redis"];
export type DurableName = ServerName | "SQLite";
export const DURABLE: readonly DurableName[] = ["SQLite", ...SHARED];

/** An empty store that no other test uses. */
export function corner(name: ServerName): Place {
  const own = uniqueName("chaos");
  if (name === "PostgreSQL") {
    const storeUrl = `${sharedPostgres()}?schema=${own}&connections=4`;
    return { storeUrl, remove: () => once(sharedPostgres(), `DROP SCHEMA IF EXISTS ${own} CASCADE`) };
  }
  const storeUrl = `${sharedRedis()}?prefix=${own}`;
  return { storeUrl, remove: () => removeKeys(storeUrl) };
}

/** A store that writes every acknowledged write to disk. */
export async function durablePlace(name: DurableName): Promise<Place> {
  if (name !== "SQLite") return servedPlace(name);
  const home = await mkdtemp(join(tmpdir(), "tasktrack-chaos-"));
  return { storeUrl: `sqlite:${join(home, "tasks.db")}`, remove: () => rm(home, { recursive: true }) };
}

/** A server for one test, which writes every acknowledged write to disk. */
export async function servedPlace(name: ServerName): Promise<ServedPlace> {
  const server =
    name === "PostgreSQL" ? await createPostgres() : await createRedis({ appendfsync: "always" });
  await server.start();
  const cut = name === "PostgreSQL" ? cutPostgres : cutRedis;
  return {
    storeUrl: server.url,
    end: (how) => server.signal(how === "kill" ? "SIGKILL" : orderly(name)),
    start: () => server.start(),
    freeze: () => server.signal("SIGSTOP"),
    thaw: () => server.signal("SIGCONT"),
    cutConnections: () => cut(server.url),
    remove: () => server.remove(),
  };
}

/** PostgreSQL's fast shutdown, which cuts its sessions; Redis has only one kind. */
const orderly = (name: ServerName): NodeJS.Signals => (name === "PostgreSQL" ? "SIGINT" : "SIGTERM");

const cutPostgres = (url: string): Promise<void> =>
  once(
    url,
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND application_name = 'tasktrack'",
  );

async function cutRedis(url: string): Promise<void> {
  const client = new RedisClient(url);
  try {
    for (const type of ["normal", "pubsub"]) await client.send("CLIENT", ["KILL", "TYPE", type]);
  } finally {
    client.close();
  }
}

async function once(url: string, statement: string): Promise<void> {
  const sql = new SQL(url, { max: 1, prepare: false });
  try {
    await sql.unsafe(statement);
  } finally {
    await sql.close();
  }
}
