/**
 * `npm test [-- arguments of bun test]`: starts the servers that the chosen test files share, runs the tests, and removes the
 * servers. A server whose URL is in the environment is used instead. `--quick` instead of arguments chooses the files that need no
 * other program.
 */
import { availableParallelism } from "node:os";
import { createKafka, createSecuredKafka } from "../test/support/servers/kafka.ts";
import { createPgbouncer, createPostgres } from "../test/support/servers/postgres.ts";
import { createRabbitmq, createSecuredRabbitmq } from "../test/support/servers/rabbitmq.ts";
import { createRedis } from "../test/support/servers/redis.ts";
import type { TestServer } from "../test/support/servers/runner.ts";
import { ACCOUNT, TENANT } from "../test/support/servers/secured.ts";
import { isSelfContained, type ServerName, serversOf, testFiles } from "./test-files.ts";

/** Files run in parallel, each with its own global scope: most tests wait for servers, kills and leases. */
const SIDE_BY_SIDE = `--parallel=${availableParallelism() + 2}`;
/** The duration of each file, so that the longest start first; `npm test -- --update-timings` writes it. */
const LONGEST_FIRST = "--timings=test/timings.json";
/** Only a test that hangs takes this long. `eventually` gives up after half of it, and reports the awaited condition. */
const WITHIN_MS = 300_000;

const started: TestServer[] = [];

async function start<S extends TestServer>(server: S): Promise<S> {
  started.push(server);
  await server.start();
  return server;
}

/** The environment variables with the addresses of the servers; see test/support/servers/shared.ts. */
const VARIABLES: Readonly<Record<ServerName, string>> = {
  Postgres: "TEST_POSTGRES_URL",
  Pgbouncer: "TEST_PGBOUNCER_URL",
  Redis: "TEST_REDIS_URL",
  Rabbitmq: "TEST_RABBITMQ_URL",
  SecuredRabbitmq: "TEST_SECURED_RABBITMQ",
  Kafka: "TEST_KAFKA_URL",
  SecuredKafka: "TEST_SECURED_KAFKA",
};

/** The value of a variable that tests read from the environment. */
async function bringUp(needed: ReadonlySet<ServerName>): Promise<Record<string, string>> {
  const isMissing = (name: ServerName): boolean =>
    needed.has(name) && process.env[VARIABLES[name]] === undefined;
  const parts = await Promise.all([
    isMissing("Kafka") || isMissing("SecuredKafka") ? bringUpKafka(isMissing("SecuredKafka")) : {},
    isMissing("Rabbitmq") || isMissing("SecuredRabbitmq")
      ? bringUpRabbitmq(isMissing("SecuredRabbitmq"))
      : {},
    isMissing("Redis") ? bringUpRedis() : {},
    isMissing("Postgres") || isMissing("Pgbouncer") ? bringUpPostgres(isMissing("Pgbouncer")) : {},
  ]);
  return Object.assign({}, ...parts);
}

async function bringUpKafka(isSecured: boolean): Promise<Record<string, string>> {
  const secured = isSecured ? await createSecuredKafka(ACCOUNT).catch(cannotBeSecured) : null;
  const { url } = await start(secured ?? (await createKafka()));
  const env = { TEST_KAFKA_URL: url };
  return secured === null
    ? env
    : { ...env, TEST_SECURED_KAFKA: JSON.stringify({ url, secured: secured.secured }) };
}

async function bringUpRabbitmq(isSecured: boolean): Promise<Record<string, string>> {
  const secured = isSecured ? await createSecuredRabbitmq(TENANT).catch(cannotBeSecured) : null;
  const { url } = await start(secured ?? (await createRabbitmq()));
  const env = { TEST_RABBITMQ_URL: url };
  return secured === null
    ? env
    : { ...env, TEST_SECURED_RABBITMQ: JSON.stringify({ url, secured: secured.secured }) };
}

/** If the server cannot start, the tests that need it fail, and the others run. */
function cannotBeSecured(error: unknown): null {
  console.error(`test: ${error instanceof Error ? error.message : String(error)}`);
  return null;
}
const bringUpRedis = async () => ({ TEST_REDIS_URL: (await start(await createRedis())).url });

async function bringUpPostgres(isBounced: boolean): Promise<Record<string, string>> {
  // The store tests make thousands of commits, so fsync is off. Tests of durability start servers of their own.
  const postgres = await start(await createPostgres({ fsync: "off", full_page_writes: "off" }));
  const env = { TEST_POSTGRES_URL: postgres.url };
  return isBounced ? { ...env, TEST_PGBOUNCER_URL: (await start(await createPgbouncer(postgres))).url } : env;
}

async function run(args: readonly string[], env: Readonly<Record<string, string>>): Promise<number> {
  const tests = Bun.spawn(
    [process.execPath, "--no-env-file", "test", "--timeout", String(WITHIN_MS), SIDE_BY_SIDE, ...args],
    { env: { ...env, ...process.env }, stdio: ["inherit", "inherit", "inherit"] },
  );
  const passOn = (signal: NodeJS.Signals): void => tests.kill(signal);
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, passOn);
  const code = await tests.exited;
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.off(signal, passOn);
  return code;
}

async function takeDown(): Promise<void> {
  for (const server of started.toReversed()) await server.remove();
}

/** A word after a flag may be the value of the flag. It then matches no file, or starts servers that are not needed. */
function chosenBy(args: readonly string[]): readonly string[] {
  const words = args.filter((arg) => !arg.startsWith("-"));
  const files = testFiles();
  const chosen = files.filter((file) => words.some((word) => file.includes(word.replace(/^\.\//, ""))));
  return chosen.length > 0 ? chosen : files;
}

async function main(args: readonly string[]): Promise<number> {
  if (args[0] === "--quick") {
    const files = await Array.fromAsync(testFiles(), async (file) =>
      (await isSelfContained(file)) ? [file] : [],
    );
    return run([...files.flat().map((file) => `./${file}`), ...args.slice(1)], {});
  }
  try {
    return await run([LONGEST_FIRST, ...args], await bringUp(await serversOf(chosenBy(args))));
  } finally {
    await takeDown();
  }
}

try {
  process.exitCode = await main(Bun.argv.slice(2));
} catch (error) {
  console.error(`test: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
