/**
 * Creates over HTTP, each stored before its answer: TaskTrack and the usual libraries for the same store, on that store.
 */
import { CREATE_TASK, type Post } from "./load.ts";
import {
  BULLMQ_CLIENTS,
  builtSides,
  countUnfinished,
  installPeers,
  type Peer,
  startBunqueue,
  startPeer,
} from "./peers.ts";
import { figure, median, printTable, spread, type Verdict } from "./report.ts";
import { type Loaded, load, type Server, startTasktrack, stop } from "./servers.ts";
import { createFiles, type Store, startPostgres, startRedis } from "./stores.ts";

type Side = {
  readonly name: string;
  readonly start: (storeUrl: string) => Promise<Server>;
  readonly post: Post;
  /** The number of jobs in the store, read without the library if possible. */
  readonly countStored: (server: Server, storeUrl: string) => Promise<number>;
};
type Contest = {
  readonly store: Store;
  /** TaskTrack is compared with the best of them. */
  readonly peers: readonly Side[];
  /** For information. */
  readonly others: readonly Side[];
  readonly target: number;
};
type Measured = Loaded & { readonly storeBusy: number | null };
type Size = { readonly rounds: number; readonly warmUpMs: number; readonly forMs: number };

const FULL: Size = { rounds: 3, warmUpMs: 1_000, forMs: 2_000 };
const QUICK: Size = { rounds: 1, warmUpMs: 300, forMs: 500 };
const CONNECTIONS = [64, 256];
/** More than any side can create in a measurement. */
const REQUESTS_AT_MOST = 1_000_000;

const ask = async (server: Server, path: string, init?: RequestInit): Promise<unknown> => {
  const answer = await fetch(`http://127.0.0.1:${server.port}${path}`, init);
  if (!answer.ok) {
    throw new Error(`${server.name}: ${path} answered ${answer.status}`);
  }
  return answer.json();
};

/** Ids are consecutive, so the next one is the count. The HTTP servers of the peers have no workers either. */
const tasktrack: Side = {
  name: "TaskTrack",
  start: (storeUrl) => startTasktrack({ STORE_URL: storeUrl, ROLE: "api" }),
  post: CREATE_TASK,
  countStored: async (server) => {
    const headers = { "content-type": "application/json" };
    const body = JSON.stringify({ name: "the last" });
    const created = (await ask(server, "/api/task", { method: "POST", headers, body })) as {
      task_id: number;
    };
    await ask(server, `/api/task/${created.task_id}`);
    return created.task_id - 1;
  },
};

/** Without workers, so that no job ends. */
const peerSide = (name: string, peer: Peer, ...args: readonly string[]): Side => ({
  name,
  start: (storeUrl) => startPeer(peer, storeUrl, ...args, "serve"),
  post: CREATE_TASK,
  countStored: (_, storeUrl) => countUnfinished(peer, storeUrl),
});

const bunqueue = (durable: boolean): Side => ({
  name: durable ? "bunqueue, durable: true" : "bunqueue",
  start: (storeUrl) => startBunqueue(storeUrl.slice("sqlite:".length)),
  post: {
    path: "/queues/work/jobs",
    body: JSON.stringify({ data: JSON.parse(CREATE_TASK.body), ...(durable ? { durable } : {}) }),
    status: 200,
  },
  countStored: async (server) => {
    const { counts } = (await ask(server, "/queues/work/counts")) as { counts: { waiting: number } };
    return counts.waiting;
  },
});

const demandStored = (side: Side, answered: number, stored: number): void => {
  if (stored !== answered) {
    throw new Error(`${side.name} answered ${answered} creates and stored ${stored}`);
  }
};

/** Each side starts on an empty store; the background work of one is finished before the next measurement. */
const measureSide = async (store: Store, side: Side, size: Size): Promise<Measured[]> => {
  const storeUrl = await store.empty();
  const server = await side.start(storeUrl);
  const plan = { kind: "create", requests: REQUESTS_AT_MOST, post: side.post } as const;
  const warmedUp = await load(server, { ...plan, forMs: size.warmUpMs });
  let answered = warmedUp.requests;
  const measured: Measured[] = [];
  for (const connections of CONNECTIONS) {
    await store.settle();
    const before = store.cpuSeconds();
    const loaded = await load(server, { ...plan, connections, forMs: size.forMs });
    const after = store.cpuSeconds();
    const storeBusy = before === null || after === null ? null : (after - before) / loaded.seconds;
    measured.push({ ...loaded, storeBusy });
    answered += loaded.requests;
  }
  demandStored(side, answered, await side.countStored(server, storeUrl));
  await stop(server);
  return measured;
};

