import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { BouncerServer, PostgresServer } from "./postgres.ts";
import { createServerOf, findBinary, freePort } from "./runner.ts";

/** A pgpool-II in front of one PostgreSQL. */
export async function createPgpool(postgres: Pick<PostgresServer, "port" | "url">): Promise<BouncerServer> {
  const pcpPort = await freePort();
  const server = await createServerOf({
    name: "pgpool",
    debianPackage: "pgpool2",
    find: () => findBinary("pgpool"),
    account: "postgres",
    stopSignal: "SIGINT",
    prepare: async ({ directory, port }) => {
      const settings = {
        backend_clustering_mode: "'raw'",
        listen_addresses: "'127.0.0.1'",
        port,
        pcp_port: pcpPort,
        ...Object.fromEntries(
          ["unix_socket_directories", "pcp_socket_dir", "wd_ipc_socket_dir", "logdir"].map((name) => [
            name,
            `'${directory}'`,
          ]),
        ),
        pid_file_name: `'${join(directory, "pgpool.pid")}'`,
        backend_hostname0: "'127.0.0.1'",
        backend_port0: postgres.port,
        backend_flag0: "'ALWAYS_PRIMARY'",
        num_init_children: 40,
        health_check_period: 0,
        sr_check_period: 0,
      };
      const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}\n`);
      await writeFile(join(directory, "pgpool.conf"), lines.join(""));
    },
    args: ({ directory }) => ["-n", "-f", join(directory, "pgpool.conf")],
    composeEnv: () => {
      throw new Error("pgpool needs its program on the machine: install Debian's pgpool2");
    },
  });
  return { ...server, url: postgres.url.replace(String(postgres.port), String(server.port)) };
}
