/** One million tasks in memory: the memory of a task, the time of each call, and whether a whole list delays the calls. */
import { rssBytes, sampleRss } from "./machine.ts";
import { figure, median, megabytes, printTable, spread, type Verdict } from "./report.ts";
import { type Loaded, load, type Server, startTasktrack, stop } from "./servers.ts";

type Size = {
  readonly tasks: number;
  readonly warmUp: number;
  readonly settleMs: number;
  readonly rounds: number;
  readonly requests: number;
  readonly streamSeconds: number;
};
type Kind = "get" | "churn";
type Streamed = { readonly seconds: number; readonly bytes: number };

const FULL: Size = {
  tasks: 1_000_000,
  warmUp: 30_000,
  settleMs: 15_000,
  rounds: 5,
  requests: 50_000,
  streamSeconds: 15,
};
const QUICK: Size = {
  tasks: 100_000,
  warmUp: 10_000,
  settleMs: 3_000,
  rounds: 3,
  requests: 10_000,
  streamSeconds: 4,
};
const FEW_TASKS = 1_000;

/** One worker with a task of an hour: all other tasks stay pending. */
const SETTINGS = { WORKER_CONCURRENCY: "1", SIMULATE_MIN: "1h", SIMULATE_MAX: "1h" };

/** Few enough that a slow answer is not hidden behind other requests, enough to keep the server busy. */
const CONNECTIONS = 8;
const CREATES_PER_SECOND = 1_000;

const startWarm = async (size: Size): Promise<Server> => {
  const server = await startTasktrack(SETTINGS);
  await load(server, { kind: "churn", requests: size.warmUp });
  return server;
};

const fill = async (server: Server, size: Size): Promise<number> => {
  await Bun.sleep(size.settleMs);
  const before = rssBytes(server.pid);
  const loaded = await load(server, { kind: "create", requests: size.tasks });
  const after = rssBytes(server.pid);
  await Bun.sleep(size.settleMs);
  const settled = rssBytes(server.pid);
  printTable([
    ["resident memory", "MB", "bytes a task"],
    ["empty, after the warm-up", figure(before / 1e6), ""],
    [`with ${figure(size.tasks)} tasks`, figure(after / 1e6), figure((after - before) / size.tasks)],
    [`${size.settleMs / 1000} s later`, figure(settled / 1e6), figure((settled - before) / size.tasks)],
  ]);
  console.log(`  created at ${figure(loaded.perSecond)}/s`);
  return (settled - before) / size.tasks;
};

/** The warm-up used and deleted the ids below; at `few` or `many` tasks the answerable ids follow them. */
const measureGet = (server: Server, size: Size, tasks: number): Promise<Loaded> =>
  load(server, {
    kind: "get",
    requests: size.requests,
    connections: CONNECTIONS,
    ids: tasks,
    firstId: size.warmUp + 1,
  });

/** Every created task is deleted again, so that the number of tasks stays the same. */
const measureCreate = (server: Server, size: Size): Promise<Loaded> =>
  load(server, { kind: "churn", requests: size.requests, connections: CONNECTIONS });

const p99s = (loads: readonly Loaded[]): number[] => loads.map(({ p99Ms }) => p99Ms);

const compare = async (many: Server, size: Size): Promise<Verdict[]> => {
  const few = await startWarm(size);
  await load(few, { kind: "create", requests: FEW_TASKS });
  const sides = [
    { server: few, tasks: FEW_TASKS },
    { server: many, tasks: size.tasks },
  ];
  const loads: Record<Kind, [Loaded[], Loaded[]]> = { get: [[], []], churn: [[], []] };
  for (let round = -1; round < size.rounds; round += 1) {
    for (const side of round % 2 === 0 ? [0, 1] : [1, 0]) {
      const { server, tasks } = sides[side] as (typeof sides)[number];
      const get = await measureGet(server, size, tasks);
      const create = await measureCreate(server, size);
      // Round -1 is the warm-up of both servers at the size they have now.
      if (round >= 0) {
        loads.get[side]?.push(get);
        loads.churn[side]?.push(create);
      }
    }
  }
  await stop(few);
  const kinds = [
    { what: "get", pair: loads.get },
    { what: "create", pair: loads.churn },
  ];
  printTable([
    ["p99 ms", `${figure(FEW_TASKS)} tasks`, "spread", `${figure(size.tasks)} tasks`, "spread", "ratio"],
    ...kinds.map(({ what, pair: [small, large] }) => [
      what,
      figure(median(p99s(small))),
      spread(p99s(small)),
      figure(median(p99s(large))),
      spread(p99s(large)),
      figure(median(p99s(large)) / median(p99s(small))),
    ]),
  ]);
  return kinds.map(({ what, pair: [small, large] }) => ({
    what: `${what} p99 at ${figure(size.tasks)} tasks / at ${figure(FEW_TASKS)}`,
    measured: median(p99s(large)) / median(p99s(small)),
    target: 1.5,
    want: "at most",
    unit: "",
  }));
};

