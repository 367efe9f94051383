/**
 * One process works on existing tasks, with handlers that return at once: the cost of a claim and of the outcome.
 */
import { join } from "node:path";
import { SQL } from "bun";
import { pinned, SERVER_CORE } from "./machine.ts";
import type { Drained } from "./peers/drain.ts";
import { BULLMQ_CLIENTS, type BullmqClient, installPeers, type Peer, peerCommand } from "./peers.ts";
import { figure, median, printTable, spread, type Verdict } from "./report.ts";
import { bun, run } from "./servers.ts";
import { type Store, startPostgres, startRedis } from "./stores.ts";
import { openTaskStore } from "./tasktrack.ts";

type Side = {
  readonly name: string;
  readonly command: (verb: "fill" | "drain", tasks: number) => string[];
  /** The number of tasks that have not ended; for a peer, read without its library. */
  readonly countUnfinished: (storeUrl: string) => Promise<number>;
};
type Measured = { readonly perSecond: number; readonly workerBusy: number; readonly storeBusy: number };
type Results = ReadonlyMap<Side, Measured[]>;
type Contest = {
  readonly store: Store;
  /** The best of ours is compared with the best of the peers. */
  readonly ours: readonly Side[];
  readonly peers: readonly Side[];
  /** For information. */
  readonly others: readonly Side[];
  readonly target: number;
};
type Size = { readonly rounds: number; readonly tasks: number };

const FULL: Size = { rounds: 4, tasks: 50_000 };
const QUICK: Size = { rounds: 1, tasks: 5_000 };

const program = join(import.meta.dir, "drain-tasktrack.ts");

const tasktrack = (slots: number): Side => ({
  name: `TaskTrack, ${slots} slots`,
  command: (verb, tasks) => [...bun, program, verb, String(tasks), String(slots)],
  countUnfinished: async (storeUrl) => {
    const store = await openTaskStore(storeUrl);
    const count = await store.count({ statuses: ["pending", "running"] });
    await store.close();
    return count;
  },
});

const postgresPeer = (peer: Peer, name: string, unfinished: string): Side => ({
  name,
  command: (verb, tasks) => peerCommand(peer, verb, String(tasks)),
  countUnfinished: async (storeUrl) => {
    const sql = new SQL(storeUrl, { max: 1 });
    const [row] = (await sql.unsafe(`SELECT count(*)::int AS jobs FROM ${unfinished}`)) as [{ jobs: number }];
    await sql.close();
    return row.jobs;
  },
});

const graphileWorker = postgresPeer("graphile-worker", "Graphile Worker", "graphile_worker._private_jobs");
const pgBoss = postgresPeer("pg-boss", "pg-boss", "pgboss.job WHERE state < 'completed'");

const bullmq = (client: BullmqClient): Side => ({
  name: `BullMQ, concurrency 100, ${client}`,
  command: (verb, tasks) => peerCommand("bullmq", client, verb, String(tasks)),
  countUnfinished: async (storeUrl) => {
    const redis = new Bun.RedisClient(storeUrl);
    const lengths = await Promise.all(
      ["bull:work:wait", "bull:work:active"].map((key) => redis.send("LLEN", [key])),
    );
    redis.close();
    return lengths.reduce((sum: number, length) => sum + Number(length), 0);
  },
});

const measureSide = async (store: Store, side: Side, { tasks }: Size): Promise<Measured> => {
  const env = { STORE_URL: await store.empty() };
  await run(`filling ${side.name}`, side.command("fill", tasks), env);
  await store.settle();
  const before = store.cpuSeconds() ?? Number.NaN;
  const printed = await run(`draining ${side.name}`, pinned(SERVER_CORE, side.command("drain", tasks)), env);
  const storeSeconds = (store.cpuSeconds() ?? Number.NaN) - before;
  const left = await side.countUnfinished(env.STORE_URL);
  if (left > 0) {
    throw new Error(`${side.name} left ${left} of ${tasks} tasks unfinished`);
  }
  const { seconds, cpuSeconds } = JSON.parse(printed) as Drained;
  return {
    perSecond: tasks / seconds,
    workerBusy: cpuSeconds / seconds,
    storeBusy: storeSeconds / seconds,
  };
};

const rates = (results: Results, side: Side): number[] =>
  (results.get(side) ?? []).map(({ perSecond }) => perSecond);

const percent = (share: number): string => `${Math.round(share * 100)} %`;

const best = (results: Results, sides: readonly Side[]): number =>
  Math.max(...sides.map((side) => median(rates(results, side))));

const print = ({ store, ours }: Contest, results: Results): void => {
  const rows = [...results].map(([side, measured]) => [
    side.name,
    figure(median(rates(results, side))),
    spread(rates(results, side)),
    figure(best(results, ours) / median(rates(results, side))),
    percent(median(measured.map(({ workerBusy }) => workerBusy))),
    percent(median(measured.map(({ storeBusy }) => storeBusy))),
  ]);
  const head = ["tasks/s", "lowest to highest", "TaskTrack / it", "worker", "store"];
  printTable([[store.name, ...head], ...rows]);
};

const hold = async (contest: Contest, size: Size): Promise<Verdict> => {
  const { store, ours, peers, others, target } = contest;
  const sides = [...ours, ...peers, ...others];
  const results: Results = new Map(sides.map((side) => [side, []]));
  for (let round = 0; round < size.rounds; round += 1) {
    const first = round % sides.length;
    for (const side of [...sides.slice(first), ...sides.slice(0, first)]) {
      results.get(side)?.push(await measureSide(store, side, size));
    }
  }
  print(contest, results);
  await store.remove();
  return {
    what: `drain on ${store.name}, TaskTrack / the best of the others`,
    measured: best(results, ours) / best(results, peers),
    target,
    want: "at least",
    unit: "",
  };
};

export const drain = async (quick: boolean): Promise<Verdict[]> => {
  installPeers();
  const size = quick ? QUICK : FULL;
  const onPostgres: Contest = {
    store: await startPostgres(),
    ours: [tasktrack(500), tasktrack(1_000)],
    peers: [graphileWorker, pgBoss],
    others: [],
    target: 1.5,
  };
  const verdict = await hold(onPostgres, size);
  const onRedis: Contest = {
    store: await startRedis("everysec"),
    ours: [tasktrack(100)],
    peers: BULLMQ_CLIENTS.map(bullmq),
    others: [tasktrack(500)],
    target: 2,
  };
  return [verdict, await hold(onRedis, size)];
};
