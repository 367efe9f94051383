/**
 * One process works on existing tasks, with handlers that return at once: the cost of a claim and of the outcome.
 */
import { join } from "node:path";
import { pinned, SERVER_CORE } from "./machine.ts";
import type { Drained } from "./peers/drain.ts";
import {
  BULLMQ_CLIENTS,
  builtSides,
  countUnfinished,
  installPeers,
  type Peer,
  peerCommand,
} from "./peers.ts";
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
type Measured = {
  readonly perSecond: number;
  /** Shares of a core. */
  readonly workerBusy: number;
  readonly storeBusy: number;
};
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

const peerSide = (name: string, peer: Peer, ...args: readonly string[]): Side => ({
  name,
  command: (verb, tasks) => peerCommand(peer, ...args, verb, String(tasks)),
  countUnfinished: (storeUrl) => countUnfinished(peer, storeUrl),
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

/** The side with the highest median. */
const best = (results: Results, sides: readonly Side[]): Side | undefined =>
  sides.toSorted((a, b) => median(rates(results, b)) - median(rates(results, a)))[0];

/** The median of the rounds: the load of a shared machine changes less within a round than between rounds. */
const ratio = (results: Results, ours: Side | undefined, other: Side | undefined): number => {
  const theirs = other === undefined ? [] : rates(results, other);
  const own = ours === undefined ? [] : rates(results, ours);
  return median(own.map((rate, round) => rate / (theirs[round] ?? Number.NaN)));
};

const print = ({ store, ours }: Contest, results: Results): void => {
  const rows = [...results].map(([side, measured]) => {
    const middle = (value: (one: Measured) => number): number => median(measured.map(value));
    return [
      side.name,
      figure(median(rates(results, side))),
      spread(rates(results, side)),
      figure(ratio(results, best(results, ours), side)),
      percent(middle(({ workerBusy }) => workerBusy)),
      percent(middle(({ storeBusy }) => storeBusy)),
      figure(middle(({ workerBusy, perSecond }) => (workerBusy / perSecond) * 1e6)),
      figure(middle(({ storeBusy, perSecond }) => (storeBusy / perSecond) * 1e6)),
    ];
  });
  const head = ["tasks/s", "lowest to highest", "TaskTrack / it", "worker", "store"];
  printTable([[store.name, ...head, "worker, CPU µs a task", "store, CPU µs a task"], ...rows]);
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
    measured: ratio(results, best(results, ours), best(results, peers)),
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
    peers: [
      peerSide("Graphile Worker", "graphile-worker"),
      peerSide("pg-boss", "pg-boss"),
      ...builtSides("river", peerSide("River", "river")),
    ],
    others: [],
    target: 1.5,
  };
  const verdict = await hold(onPostgres, size);
  const onRedis: Contest = {
    store: await startRedis("everysec"),
    ours: [tasktrack(100)],
    peers: [
      ...BULLMQ_CLIENTS.map((client) => peerSide(`BullMQ, concurrency 100, ${client}`, "bullmq", client)),
      ...builtSides("asynq", peerSide("Asynq, concurrency 100", "asynq")),
    ],
    others: [tasktrack(500)],
    target: 2,
  };
  return [verdict, await hold(onRedis, size)];
};
