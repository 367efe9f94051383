/**
 * pg-boss as a side of the benchmarks: `serve` (HTTP before `send`), `fill N`, `drain N`. STORE_URL names the database.
 * Why these settings: bench/README.md.
 */
import { PgBoss } from "pg-boss";
import { drain, jobs } from "./drain.ts";
import { serveCreates } from "./http.ts";

const QUEUE = "work";
const FILL_AT_ONCE = 5_000;

const CONNECTIONS = 20;
const BATCH = 500;
const LOOPS = 4;

const open = async () => {
  const boss = new PgBoss({ connectionString: process.env.STORE_URL, max: CONNECTIONS });
  boss.on("error", (error) => {
    throw error;
  });
  await boss.start();
  await boss.createQueue(QUEUE);
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

const [verb, count] = process.argv.slice(2);
if (verb === "serve") {
  const boss = await open();
  serveCreates((body) => boss.send(QUEUE, body));
} else if (verb === "fill") await fill(Number(count));
else await work(Number(count));
