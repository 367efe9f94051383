/**
 * `npm run servers [-- words]`: the tests of stores and brokers and a session, on each available server, one after the
 * other. Prints the table of docs/stores.md and docs/brokers.md. With words, only the servers whose names contain one of them.
 */
import { joinCluster } from "../../test/support/redis-cluster.ts";
import { createKafka, KAFKA, NEWER_KAFKA } from "../../test/support/servers/kafka.ts";
import { createPgpool } from "../../test/support/servers/pgpool.ts";
import { createPgbouncer, createPostgres } from "../../test/support/servers/postgres.ts";
import { createRabbitmq } from "../../test/support/servers/rabbitmq.ts";
import { createRedis } from "../../test/support/servers/redis.ts";
import { findBinary, freePort, type TestServer } from "../../test/support/servers/runner.ts";

type Trial = {
  readonly name: string;
  /** Starts the servers that this trial needs. */
  readonly begin: (start: Start) => Promise<Begun>;
};
type Start = <S extends TestServer>(server: S) => Promise<S>;
type Begun = {
  /** The environment of the store and broker tests. The session reads SESSION_*. */
  readonly env: Readonly<Record<string, string>>;
  /** Arguments of `bun test`. */
  readonly exam: readonly string[];
};

const QUICK = { fsync: "off", full_page_writes: "off" };
const POSTGRES_EXAM = ["src/store/postgres.test.ts", "-t", "PostgreSQL store"];

const onPostgres = (url: string): Begun => ({
  env: { TEST_POSTGRES_URL: url, TEST_PGBOUNCER_URL: url, SESSION_STORE_URL: url },
  exam: POSTGRES_EXAM,
});

const onRedis = (url: string): Begun => ({
  env: { TEST_REDIS_URL: url, SESSION_STORE_URL: url },
  exam: ["src/store/redis.test.ts"],
});

async function onKafka(start: Start, version: string): Promise<Begun> {
  const { url } = await start(await createPostgres(QUICK, 18));
  const kafka = await start(await createKafka(undefined, version));
  return {
    env: {
      TEST_KAFKA_URL: kafka.url,
      TEST_POSTGRES_URL: url,
      SESSION_STORE_URL: url,
      SESSION_QUEUE_URL: `${kafka.url}?prefix=session`,
    },
    exam: ["src/broker/kafka/broker.test.ts", "src/broker/kafka/wake-ups.test.ts"],
  };
}

const TRIALS: readonly Trial[] = [
  {
    name: "PostgreSQL of Debian",
    begin: async (start) => onPostgres((await start(await createPostgres(QUICK))).url),
  },
  ...([16, 17, 18] as const).map((version) => ({
    name: `PostgreSQL ${version}`,
    begin: async (start: Start) => onPostgres((await start(await createPostgres(QUICK, version))).url),
  })),
  {
    name: "PgBouncer of Debian before PostgreSQL 18",
    begin: async (start) => {
      const postgres = await start(await createPostgres(QUICK, 18));
      return onPostgres((await start(await createPgbouncer(postgres))).url);
    },
  },
  {
    name: "pgpool-II of Debian before PostgreSQL 18",
    begin: async (start) => {
      const postgres = await start(await createPostgres({ ...QUICK, max_connections: "300" }, 18));
      return onPostgres((await start(await createPgpool(postgres))).url);
    },
  },
  { name: "Redis of Debian", begin: async (start) => onRedis((await start(await createRedis())).url) },
  {
    name: "Redis Cluster of three nodes",
    begin: async (start) => {
      const createNode = async () =>
        start(await createRedis({ "cluster-enabled": "yes", "cluster-port": String(await freePort()) }));
      const [owner, other, replica] = [await createNode(), await createNode(), await createNode()];
      await joinCluster(owner, other, replica);
      return { ...onRedis(owner.url), env: { TEST_REDIS_URL: owner.url, SESSION_STORE_URL: other.url } };
    },
  },
  {
    name: "Valkey",
    begin: async (start) => {
      const program = findBinary("valkey-server");
      if (program === null) throw new Error("not here: there is no valkey-server on the PATH");
      return onRedis((await start(await createRedis({}, program))).url);
    },
  },
  {
    name: "RabbitMQ of Debian",
    begin: async (start) => {
      const { url } = await start(await createPostgres(QUICK, 18));
      const rabbitmq = await start(await createRabbitmq());
      return {
        env: { TEST_RABBITMQ_URL: rabbitmq.url, TEST_POSTGRES_URL: url, SESSION_STORE_URL: url },
        exam: ["src/broker/rabbitmq/broker.test.ts", "src/broker/rabbitmq/wake-ups.test.ts"],
      };
    },
  },
  ...[KAFKA, NEWER_KAFKA].map((version) => ({
    name: `Kafka ${version}`,
    begin: (start: Start) => onKafka(start, version),
  })),
];

type Outcome = { readonly passed: number; readonly failed: number; readonly output: string };

async function runTests(args: readonly string[], env: Readonly<Record<string, string>>): Promise<Outcome> {
  const tests = Bun.spawn([process.execPath, "--no-env-file", "test", "--timeout", "300000", ...args], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [out, errors] = await Promise.all([
    new Response(tests.stdout).text(),
    new Response(tests.stderr).text(),
    tests.exited,
  ]);
  const count = (word: string): number =>
    Number(new RegExp(`^ *(\\d+) ${word}$`, "m").exec(errors)?.[1] ?? 0);
  const passed = count("pass");
  return { passed, failed: passed === 0 ? 1 : count("fail"), output: out + errors };
}

/** A line of the table, and whether all tests passed. A server that is not available on this machine has a line, too. */
async function tryOn({ name, begin }: Trial): Promise<{ line: string; isGood: boolean }> {
  const started: TestServer[] = [];
  const start: Start = async (server) => {
    started.push(server);
    await server.start();
    return server;
  };
  try {
    const { env, exam } = await begin(start);
    const examined = await runTests(exam, env);
    const session = await runTests(["./scripts/servers/session.ts"], env);
    const isGood = examined.failed + session.failed === 0;
    if (!isGood) console.error(`${name}\n${examined.output}\n${session.output}`);
    const store = /^store: (.*?):/m.exec(session.output)?.[1] ?? "";
    const sessionSays = session.failed === 0 ? "passed" : "failed";
    return {
      line: `| ${name} | ${store} | ${examined.passed} passed, ${examined.failed} failed | ${sessionSays} |`,
      isGood,
    };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { line: `| ${name} | | ${reason} | |`, isGood: reason.startsWith("not here") };
  } finally {
    for (const server of started.toReversed()) await server.remove();
  }
}

const words = Bun.argv.slice(2);
const chosen = TRIALS.filter(({ name }) => words.length === 0 || words.some((word) => name.includes(word)));
console.log("| server | store, as /readyz names it | exam | session |\n|---|---|---|---|");
let isGood = chosen.length > 0;
for (const trial of chosen) {
  const outcome = await tryOn(trial);
  console.log(outcome.line);
  isGood &&= outcome.isGood;
}
process.exit(isGood ? 0 : 1);
