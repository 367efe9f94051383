/**
 * Graphile Worker as a side of the benchmarks: `fill N`, `drain N`, `singles` (HTTP before `addJob`, and workers). STORE_URL names
 * the database. Why these settings: bench/README.md.
 */
import { Logger, makeWorkerUtils, run } from "graphile-worker";
import pg from "pg";
import { drain, jobs } from "./drain.ts";
import { serveSingles } from "./http.ts";

const TASK = "work";
const FILL_AT_ONCE = 5_000;

const CONCURRENCY = 24;
const LOCAL_QUEUE = 1_000;
const BATCH_DELAY_MS = 0;

/** As many as TaskTrack has by default; everything else is the default too. */
const SINGLES_CONCURRENCY = 10;

const connectionString = process.env.STORE_URL;
const logger = new Logger(() => () => undefined);

const fill = async (count) => {
  const utils = await makeWorkerUtils({ connectionString, logger });
  await utils.migrate();
  for (const chunk of jobs(count, FILL_AT_ONCE)) {
    await utils.addJobs(chunk.map((payload) => ({ identifier: TASK, payload })));
  }
  process.exit(0);
};

/** A job is deleted when it is complete. */
const EMPTY = "SELECT NOT EXISTS (SELECT 1 FROM graphile_worker._private_jobs) AS empty";

const work = async (count) => {
  const preset = {
    worker: {
      connectionString,
      maxPoolSize: CONCURRENCY + 1,
      concurrentJobs: CONCURRENCY,
      localQueue: { size: LOCAL_QUEUE },
      completeJobBatchDelay: BATCH_DELAY_MS,
      failJobBatchDelay: BATCH_DELAY_MS,
    },
  };
  const asking = new pg.Pool({ connectionString, max: 1 });
  await drain({
    jobs: count,
    start: (handled) =>
      run({ preset, logger, noHandleSignals: true, taskList: { [TASK]: async () => handled() } }),
    isEmpty: async () => (await asking.query(EMPTY)).rows[0].empty,
  });
};

const serve = async () => {
  const utils = await makeWorkerUtils({ connectionString, logger });
  await utils.migrate();
  const preset = { worker: { connectionString, concurrentJobs: SINGLES_CONCURRENCY } };
  await serveSingles({
    create: async (body) => (await utils.addJob(TASK, body)).id,
    start: (handled) =>
      run({ preset, logger, noHandleSignals: true, taskList: { [TASK]: async (job) => handled(job) } }),
  });
};

const [verb, count] = process.argv.slice(2);
if (verb === "singles") await serve();
else if (verb === "fill") await fill(Number(count));
else await work(Number(count));