const percent = (share: number | null): string => (share === null ? "" : `${Math.round(share * 100)} %`);
const rates = (loads: readonly Measured[]): number[] => loads.map(({ perSecond }) => perSecond);

type Results = ReadonlyMap<Side, readonly (readonly Measured[])[]>;

/** The measurements of one side at one number of connections. */
const pick = (results: Results, side: Side, at: number): Measured[] =>
  (results.get(side) ?? []).flatMap((round) => round[at] ?? []);

const print = (store: Store, results: Results): void => {
  const head = [
    "creates/s",
    "lowest to highest",
    "TaskTrack / it",
    "p50 ms",
    "p99 ms",
    "server",
    "load",
    "store",
  ];
  const rows = CONNECTIONS.flatMap((connections, at) =>
    [...results.keys()].map((side) => {
      const loads = pick(results, side, at);
      const middle = (of: (load: Measured) => number): number => median(loads.map(of));
      return [
        `${side.name}, ${connections} connections`,
        figure(median(rates(loads))),
        spread(rates(loads)),
        figure(median(rates(pick(results, tasktrack, at))) / median(rates(loads))),
        figure(middle(({ p50Ms }) => p50Ms)),
        figure(middle(({ p99Ms }) => p99Ms)),
        percent(middle(({ serverBusy }) => serverBusy)),
        percent(middle(({ loadBusy }) => loadBusy)),
        store.cpuSeconds() === null ? "" : percent(middle(({ storeBusy }) => storeBusy ?? Number.NaN)),
      ];
    }),
  );
  printTable([[store.name, ...head], ...rows]);
};

const hold = async ({ store, peers, others, target }: Contest, size: Size): Promise<Verdict[]> => {
  const sides = [tasktrack, ...peers, ...others];
  const results = new Map<Side, Measured[][]>(sides.map((side) => [side, []]));
  for (let round = 0; round < size.rounds; round += 1) {
    const first = round % sides.length;
    for (const side of [...sides.slice(first), ...sides.slice(0, first)]) {
      results.get(side)?.push(await measureSide(store, side, size));
    }
  }
  print(store, results);
  await store.remove();
  return CONNECTIONS.map((connections, at) => {
    const rateOf = (side: Side): number => median(rates(pick(results, side, at)));
    return {
      what: `creates on ${store.name}, ${connections} connections, TaskTrack / ${peers[0]?.name.split(",")[0]}`,
      measured: rateOf(tasktrack) / Math.max(...peers.map(rateOf)),
      target,
      want: "at least",
      unit: "",
    };
  });
};

export const creates = async (quick: boolean): Promise<Verdict[]> => {
  installPeers();
  const size = quick ? QUICK : FULL;
  const bullmq = BULLMQ_CLIENTS.map((client) => peerSide(`BullMQ add, ${client}`, "bullmq", client));
  const asynq = builtSides("asynq", peerSide("Asynq Enqueue", "asynq"));
  const contests: readonly (() => Promise<Contest>)[] = [
    async () => ({
      store: await startPostgres(),
      peers: [peerSide("pg-boss send", "pg-boss")],
      others: builtSides("river", peerSide("River Insert", "river")),
      target: 8,
    }),
    async () => ({ store: createFiles(), peers: [bunqueue(false)], others: [bunqueue(true)], target: 5 }),
    async () => ({
      store: await startRedis("everysec"),
      peers: bullmq,
      others: asynq,
      target: 2,
    }),
    async () => ({
      store: await startRedis("always"),
      peers: bullmq,
      others: asynq,
      target: 2,
    }),
  ];
  const verdicts: Verdict[] = [];
  for (const prepare of contests) {
    verdicts.push(...(await hold(await prepare(), size)));
  }
  return verdicts;
};
