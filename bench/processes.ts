/**
 * Many processes on one store: one with ROLE=api creates tasks, 1, 4, 16 or 48 with ROLE=worker run them. Measures the processor time of
 * the store's server while there is nothing to do and with 20 creates a second, the time from the create of a task to its start, and, with
 * few and with many processes, the throughput at full load and how equally the processes shared the tasks.
 */
import { cpuSeconds, unpinned } from "./machine.ts";
import type { Options } from "./options.ts";
import { figure, median, percentile, printTable, spread, type Verdict } from "./report.ts";
import { bun, checkout, type Server, startServer, stop, tasktrackEnv } from "./servers.ts";
import { type Store, startPostgres, startRedis } from "./stores.ts";

type Size = {
  readonly rounds: number;
  readonly counts: readonly number[];
  readonly seconds: number;
  readonly tasks: number;
};

const FULL: Size = { rounds: 3, counts: [1, 4, 16, 48], seconds: 15, tasks: 20_000 };
const QUICK: Size = { rounds: 1, counts: [1, 4], seconds: 2, tasks: 2_000 };

/** A working copy of TaskTrack with its packages installed. */
type Side = { readonly name: string; readonly folder: string };
type Fleet = { readonly api: Server; readonly workers: readonly Server[] };

/** Processor milliseconds of a second. */
type Costs = { readonly store: number; readonly tasktrack: number };
type Load = { readonly perSecond: number; readonly tasksOfEach: readonly number[] };
type Measured = {
  readonly idle: Costs;
  readonly trickle: Costs;
  readonly pickupsMs: readonly number[];
  readonly load: Load | null;
};

/** All worker processes together: sixteen with the default of ten. More processes have at least one each. */
const SLOTS = 160;
/** The throughput is measured with these numbers of processes. */
const LOADED: readonly number[] = [1, 16];
const PER_SECOND = 20;
const BATCH = 500;
const BATCHES_AT_ONCE = 4;
const PAGE = 1_000;
const WARM_UP = 2_000;
/** For work that processes do once after their start. */
const REST_MS = 8_000;
const WITHIN_MS = 120_000;
const LOOK_EVERY_MS = 100;
const AGAIN_MS = 50;
/** The default, which is not changed here. A task that waits longer was missed by the wake-ups and by the poll. */
const DISPATCH_INTERVAL_MS = 1_000;
/** Due at once: a simulated task is otherwise due after DISPATCH_INTERVAL, and sends no wake-up. */
const TASK = { name: "no-op", delay: "0s" };

// ---- the processes

const startFleet = async (store: Store, side: Side, count: number): Promise<Fleet> => {
  const env = {
    STORE_URL: await store.empty(),
    SIMULATE_MIN: "0s",
    SIMULATE_MAX: "0s",
    SIMULATE_FAILURE_RATE: "0",
    WORKER_CONCURRENCY: String(Math.floor(SLOTS / count)),
  };
  const startOne = (role: string): Promise<Server> =>
    startServer({
      name: side.name,
      command: [...bun, `${side.folder}/src/main.ts`, "serve"],
      env: tasktrackEnv({ ...env, ROLE: role }),
      pin: unpinned,
    });
  const api = await startOne("api");
  return { api, workers: await Promise.all(Array.from({ length: count }, () => startOne("worker"))) };
};

/** The API process ends first, so that no notifications are sent when the workers end. */
const stopFleet = async ({ api, workers }: Fleet): Promise<void> => {
  await stop(api);
  await Promise.all(workers.map(stop));
};

/** The processor time of the store's server and of all processes while a function runs. */
const costsOf = async (store: Store, fleet: Fleet, act: () => Promise<unknown>): Promise<Costs> => {
  const usedByFleet = (): number =>
    [fleet.api, ...fleet.workers].reduce((sum, { pid }) => sum + cpuSeconds(pid), 0);
  const [store0, fleet0, startedAt] = [store.cpuSeconds() ?? 0, usedByFleet(), performance.now()];
  await act();
  const seconds = (performance.now() - startedAt) / 1000;
  const perSecond = (used: number): number => (used * 1000) / seconds;
  return {
    store: perSecond((store.cpuSeconds() ?? 0) - store0),
    tasktrack: perSecond(usedByFleet() - fleet0),
  };
};

// ---- the calls

type Listed = {
  readonly id: number;
  readonly created_at: string;
  readonly started_at: string | null;
  readonly finished_at: string | null;
  readonly attempts: readonly { readonly worker: string }[];
};

const demand = ({ status, url }: Response, wanted: number): void => {
  if (status !== wanted) {
    throw new Error(`${url} answered ${status}`);
  }
};

const post = ({ api }: Fleet, body: unknown): Promise<Response> =>
  fetch(`http://127.0.0.1:${api.port}/api/task`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });

const COUNTED = { prefer: "count=exact" };

