import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createServerOf, findBinary, type TestServer } from "./runner.ts";

export interface RedisServer extends TestServer {
  readonly url: string;
}

/**
 * A Redis of its own that appends every write to its log on disk and evicts nothing.
 * @param settings options of redis.conf, by name
 * @param program the path of the server, if it is not the one on the PATH
 */
export async function createRedis(
  settings: Readonly<Record<string, string>> = {},
  program: string | null = null,
): Promise<RedisServer> {
  const all: Record<string, string> = {
    appendonly: "yes",
    appendfsync: "everysec",
    "maxmemory-policy": "noeviction",
    save: "",
    ...settings,
  };
  const options = Object.entries(all).flatMap(([name, value]) => [`--${name}`, value]);
  const server = await createServerOf({
    name: "redis",
    debianPackage: "redis-server",
    find: () => program ?? findBinary("redis-server") ?? findBinary("valkey-server"),
    account: null,
    stopSignal: "SIGTERM",
    prepare: async () => undefined,
    args: ({ directory, port }) => [
      ...["--port", String(port), "--bind", "127.0.0.1", "--dir", directory, "--daemonize", "no"],
      ...options,
    ],
    composeEnv: () => ({ REDIS_ARGS: options.join(" ") }),
  });
  return { ...server, url: `redis://127.0.0.1:${server.port}` };
}

/** A Sentinel that watches this server. */
export async function createSentinel(primary: RedisServer): Promise<RedisServer> {
  const server = await createServerOf({
    name: "redis",
    debianPackage: "redis-server",
    find: () => findBinary("redis-server") ?? findBinary("valkey-server"),
    account: null,
    stopSignal: "SIGTERM",
    prepare: async ({ directory, port }) => {
      const lines = [`port ${port}`, "bind 127.0.0.1", `sentinel monitor main 127.0.0.1 ${primary.port} 1`];
      await writeFile(join(directory, "sentinel.conf"), `${lines.join("\n")}\n`);
    },
    args: ({ directory }) => [join(directory, "sentinel.conf"), "--sentinel"],
    composeEnv: () => {
      throw new Error("a Sentinel needs Redis on the machine: compose cannot run it");
    },
  });
  return { ...server, url: `redis://127.0.0.1:${server.port}` };
}
