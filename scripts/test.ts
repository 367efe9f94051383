/**
 * `npm test [-- arguments of bun test]`: brings up the servers that the stores are examined on, runs the tests, and takes
 * the servers away again. A server whose URL is in the environment already is used as it is.
 */
import { availableParallelism } from "node:os";
import { createPgbouncer, createPostgres } from "../test/support/servers/postgres.ts";
import { createRedis } from "../test/support/servers/redis.ts";
import type { TestServer } from "../test/support/servers/runner.ts";

/** Files run beside one another, each in a global scope of its own: most tests wait for servers, kills and leases. */
const SIDE_BY_SIDE = [`--parallel=${availableParallelism() + 1}`];

const started: TestServer[] = [];

async function start<S extends TestServer>(server: S): Promise<S> {
  started.push(server);
  await server.start();
  return server;
}

/** What a test reads from its environment; see test/support/servers/shared.ts. */
async function bringUp(): Promise<Record<string, string>> {
  const env: Record<string, string> = {};
  if (process.env.TEST_POSTGRES_URL === undefined) {
    // The exam asks for thousands of commits and no power will fail; what must survive is tested on servers of its own.
    const postgres = await start(await createPostgres({ fsync: "off", full_page_writes: "off" }));
    env.TEST_POSTGRES_URL = postgres.url;
    env.TEST_PGBOUNCER_URL = (await start(await createPgbouncer(postgres))).url;
  }
  if (process.env.TEST_REDIS_URL === undefined) env.TEST_REDIS_URL = (await start(await createRedis())).url;
  return env;
}

async function takeDown(): Promise<void> {
  for (const server of started.toReversed()) await server.remove();
}

async function main(): Promise<number> {
  try {
    const env = { ...process.env, ...(await bringUp()) };
    const tests = Bun.spawn(
      [
        process.execPath,
        "--no-env-file",
        "test",
        ...SIDE_BY_SIDE,
        "--timeout",
        "60000",
        ...Bun.argv.slice(2),
      ],
      { env, stdio: ["inherit", "inherit", "inherit"] },
    );
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => tests.kill(signal));
    return await tests.exited;
  } finally {
    await takeDown();
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(`test: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