const get = async ({ api }: Fleet, path: string, headers: Record<string, string> = {}): Promise<Response> => {
  const answer = await fetch(`http://127.0.0.1:${api.port}${path}`, { headers });
  demand(answer, 200);
  return answer;
};

/** On a busy machine the store answers late, and the create is refused: it is sent again. */
const create = async (fleet: Fleet, body: unknown): Promise<void> => {
  for (;;) {
    const answer = await post(fleet, body);
    await answer.arrayBuffer();
    if (answer.status !== 503) {
      return demand(answer, 201);
    }
    await Bun.sleep(AGAIN_MS);
  }
};

/** The newest tasks, as many as were created since. */
const newest = async (fleet: Fleet, count: number): Promise<readonly Listed[]> => {
  const tasks: Listed[] = [];
  let path: string | null = `/api/task?view=state&sort=-id&limit=${PAGE}`;
  while (path !== null && tasks.length < count) {
    const answer = await get(fleet, path);
    tasks.push(...((await answer.json()) as Listed[]));
    path = /<([^>]+)>; rel="next"/.exec(answer.headers.get("link") ?? "")?.[1] ?? null;
  }
  if (tasks.length < count) {
    throw new Error(`${count} tasks were created and the store has ${tasks.length}`);
  }
  return tasks.slice(0, count);
};

const untilDone = async (fleet: Fleet): Promise<void> => {
  const giveUpAt = performance.now() + WITHIN_MS;
  for (;;) {
    const left = await get(fleet, "/api/task?status=pending&status=running&limit=1", COUNTED);
    await left.arrayBuffer();
    if (left.headers.get("x-total-count") === "0") {
      return;
    }
    if (performance.now() > giveUpAt) {
      throw new Error(`not all tasks have ended within ${WITHIN_MS} ms`);
    }
    await Bun.sleep(LOOK_EVERY_MS);
  }
};

/** In batches, as fast as they are accepted, while the workers run. */
const pour = async (fleet: Fleet, tasks: number): Promise<void> => {
  const batches = Array.from({ length: tasks / BATCH }, () => new Array(BATCH).fill(TASK)).values();
  const createNext = async (): Promise<void> => {
    for (const batch of batches) {
      await create(fleet, batch);
    }
  };
  await Promise.all(Array.from({ length: BATCHES_AT_ONCE }, createNext));
  await untilDone(fleet);
};

/** At fixed times, independent of the answers. */
const trickle = async (fleet: Fleet, tasks: number): Promise<void> => {
  const startedAt = performance.now();
  const creates: Promise<void>[] = [];
  for (let task = 0; task < tasks; task += 1) {
    await Bun.sleep(Math.max(0, startedAt + (task * 1000) / PER_SECOND - performance.now()));
    creates.push(create(fleet, TASK));
  }
  await Promise.all(creates);
  await Bun.sleep(1000 / PER_SECOND);
};

const timeOf = (text: string | null): number => Date.parse(text ?? "");

const measureLoad = async (fleet: Fleet, tasks: number): Promise<Load> => {
  const startedAt = Date.now();
  await pour(fleet, tasks);
  const done = await newest(fleet, tasks);
  const lastEnd = done.reduce((last, task) => Math.max(last, timeOf(task.finished_at)), 0);
  const byWorker = new Map<string, number>();
  for (const { attempts } of done) {
    const worker = attempts.at(-1)?.worker ?? "";
    byWorker.set(worker, (byWorker.get(worker) ?? 0) + 1);
  }
  return { perSecond: (tasks / (lastEnd - startedAt)) * 1000, tasksOfEach: [...byWorker.values()] };
};

const measureSide = async (store: Store, side: Side, count: number, size: Size): Promise<Measured> => {
  const fleet = await startFleet(store, side, count);
  await pour(fleet, WARM_UP);
  await store.settle();
  await Bun.sleep(REST_MS);
  const idle = await costsOf(store, fleet, () => Bun.sleep(size.seconds * 1000));
  const drops = size.seconds * PER_SECOND;
  const trickled = await costsOf(store, fleet, () => trickle(fleet, drops));
  await untilDone(fleet);
  const pickupsMs = (await newest(fleet, drops)).map(
    (task) => timeOf(task.started_at) - timeOf(task.created_at),
  );
  const load = LOADED.includes(count) ? await measureLoad(fleet, size.tasks) : null;
  await stopFleet(fleet);
  return { idle, trickle: trickled, pickupsMs, load };
};

// ---- tables

type Result = { readonly side: Side; readonly count: number; readonly measured: Measured[] };

const of = (result: Result | undefined, value: (measured: Measured) => number): number =>
  median((result?.measured ?? []).map(value));

const pickupsOf = ({ measured }: Result): readonly number[] => measured.flatMap(({ pickupsMs }) => pickupsMs);

const oneOf = (results: readonly Result[], { side }: Result): Result | undefined =>
  results.find(
    (result) => result.side === side && result.count === Math.min(...results.map(({ count }) => count)),
  );

