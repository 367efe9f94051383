/**
 * pg-boss as a side of the benchmarks: `serve` (HTTP before `send`), `fill N`, `drain N`, `singles notify` and `singles poll` (HTTP
 * before `send`, and workers). STORE_URL names the database. Why these settings: bench/README.md.
 */
import { PgBoss } from "pg-boss";
import { drain, jobs } from "./drain.ts";
import { serveCreates, serveSingles } from "./http.ts";

const QUEUE = "work";
const FILL_AT_ONCE = 5_000;

const CONNECTIONS = 20;
const BATCH = 500;
const LOOPS = 4;

/** Large enough for all jobs that are created between two polls. */
const SINGLES_BATCH = 100;

const open = async (notify = false) => {
  const boss = new PgBoss({
    connectionString: process.env.STORE_URL,
    max: CONNECTIONS,
    useListenNotify: notify,
  });
  boss.on("error", (error) => {
    throw error;
  });
  await boss.start();
  await boss.createQueue(QUEUE, { notify });
  return boss;
};

const fill = async (count) => {
  const boss = await open();
  for (const chunk of jobs(count, FILL_AT_ONCE)) {
    await boss.insert(
      QUEUE,
      chunk.map((data) => ({ data })),
    );
  }
  process.exit(0);
};

const UNFINISHED = `SELECT EXISTS (SELECT 1 FROM pgboss.job WHERE name = $1 AND state < 'completed') AS unfinished`;

const work = async (count) => {
  const boss = await open();
  const options = {
    batchSize: BATCH,
    localConcurrency: LOOPS,
    burstWhenBatchFull: true,
    pollingIntervalSeconds: 0.5,
  };
  await drain({
    jobs: count,
    start: (handled) =>
      boss.work(QUEUE, options, async (batch) => {
        for (const _ of batch) handled();
      }),
    isEmpty: async () => {
      const { rows } = await boss.getDb().executeSql(UNFINISHED, [QUEUE]);
      return !rows[0].unfinished;
    },
  });
};

const singles = async (notify) => {
  const boss = await open(notify);
  await serveSingles({
    create: (body) => boss.send(QUEUE, body),
    start: (handled) =>
      boss.work(QUEUE, { batchSize: SINGLES_BATCH }, async (batch) => {
        for (const { data } of batch) handled(data);
      }),
  });
};

const [verb, argument] = process.argv.slice(2);
if (verb === "serve") {
  const boss = await open();
  serveCreates((body) => boss.send(QUEUE, body));
} else if (verb === "singles") await singles(argument === "notify");
else if (verb === "fill") await fill(Number(argument));
else await work(Number(argument));
