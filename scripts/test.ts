/**
 * `npm test [-- arguments of bun test]`: brings up the servers that the stores are examined on, runs the tests, and takes
 * the servers away again. A server whose URL is in the environment already is used as it is.
 */
import { availableParallelism } from "node:os";
import { createKafka } from "../test/support/servers/kafka.ts";
import { createPgbouncer, createPostgres } from "../test/support/servers/postgres.ts";
import { createRabbitmq } from "../test/support/servers/rabbitmq.ts";
import { createRedis } from "../test/support/servers/redis.ts";
import type { TestServer } from "../test/support/servers/runner.ts";

/** Files run beside one another, each in a global scope of its own: most tests wait for servers, kills and leases. */
const SIDE_BY_SIDE = [`--parallel=${availableParallelism() + 1}`];

/** Those that look at what a server does to itself, or at a terminal as a person sees it: who works beside them would be seen too. */
const ALONE = [
  "src/store/postgres/postgres.test.ts",
  "src/store/redis/load.test.ts",
  "test/terminal.test.ts",
];
const OTHERS = ALONE.map((file) => `--path-ignore-patterns=${file}`);

const started: TestServer[] = [];

async function start<S extends TestServer>(server: S): Promise<S> {
  started.push(server);
  await server.start();
  return server;
}

/** What a test reads from its environment; see test/support/servers/shared.ts. */
async function bringUp(): Promise<Record<string, string>> {
  const parts = await Promise.all([bringUpKafka(), bringUpRabbitmq(), bringUpStores()]);
  return Object.assign({}, ...parts);
}

async function bringUpKafka(): Promise<Record<string, string>> {
  if (process.env.TEST_KAFKA_URL !== undefined) return {};
  return { TEST_KAFKA_URL: (await start(await createKafka())).url };
}

async function bringUpRabbitmq(): Promise<Record<string, string>> {
  if (process.env.TEST_RABBITMQ_URL !== undefined) return {};
  return { TEST_RABBITMQ_URL: (await start(await createRabbitmq())).url };
}

async function bringUpStores(): Promise<Record<string, string>> {
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

async function run(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<number> {
  const tests = Bun.spawn([process.execPath, "--no-env-file", "test", "--timeout", "60000", ...args], {
    env,
    stdio: ["inherit", "inherit", "inherit"],
  });
  const passOn = (signal: NodeJS.Signals): void => tests.kill(signal);
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, passOn);
  const code = await tests.exited;
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.off(signal, passOn);
  return code;
}

async function takeDown(): Promise<void> {
  for (const server of started.toReversed()) await server.remove();
}

async function main(): Promise<number> {
  try {
    const env = { ...process.env, ...(await bringUp()) };
    const asked = Bun.argv.slice(2);
    if (asked.length > 0) return await run([...SIDE_BY_SIDE, ...asked], env);
    const codes = [await run([...SIDE_BY_SIDE, ...OTHERS], env), await run(ALONE, env)];
    return Math.max(...codes);
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