/** The list is not a snapshot: it may have tasks that are created meanwhile, but each older task is in it exactly once. */
const demandWholeList = (list: unknown, firstId: number, tasks: number): void => {
  if (!Array.isArray(list) || list.length < tasks) {
    throw new Error(`the list should be an array of at least ${tasks} tasks`);
  }
  let last = firstId - 1;
  for (const [index, task] of (list as { id: number }[]).entries()) {
    if (task.id <= last || (index < tasks && task.id !== firstId + index)) {
      throw new Error(`element ${index} of the list has the id ${task.id} after ${last}`);
    }
    last = task.id;
  }
};

const readList = async (server: Server): Promise<Uint8Array[]> => {
  const answer = await fetch(`http://127.0.0.1:${server.port}/api/task`);
  if (answer.status !== 200 || answer.body === null) {
    throw new Error(`the list answered ${answer.status}`);
  }
  const chunks: Uint8Array[] = [];
  for await (const chunk of answer.body) {
    chunks.push(chunk);
  }
  return chunks;
};

const streamOnce = async (server: Server, check: (list: unknown) => void): Promise<Streamed> => {
  const startedAt = performance.now();
  const whole = Buffer.concat(await readList(server));
  const seconds = (performance.now() - startedAt) / 1000;
  check(JSON.parse(whole.toString("utf8")));
  return { seconds, bytes: whole.length };
};

/** Reads one list after another until `stop`. It does not parse them, because parsing would use the load generator's core. */
const streamWhile = (server: Server) => {
  let wanted = true;
  const streams = async (): Promise<number> => {
    let whole = 0;
    while (wanted) {
      await readList(server);
      whole += 1;
    }
    return whole;
  };
  const finished = streams();
  return {
    stop: () => {
      wanted = false;
      return finished;
    },
  };
};

const stream = async (server: Server, size: Size): Promise<Verdict[]> => {
  const firstId = await firstOfTheList(server);
  const before = rssBytes(server.pid);
  const sampling = sampleRss(server.pid, 20);
  const checked = await streamOnce(server, (list) => demandWholeList(list, firstId, size.tasks));
  const plan = {
    kind: "create",
    requests: CREATES_PER_SECOND * size.streamSeconds,
    perSecond: CREATES_PER_SECOND,
  } as const;
  const alone = await load(server, plan);
  const streaming = streamWhile(server);
  const beside = await load(server, plan);
  const lists = await streaming.stop();
  const peak = Math.max(...sampling.stop().map(({ bytes }) => bytes));
  console.log(
    `  the whole list: ${figure(size.tasks)} elements, ${megabytes(checked.bytes)} of valid JSON in ${figure(checked.seconds)} s; the server held ${megabytes(before)} before and at most ${megabytes(peak)} during`,
  );
  printTable([
    [`${figure(CREATES_PER_SECOND)} creates/s, ms`, "p50", "p99", "p99.9", "most"],
    ...[
      { name: "alone", loaded: alone },
      { name: `beside ${lists} whole lists, one after the other`, loaded: beside },
    ].map(({ name, loaded: { p50Ms, p99Ms, p999Ms, maxMs } }) => [
      name,
      ...[p50Ms, p99Ms, p999Ms, maxMs].map(figure),
    ]),
  ]);
  return [
    {
      what: "create p99 while the list streams",
      measured: beside.p99Ms,
      target: 20,
      want: "at most",
      unit: " ms",
    },
  ];
};

const firstOfTheList = async (server: Server): Promise<number> => {
  const answer = await fetch(`http://127.0.0.1:${server.port}/api/task?limit=1`);
  const [first] = (await answer.json()) as { id: number }[];
  if (first === undefined) {
    throw new Error("the list of the full server is empty");
  }
  return first.id;
};

export const million = async (quick: boolean): Promise<Verdict[]> => {
  const size = quick ? QUICK : FULL;
  const server = await startWarm(size);
  const bytesPerTask = await fill(server, size);
  const compared = await compare(server, size);
  const streamed = await stream(server, size);
  await stop(server);
  const memory: Verdict = {
    what: `memory a task at ${figure(size.tasks)}`,
    measured: bytesPerTask,
    target: 500,
    want: "at most",
    unit: " bytes",
  };
  return [memory, ...compared, ...streamed];
};