const rowOf = (result: Result, one: Result | undefined): string[] => {
  const idle = of(result, (measured) => measured.idle.store);
  const busy = of(result, (measured) => measured.trickle.store);
  const pickups = pickupsOf(result);
  const late = pickups.filter((ms) => ms > DISPATCH_INTERVAL_MS).length;
  return [
    `${result.count}, ${result.side.name}`,
    figure(idle),
    figure(idle / (result.count + 1)),
    figure(busy),
    figure(busy / of(one, (measured) => measured.trickle.store)),
    figure(of(result, (measured) => measured.trickle.tasktrack)),
    ...[0.5, 0.99, 1].map((share) => figure(percentile(pickups, share))),
    `${late} of ${figure(pickups.length)}`,
  ];
};

const loadRow = (result: Result, one: Result | undefined): string[] => {
  const rate = of(result, ({ load }) => load?.perSecond ?? Number.NaN);
  const shares = result.measured.flatMap(({ load }) => load?.tasksOfEach ?? []);
  return [
    `${result.count}, ${result.side.name}`,
    figure(rate),
    spread(result.measured.map(({ load }) => load?.perSecond ?? Number.NaN)),
    figure(rate / of(one, ({ load }) => load?.perSecond ?? Number.NaN)),
    spread(shares),
  ];
};

const print = (store: Store, results: readonly Result[]): void => {
  const head = ["idle, ms/s", "a process", `${PER_SECOND} creates/s, ms/s`, "to one", "TaskTrack, ms/s"];
  const pickup = ["pickup p50 ms", "p99 ms", "most ms", `over ${DISPATCH_INTERVAL_MS} ms`];
  const rows = results.map((result) => rowOf(result, oneOf(results, result)));
  printTable([[`worker processes on ${store.name}`, ...head, ...pickup], ...rows]);
  const loaded = results.filter(({ count }) => LOADED.includes(count));
  console.log();
  printTable([
    ["at full load", "no-op tasks/s", "lowest to highest", "to one", "tasks of each process"],
    ...loaded.map((result) => loadRow(result, oneOf(results, result))),
  ]);
};

const verdictsOf = (store: Store, results: readonly Result[], side: Side): Verdict[] => {
  const own = results.filter((result) => result.side === side);
  const [one, most] = [own[0], own.at(-1)];
  const many = own.findLast(({ count }) => LOADED.includes(count));
  const ofStore = ({ trickle }: Measured): number => trickle.store;
  const perSecond = ({ load }: Measured): number => load?.perSecond ?? Number.NaN;
  const idlePerProcess = own.map((each) => of(each, ({ idle }) => idle.store) / (each.count + 1));
  return [
    {
      what: `${store.name}, ${PER_SECOND} creates/s, ${most?.count} processes to one`,
      ...{ measured: of(most, ofStore) / of(one, ofStore), target: 1.5, want: "at most", unit: "" },
    },
    {
      what: `${store.name}, idle, a process, the highest`,
      ...{ measured: Math.max(...idlePerProcess), target: 0.3, want: "at most", unit: " ms/s" },
    },
    {
      what: `${store.name}, full load, ${many?.count} processes to one`,
      ...{ measured: of(many, perSecond) / of(one, perSecond), target: 0.7, want: "at least", unit: "" },
    },
  ];
};

/** The sides take turns, each with an empty store. Each round begins with another side. */
const measureStore = async (store: Store, sides: readonly Side[], size: Size): Promise<readonly Result[]> => {
  const results = size.counts.flatMap((count) =>
    sides.map((side): Result => ({ side, count, measured: [] })),
  );
  for (let round = 0; round < size.rounds; round += 1) {
    for (const count of size.counts) {
      const turn = results.filter((result) => result.count === count);
      for (const { side, measured } of round % 2 === 0 ? turn : turn.toReversed()) {
        measured.push(await measureSide(store, side, count, size));
      }
    }
  }
  print(store, results);
  return results;
};

const numbersIn = (text: string | undefined): readonly number[] | undefined => text?.split(",").map(Number);

export const processes = async (quick: boolean, options: Options = {}): Promise<Verdict[]> => {
  const base = quick ? QUICK : FULL;
  const size = {
    ...base,
    counts: numbersIn(options.counts) ?? base.counts,
    rounds: Number(options.rounds ?? base.rounds),
  };
  const own: Side = { name: "this", folder: checkout };
  const sides = options.other === undefined ? [own] : [{ name: "other", folder: options.other }, own];
  const verdicts: Verdict[] = [];
  for (const open of [
    // Forty-eight processes with up to eleven connections each.
    () => startPostgres({ max_connections: "1000" }),
    () => startRedis("everysec"),
  ]) {
    const store = await open();
    if (options.store === undefined || store.name.startsWith(options.store)) {
      verdicts.push(...verdictsOf(store, await measureStore(store, sides, size), own));
    }
    await store.remove();
  }
  return verdicts;
};
