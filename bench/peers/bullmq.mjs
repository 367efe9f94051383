/**
 * BullMQ as a side of the benchmarks: `CLIENT serve` (HTTP before `add`), `CLIENT fill N`, `CLIENT drain N`, `CLIENT singles` (HTTP
 * before `add`, and a worker); the client is `ioredis`, or `bun`, the one that comes with the runtime. STORE_URL names the Redis. Why these settings: bench/README.md.
 */
import { createBunRedisClient, Queue, Worker } from "bullmq";
import { Redis } from "ioredis";
import { drain, jobs } from "./drain.ts";
import { serveCreates, serveSingles } from "./http.ts";

const QUEUE = "work";
const FILL_AT_ONCE = 1_000;
const CONCURRENCY = 100;
/** As many as TaskTrack has by default. */
const SINGLES_CONCURRENCY = 10;

const [client, verb, count] = process.argv.slice(2);
const url = process.env.STORE_URL;

const connect = () =>
  client === "bun"
    ? createBunRedisClient(new Bun.RedisClient(url))
    : new Redis(url, { maxRetriesPerRequest: null });
const openQueue = () => new Queue(QUEUE, { connection: connect() });

const fill = async (count) => {
  const queue = openQueue();
  for (const chunk of jobs(count, FILL_AT_ONCE)) {
    await queue.addBulk(chunk.map((data) => ({ name: QUEUE, data })));
  }
  process.exit(0);
};

const work = async (count) => {
  const queue = openQueue();
  await drain({
    jobs: count,
    start: (handled) =>
      new Worker(QUEUE, async () => handled(), {
        connection: connect(),
        concurrency: CONCURRENCY,
      }).waitUntilReady(),
    isEmpty: async () => {
      const { active, waiting, delayed } = await queue.getJobCounts("active", "waiting", "delayed");
      return active + waiting + delayed === 0;
    },
  });
};

const singles = async () => {
  const queue = openQueue();
  await serveSingles({
    create: async (body) => (await queue.add(QUEUE, body)).id,
    start: (handled) =>
      new Worker(QUEUE, async ({ data }) => handled(data), {
        connection: connect(),
        concurrency: SINGLES_CONCURRENCY,
      }).waitUntilReady(),
  });
};

if (verb === "serve") {
  const queue = openQueue();
  serveCreates(async (body) => (await queue.add(QUEUE, body)).id);
} else if (verb === "singles") await singles();
else if (verb === "fill") await fill(Number(count));
else await work(Number(count));
