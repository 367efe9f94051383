import { appendFile, chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { SQL } from "bun";
import { type EmbeddedVersion, embeddedPostgres } from "./embedded-postgres.ts";
import { createServerOf, findBinary, postgresFolders, type TestServer } from "./runner.ts";

export interface PostgresServer extends TestServer {
  readonly url: string;
  /** Restarts it as a standby, which has no primary and accepts no writes. */
  demote(): Promise<void>;
  /** Restarts it as a standby that becomes the primary, as after a failover: on a new timeline. */
  promote(): Promise<void>;
}

const USER = "tasktrack";

/**
 * A PostgreSQL of its own.
 * @param settings lines of postgresql.conf, by name; without `fsync: off` every commit is written to disk
 * @param version Debian's by default
 */
export const createPostgres = (
  settings: Readonly<Record<string, string>> = {},
  version: EmbeddedVersion | null = null,
): Promise<PostgresServer> => createCluster(settings, null, version);

/**
 * A standby with the present data of the primary. After its start it follows the primary, which it reaches at `port`, and becomes
 * the primary after pg_promote().
 */
export async function createStandby(
  primary: PostgresServer,
  port: number,
  settings: Readonly<Record<string, string>> = {},
): Promise<PostgresServer> {
  if (postgresTool("postgres") === null)
    throw new Error("A standby of PostgreSQL needs PostgreSQL on the machine: compose cannot run it");
  const following = { primary_conninfo: `host=127.0.0.1 port=${port} user=${USER}` };
  return createCluster({ ...settings, ...following }, primary);
}

async function createCluster(
  settings: Readonly<Record<string, string>>,
  primary: PostgresServer | null,
  version: EmbeddedVersion | null = null,
): Promise<PostgresServer> {
  const all: Record<string, string> = { max_connections: "200", log_min_messages: "fatal", ...settings };
  let data = "";
  const server = await createServerOf({
    name: "postgres",
    debianPackage: "postgresql",
    find: () => (version === null ? findBinary("postgres", postgresFolders()) : embeddedPostgres(version)),
    account: "postgres",
    stopSignal: "SIGINT", // fast shutdown: sessions are ended, and the data is complete
    prepare: async ({ directory, binary, port, run }) => {
      data = join(directory, "data");
      if (primary === null) {
        const initdb = join(binary, "../initdb");
        run(initdb, ["-D", data, "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]);
      } else {
        const source = ["-h", "127.0.0.1", "-p", String(primary.port), "-U", USER];
        run(join(binary, "../pg_basebackup"), ["-D", data, ...source, "-c", "fast", "--no-sync"]);
        await makeStandby(data);
      }
      const lines = Object.entries({
        port: String(port),
        listen_addresses: "127.0.0.1",
        unix_socket_directories: "",
        ...all,
      }).map(([name, value]) => `${name} = '${value}'\n`);
      await appendFile(join(data, "postgresql.conf"), lines.join(""));
    },
    args: ({ directory }) => ["-D", join(directory, "data")],
    composeEnv: () => ({
      POSTGRES_VERSION: String(version ?? 15),
      POSTGRES_ARGS: Object.entries(all)
        .map(([name, value]) => `-c ${name}=${value}`)
        .join(" "),
    }),
  });
  const url = `postgres://${USER}@127.0.0.1:${server.port}/postgres`;
  const start = (): Promise<void> => server.start().then(() => takesQueries(url));
  async function demote(): Promise<void> {
    if (data === "")
      throw new Error("Only a PostgreSQL on the machine can become a standby: compose cannot run it");
    await server.signal("SIGINT");
    await makeStandby(data);
    await start();
  }
  return {
    ...server,
    url,
    start,
    demote,
    promote: async () => {
      await demote();
      const sql = new SQL(url, { max: 1 });
      await sql.unsafe("SELECT pg_promote()");
      await sql.close();
    },
  };
}

async function makeStandby(data: string): Promise<void> {
  const standby = join(data, "standby.signal");
  await writeFile(standby, "");
  await chmod(standby, 0o666); // the account of the server must open it
}

/** The port is open while the server still recovers. */
async function takesQueries(url: string): Promise<void> {
  for (let tries = 0; ; tries++) {
    const sql = new SQL(url, { max: 1 });
    try {
      await sql.unsafe("SELECT 1");
      return;
    } catch (error) {
      if (tries === 1_000) throw error;
      await Bun.sleep(20);
    } finally {
      await sql.close();
    }
  }
}

export interface BouncerServer extends TestServer {
  readonly url: string;
}

/**
 * A PgBouncer in transaction mode in front of a PostgreSQL.
 * @param settings lines of pgbouncer.ini, by name
 */
export async function createPgbouncer(
  postgres: Pick<PostgresServer, "port">,
  settings: Readonly<Record<string, string>> = {},
): Promise<BouncerServer> {
  const server = await createServerOf({
    name: "pgbouncer",
    debianPackage: "pgbouncer",
    find: () => findBinary("pgbouncer"),
    account: "postgres",
    stopSignal: "SIGTERM",
    prepare: async ({ directory, port }) => {
      await writeFile(join(directory, "users.txt"), `"${USER}" ""\n`);
      await writeFile(
        join(directory, "pgbouncer.ini"),
        `[databases]
* = host=127.0.0.1 port=${postgres.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = trust
auth_file = ${join(directory, "users.txt")}
pool_mode = transaction
max_client_conn = 500
default_pool_size = 20
${Object.entries(settings)
  .map(([name, value]) => `${name} = ${value}\n`)
  .join("")}`,
      );
    },
    args: ({ directory }) => ["-q", join(directory, "pgbouncer.ini")],
    composeEnv: () => ({ POSTGRES_PORT: String(postgres.port) }),
  });
  const url = `postgres://${USER}@127.0.0.1:${server.port}/postgres`;
  return { ...server, url, start: () => server.start().then(() => takesQueries(url)) };
}

/** The path of a program of PostgreSQL, if it is on this machine. */
export const postgresTool = (name: string): string | null => findBinary(name, postgresFolders());
