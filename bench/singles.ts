/**
 * Single tasks, twenty a second: each is created, claimed, run by a handler that returns at once, and ended, in one process. Measures
 * the processor time that the store needs for it, also while the process is idle.
 */
import { CREATE_TASK, type Post } from "./load.ts";
import { cpuSeconds } from "./machine.ts";
import { BULLMQ_CLIENTS, builtSides, countUnfinished, installPeers, type Peer, startPeer } from "./peers.ts";
import { figure, median, percentile, printTable, spread, type Verdict } from "./report.ts";
import { load, type Server, startTasktrack, stop } from "./servers.ts";
import { type PostgresStore, type Store, startPostgres, startRedis } from "./stores.ts";

type Side = {
  readonly name: string;
  /** A server that takes creates and works on them. */
  readonly start: (storeUrl: string) => Promise<Server>;
  readonly post: Post;
  /** The milliseconds from the create to the handler, of each task since the last time. Throws if one has not ended. */
  readonly takeWaits: (server: Server, storeUrl: string, tasks: number) => Promise<number[]>;
};
type Contest = {
  readonly store: Store;
  /** The same, if it is a PostgreSQL. */
  readonly postgres: PostgresStore | null;
  readonly ours: Side;
  /** They start and end each task at once, as TaskTrack does: the store's time for a task is compared with the best of them. */
  readonly peers: readonly Side[];
  /** They poll, or collect tasks before they start or end them. For information. */
  readonly others: readonly Side[];
};
type Size = {
  readonly rounds: number;
  readonly warmUpSeconds: number;
  readonly idleSeconds: number;
  readonly seconds: number;
};
type Use = { readonly store: number; readonly server: number; readonly statements: number };
type Measured = {
  /** A second. */
  readonly idle: Use;
  /** A task, with what an idle server does at the same time, and without. */
  readonly task: Use;
  readonly taskAlone: Use;
  readonly waitsMs: readonly number[];
};
type Results = ReadonlyMap<Side, Measured[]>;

const FULL: Size = { rounds: 3, warmUpSeconds: 3, idleSeconds: 8, seconds: 15 };
const QUICK: Size = { rounds: 1, warmUpSeconds: 1, idleSeconds: 2, seconds: 2 };

const PER_SECOND = 20;
const CONNECTIONS = 8;
/** Longer than any side polls, and long enough for outcomes that are written together. */
const REST_MS = 2_500;

// ---- the sides

/** The tasks are due at once: simulated ones are due after DISPATCH_INTERVAL by default. */
const DUE_AT_ONCE: Post = {
  ...CREATE_TASK,
  body: JSON.stringify({ ...(JSON.parse(CREATE_TASK.body) as object), delay: "0s" }),
};

type Task = { readonly status: string; readonly created_at: string; readonly started_at: string };

const get = async (server: Server, path: string): Promise<unknown> => {
  const answer = await fetch(`http://127.0.0.1:${server.port}${path}`);
  if (answer.status !== 200) {
    throw new Error(`${server.name} answered ${answer.status} for ${path}`);
  }
  return answer.json();
};

const tasktrack = (): Side => {
  const lastIds = new Map<Server, number>(); // ids are consecutive
  return {
    name: "TaskTrack",
    start: (storeUrl) =>
      startTasktrack({
        STORE_URL: storeUrl,
        SIMULATE_MIN: "0s",
        SIMULATE_MAX: "0s",
        SIMULATE_FAILURE_RATE: "0",
      }),
    post: DUE_AT_ONCE,
    takeWaits: async (server, _, tasks) => {
      const lastId = lastIds.get(server) ?? 0;
      lastIds.set(server, lastId + tasks);
      const waits: number[] = [];
      for (let id = lastId + 1; id <= lastId + tasks; id += 1) {
        const task = (await get(server, `/api/task/${id}`)) as Task;
        if (task.status !== "done") {
          throw new Error(`task ${id} of TaskTrack is ${task.status}`);
        }
        waits.push(Date.parse(task.started_at) - Date.parse(task.created_at));
      }
      return waits;
    },
  };
};

const peerSide = (name: string, peer: Peer, ...args: readonly string[]): Side => ({
  name,
  start: (storeUrl) => startPeer(peer, storeUrl, ...args),
  post: CREATE_TASK,
  takeWaits: async (server, storeUrl, tasks) => {
    const waits = (await get(server, "/waits")) as number[];
    const unfinished = await countUnfinished(peer, storeUrl);
    if (waits.length !== tasks || unfinished > 0) {
      throw new Error(`${name} handled ${waits.length} of ${tasks} jobs, and ${unfinished} have not ended`);
    }
    return waits;
  },
});

// ---- one side

/** With the extension that counts the calls of the clients' statements. */
const SETTINGS = { shared_preload_libraries: "pg_stat_statements" };

const STATEMENTS = `SELECT coalesce(sum(calls), 0)::float8 AS calls FROM pg_stat_statements
  WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())`;

const countStatements = async (store: PostgresStore): Promise<number> => {
  const [row] = (await store.sql().unsafe(STATEMENTS)) as [{ calls: number }];
  return row.calls;
};

type Reading = Use & { readonly atMs: number };

const readUse = async ({ store, postgres }: Contest, server: Server): Promise<Reading> => ({
  statements: postgres === null ? 0 : await countStatements(postgres),
  atMs: performance.now(),
  store: store.cpuSeconds() ?? Number.NaN,
  server: cpuSeconds(server.pid),
});

