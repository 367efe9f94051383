/**
 * TaskTrack in the drain benchmark, as a process: `fill N`, `drain N CONCURRENCY`. STORE_URL is the store. It is the server without
 * HTTP: store, engine, processor, and a handler that returns at once.
 */
import { create, TYPE_DEFAULTS } from "../src/core/lifecycle.ts";
import { createProcessor } from "../src/processor/processor.ts";
import { drain, jobs } from "./peers/drain.ts";
import { clock, createBenchEngine, LEASE_MS, log, openTaskStore } from "./tasktrack.ts";

const TYPE = "work";
/** The largest batch of inserts. */
const FILL_AT_ONCE = 1_000;

const url = process.env.STORE_URL ?? "";

const fill = async (count: number): Promise<never> => {
  const store = await openTaskStore(url);
  for (const specs of jobs(count, FILL_AT_ONCE)) {
    const now = await store.now();
    const drafts = specs.map((spec) => create({ ...spec, type: TYPE }, TYPE_DEFAULTS, now));
    await store.insert([{ drafts, idempotency: null }], now);
  }
  process.exit(0);
};

const work = async (count: number, concurrency: number): Promise<never> => {
  const store = await openTaskStore(url);
  const engine = createBenchEngine(store);
  await engine.start();
  let handled = (): void => undefined;
  const processor = createProcessor({
    source: engine,
    handlers: new Map([[TYPE, async () => handled()]]),
    worker: "bench",
    concurrency,
    leaseMs: LEASE_MS,
    clock,
    log,
  });
  return drain({
    jobs: count,
    start: (onHandled) => {
      handled = onHandled;
      processor.start();
    },
    // A slot is free again only after the end of its task is stored.
    isEmpty: async () => processor.running === 0,
  });
};

const [verb, count, concurrency] = Bun.argv.slice(2);
if (verb === "fill") await fill(Number(count));
else await work(Number(count), Number(concurrency));