const perUnit = (from: Use, to: Use, units: number): Use => ({
  store: (to.store - from.store) / units,
  server: (to.server - from.server) / units,
  statements: (to.statements - from.statements) / units,
});

/** Everything in the store and in the process that does not come from tasks, for this time, is left out. */
const withoutIdle = (task: Use, idle: Use, seconds: number): Use => ({
  store: task.store - idle.store * seconds,
  server: task.server - idle.server * seconds,
  statements: task.statements - idle.statements * seconds,
});

const measureSide = async (contest: Contest, side: Side, size: Size): Promise<Measured> => {
  const { store, postgres } = contest;
  const storeUrl = await store.empty();
  await postgres?.sql().unsafe("CREATE EXTENSION pg_stat_statements");
  await postgres?.sql().unsafe("SELECT pg_stat_statements_reset()"); // it counts a limited number of statements, over all databases
  const server = await side.start(storeUrl);
  const work = async (seconds: number): Promise<void> => {
    const requests = seconds * PER_SECOND;
    const plan = { kind: "create", requests, perSecond: PER_SECOND, connections: CONNECTIONS } as const;
    await load(server, { ...plan, post: side.post });
    await Bun.sleep(REST_MS);
  };
  await work(size.warmUpSeconds);
  await side.takeWaits(server, storeUrl, size.warmUpSeconds * PER_SECOND);
  await store.settle();
  const first = await readUse(contest, server);
  await Bun.sleep(size.idleSeconds * 1000);
  const second = await readUse(contest, server);
  await work(size.seconds);
  const third = await readUse(contest, server);
  const tasks = size.seconds * PER_SECOND;
  const waitsMs = await side.takeWaits(server, storeUrl, tasks);
  await stop(server);
  const idle = perUnit(first, second, (second.atMs - first.atMs) / 1000);
  const task = perUnit(second, third, tasks);
  const taskAlone = withoutIdle(task, idle, (third.atMs - second.atMs) / 1000 / tasks);
  return { idle, task, taskAlone, waitsMs };
};

// ---- the tables

const rowOf = (side: Side, results: Results, { ours, postgres }: Contest): string[] => {
  const measured = results.get(side) ?? [];
  const middle = (value: (one: Measured) => number): number => median(measured.map(value));
  const ms = (value: (one: Measured) => number): string => figure(middle(value) * 1000);
  const counted = (value: (one: Measured) => number): string =>
    postgres === null ? "" : figure(middle(value));
  const waits = measured.flatMap(({ waitsMs }) => waitsMs);
  return [
    side.name,
    ms(({ task }) => task.store),
    spread(measured.map(({ task }) => task.store * 1000)),
    figure(median(ratios(results, ours, side))),
    ms(({ taskAlone }) => taskAlone.store),
    ms(({ idle }) => idle.store),
    counted(({ taskAlone }) => taskAlone.statements),
    counted(({ idle }) => idle.statements),
    ms(({ task }) => task.server),
    figure(percentile(waits, 0.5)),
    figure(percentile(waits, 0.99)),
  ];
};

/** The store's time for a task, of each round. */
const ratios = (results: Results, ours: Side, other: Side): number[] => {
  const theirs = results.get(other) ?? [];
  return (results.get(ours) ?? []).map(
    ({ task }, round) => task.store / (theirs[round]?.task.store ?? Number.NaN),
  );
};

const HEAD = [
  ...["store's CPU ms a task", "lowest to highest", "TaskTrack / it", "without idle", "idle, ms a second"],
  ...["statements a task", "idle, a second", "process, CPU ms a task", "to handler p50 ms", "p99 ms"],
];

const hold = async (contest: Contest, size: Size): Promise<Verdict> => {
  const { store, ours, peers, others } = contest;
  const sides = [ours, ...peers, ...others];
  const results: Results = new Map(sides.map((side) => [side, []]));
  for (let round = 0; round < size.rounds; round += 1) {
    const first = round % sides.length;
    for (const side of [...sides.slice(first), ...sides.slice(0, first)]) {
      results.get(side)?.push(await measureSide(contest, side, size));
    }
  }
  printTable([[store.name, ...HEAD], ...sides.map((side) => rowOf(side, results, contest))]);
  await store.remove();
  return {
    what: `processor time of ${store.name} for a single task, TaskTrack / the best of the others`,
    measured: Math.max(...peers.map((peer) => median(ratios(results, ours, peer)))),
    target: 1,
    want: "at most",
    unit: "",
  };
};

export const singles = async (quick: boolean): Promise<Verdict[]> => {
  installPeers();
  const size = quick ? QUICK : FULL;
  const postgres = await startPostgres(SETTINGS);
  const onPostgres: Contest = {
    ...{ store: postgres, postgres, ours: tasktrack() },
    peers: [
      peerSide("Graphile Worker", "graphile-worker", "singles"),
      peerSide("pg-boss, notify", "pg-boss", "singles", "notify"),
    ],
    others: [
      ...builtSides("river", peerSide("River", "river", "singles")),
      peerSide("pg-boss, poll", "pg-boss", "singles", "poll"),
    ],
  };
  const verdict = await hold(onPostgres, size);
  const redis = await startRedis("everysec");
  const onRedis: Contest = {
    ...{ store: redis, postgres: null, ours: tasktrack() },
    peers: BULLMQ_CLIENTS.map((client) => peerSide(`BullMQ, ${client}`, "bullmq", client, "singles")),
    others: builtSides("asynq", peerSide("Asynq", "asynq", "singles")),
  };
  return [verdict, await hold(onRedis, size)];
};
