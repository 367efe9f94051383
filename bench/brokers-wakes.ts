/**
 * Wake-ups: one process with ROLE=api creates tasks, one or more with ROLE=worker work on them, on PostgreSQL alone or with a
 * broker. Measures the throughput, the time from the create to the start of a task, and the processor time of each part, especially
 * when there are few tasks or none, because this shows the cost of unnecessary wake-ups.
 */
import type { Broker } from "./brokers-servers.ts";
import { cpuSeconds } from "./machine.ts";
import { figure, median, percentile, printTable, spread } from "./report.ts";
import { type Server, startTasktrackAnywhere, stop } from "./servers.ts";
import type { PostgresStore } from "./stores.ts";

export type WakesSize = {
  readonly rounds: number;
  readonly processes: readonly number[];
  readonly warmUp: number;
  readonly tasks: number;
  readonly idleSeconds: number;
  readonly trickleSeconds: number;
};

/** With the extension that counts the calls of each statement. */
export const WAKES_SETTINGS = { shared_preload_libraries: "pg_stat_statements" };

type Side = {
  readonly name: string;
  readonly broker: Broker | null;
  readonly env: Readonly<Record<string, string>>;
};

type Fleet = { readonly api: Server; readonly workers: readonly Server[]; readonly broker: Broker | null };

/** The usage up to a moment, or between two: processor seconds, and calls of the claim. */
type Use = {
  readonly atMs: number;
  readonly store: number;
  readonly tasktrack: number;
  readonly broker: number;
  readonly claims: number;
};

type Phase = Omit<Use, "atMs"> & {
  readonly seconds: number;
  readonly tasks: number;
  readonly emptyClaims: number;
};
type Measured = {
  readonly perSecond: number;
  readonly pickupsMs: readonly number[];
  readonly idle: Phase;
  readonly trickle: Phase;
  readonly load: Phase;
};

/** All worker processes together: sixteen with the default of ten. */
const SLOTS = 160;
const BATCH = 500;
const BATCHES_AT_ONCE = 4;
const TRICKLE_PER_SECOND = 20;
/** The default, which is not changed here. A task that waits longer was missed by the wake-ups and by the poll. */
const DISPATCH_INTERVAL_MS = 1_000;
const WITHIN_MS = 120_000;
const LOOK_EVERY_MS = 20;
/** For events that are still on their way, and for work that processes do once after their start. */
const REST_MS = 3_000;

/** The tasks are due at once. Simulated ones are due after DISPATCH_INTERVAL, and are found only by the poll. */
const TASK = { name: "no-op", delay: "0s" };

// ---- the processes

const startFleet = async (store: PostgresStore, side: Side, processes: number): Promise<Fleet> => {
  const env = {
    STORE_URL: await store.empty(),
    SIMULATE_MIN: "0s",
    SIMULATE_MAX: "0s",
    SIMULATE_FAILURE_RATE: "0",
    WORKER_CONCURRENCY: String(SLOTS / processes),
    ...side.env,
  };
  await store.sql().unsafe("CREATE EXTENSION pg_stat_statements");
  await store.sql().unsafe("SELECT pg_stat_statements_reset()"); // it counts a limited number of statements, over all databases
  const api = await startTasktrackAnywhere({ ...env, ROLE: "api" });
  const starting = Array.from({ length: processes }, () =>
    startTasktrackAnywhere({ ...env, ROLE: "worker" }),
  );
  return { api, workers: await Promise.all(starting), broker: side.broker };
};

/** The API process ends first, so that no notifications are sent when the workers end. */
const stopFleet = async ({ api, workers }: Fleet): Promise<void> => {
  await stop(api);
  await Promise.all(workers.map(stop));
};

// ---- counts

/**
 * Every call of the claim, of all processes and with any result: pg_stat_statements counts it in the server when it ends. The product
 * has one such statement.
 */
const CLAIMS = `SELECT coalesce(sum(calls), 0)::float8 AS n FROM pg_stat_statements WHERE query LIKE '%tasktrack.claim(%'`;

/**
 * The claims that found tasks: each call writes its own nonce into the tokens of all the tasks that it claims, and the token stays on
 * an ended task, which is claimed once here.
 */
const FRUITFUL =
  "SELECT count(DISTINCT split_part(token, '.', 2))::float8 AS n FROM tasktrack.tasks WHERE id > $1";

const LAST_ID = "SELECT coalesce(max(id), 0)::float8 AS n FROM tasktrack.tasks";

/** Each half has its own index. */
const UNFINISHED = `SELECT (EXISTS (SELECT FROM tasktrack.tasks WHERE status = 'pending')
  OR EXISTS (SELECT FROM tasktrack.tasks WHERE status = 'running'))::integer AS n`;

/** By the clock of the machine on which all of them run. */
const LAST_END = "SELECT max(finished_at)::float8 AS n FROM tasktrack.tasks";

const ask = async (store: PostgresStore, query: string, ...given: readonly number[]): Promise<number> => {
  const [row] = (await store.sql().unsafe(query, [...given])) as [{ n: number }];
  return row.n;
};

const usedBy = async (store: PostgresStore, { api, workers, broker }: Fleet): Promise<Use> => ({
  claims: await ask(store, CLAIMS),
  atMs: performance.now(),
  store: store.cpuSeconds(),
  tasktrack: [api, ...workers].reduce((sum, { pid }) => sum + cpuSeconds(pid), 0),
  broker: broker?.cpuSeconds() ?? 0,
});

/** The usage while a function creates this number of tasks, until all of them have ended. */
const meter = async (
  store: PostgresStore,
  fleet: Fleet,
  tasks: number,
  act: () => Promise<unknown>,
): Promise<Phase> => {
  const lastBefore = await ask(store, LAST_ID);
  const before = await usedBy(store, fleet);
  await act();
  const after = await usedBy(store, fleet);
  const made = (await ask(store, LAST_ID)) - lastBefore;
  if (made !== tasks) {
    throw new Error(`${tasks} tasks were made and the store has ${made}`);
  }
  const claims = after.claims - before.claims;
  return {
    seconds: (after.atMs - before.atMs) / 1000,
    store: after.store - before.store,
    tasktrack: after.tasktrack - before.tasktrack,
    broker: after.broker - before.broker,
    claims,
    tasks,
    emptyClaims: claims - (await ask(store, FRUITFUL, lastBefore)),
  };
};

// ---- the phases

const post = async ({ api }: Fleet, body: unknown): Promise<void> => {
  const answer = await fetch(`http://127.0.0.1:${api.port}/api/task`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  await answer.arrayBuffer();
  if (answer.status !== 201) {
    throw new Error(`a create answered ${answer.status}`);
  }
};

const untilDone = async (store: PostgresStore): Promise<void> => {
  const giveUpAt = performance.now() + WITHIN_MS;
  while ((await ask(store, UNFINISHED)) > 0) {
    if (performance.now() > giveUpAt) {
      throw new Error(`not all tasks have ended within ${WITHIN_MS} ms`);
    }
    await Bun.sleep(LOOK_EVERY_MS);
  }
};

/** In batches, as fast as they are accepted, while the workers run. */
const pour = async (store: PostgresStore, fleet: Fleet, tasks: number): Promise<void> => {
  const batches = Array.from({ length: tasks / BATCH }, () => new Array(BATCH).fill(TASK)).values();
  const postNext = async (): Promise<void> => {
    for (const batch of batches) {
      await post(fleet, batch);
    }
  };
  await Promise.all(Array.from({ length: BATCHES_AT_ONCE }, postNext));
  await untilDone(store);
};

/** At fixed times, independent of the answers. */
const trickle = async (store: PostgresStore, fleet: Fleet, tasks: number): Promise<void> => {
  const startedAt = performance.now();
  const posts: Promise<void>[] = [];
  for (let task = 0; task < tasks; task += 1) {
    await Bun.sleep(Math.max(0, startedAt + (task * 1000) / TRICKLE_PER_SECOND - performance.now()));
    posts.push(post(fleet, TASK));
  }
  await Promise.all(posts);
  await untilDone(store);
};

/** From accepted to started, by the times of the tasks: in whole milliseconds, by clocks that agree to about one. */
const pickupsSince = async (store: PostgresStore, id: number): Promise<number[]> => {
  const rows = (await store
    .sql()
    .unsafe("SELECT (started_at - created_at)::float8 AS ms FROM tasktrack.tasks WHERE id > $1", [id])) as {
    ms: number;
  }[];
  return rows.map(({ ms }) => ms);
};

const measureSide = async (
  store: PostgresStore,
  side: Side,
  processes: number,
  size: WakesSize,
): Promise<Measured> => {
  const fleet = await startFleet(store, side, processes);
  await pour(store, fleet, size.warmUp);
  await store.settle();
  await Bun.sleep(REST_MS);
  const idle = await meter(store, fleet, 0, () => Bun.sleep(size.idleSeconds * 1000));
  const drops = size.trickleSeconds * TRICKLE_PER_SECOND;
  const before = await ask(store, LAST_ID);
  const trickled = await meter(store, fleet, drops, () => trickle(store, fleet, drops));
  const pickupsMs = await pickupsSince(store, before);
  const startedAt = Date.now();
  const load = await meter(store, fleet, size.tasks, () => pour(store, fleet, size.tasks));
  const perSecond = (size.tasks / ((await ask(store, LAST_END)) - startedAt)) * 1000;
  await stopFleet(fleet);
  return { perSecond, pickupsMs, idle, trickle: trickled, load };
};

// ---- tables

type Result = { readonly name: string; readonly isAlone: boolean; readonly measured: Measured[] };
/** The first row is PostgreSQL without a broker, with the same number of processes. */
type Group = readonly Result[];

const of = (result: Result | undefined, value: (measured: Measured) => number): number =>
  median((result?.measured ?? []).map(value));

const printSpeeds = (groups: readonly Group[]): void => {
  const row = (result: Result, alone: Result | undefined): string[] => {
    const rate = of(result, ({ perSecond }) => perSecond);
    const pickups = result.measured.flatMap(({ pickupsMs }) => pickupsMs);
    const late = pickups.filter((ms) => ms > DISPATCH_INTERVAL_MS).length;
    return [
      result.name,
      figure(rate),
      spread(result.measured.map(({ perSecond }) => perSecond)),
      figure(rate / of(alone, ({ perSecond }) => perSecond)),
      ...[0.5, 0.99, 1].map((share) => figure(percentile(pickups, share))),
      `${late} of ${figure(pickups.length)}`,
    ];
  };
  const head = ["no-op tasks/s", "lowest to highest", "it / alone", "pickup p50 ms", "p99 ms", "most ms"];
  const rows = groups.flatMap((group) => group.map((result) => row(result, group[0])));
  printTable([["worker processes", ...head, `over ${DISPATCH_INTERVAL_MS} ms`], ...rows]);
};

/** The costs per second of the phase, or per this number of its tasks. */
type Unit = {
  readonly phase: "idle" | "trickle" | "load";
  readonly title: string;
  readonly per: (phase: Phase) => number;
};

const printCosts = (groups: readonly Group[], { phase, title, per }: Unit): void => {
  const row = (result: Result, alone: Result | undefined): string[] => {
    const each = (from: Result | undefined, what: (use: Phase) => number): number =>
      of(from, (measured) => what(measured[phase]) / per(measured[phase]));
    const ms = (what: (use: Phase) => number): string => figure(each(result, what) * 1000);
    const ofStore = (use: Phase): number => use.store;
    return [
      result.name,
      ms(ofStore),
      figure(each(result, ofStore) / each(alone, ofStore)),
      ms((use) => use.tasktrack),
      result.isAlone ? "" : ms((use) => use.broker),
      ms((use) => use.store + use.tasktrack + use.broker),
      figure(each(result, (use) => use.claims)),
      figure(each(result, (use) => use.emptyClaims)),
    ];
  };
  const head = ["PostgreSQL, CPU ms", "it / alone", "TaskTrack", "broker", "all", "claims", "empty claims"];
  const rows = groups.flatMap((group) => group.map((result) => row(result, group[0])));
  console.log();
  printTable([[title, ...head], ...rows]);
};

/** The sides take turns, each with an empty store. Each round begins with another side. */
export const measureWakes = async (
  store: PostgresStore,
  brokers: readonly Broker[],
  size: WakesSize,
): Promise<void> => {
  const sides: readonly Side[] = [
    { name: "PostgreSQL alone", broker: null, env: {} },
    ...(["on", "off"] as const).flatMap((events) =>
      brokers.map((broker) => ({
        name: `with ${broker.name}, EVENTS=${events}`,
        broker,
        env: { QUEUE_URL: broker.url, EVENTS: events },
      })),
    ),
  ];
  const groups = size.processes.map((processes) =>
    sides.map((side): Result & { readonly side: Side; readonly processes: number } => ({
      ...{ side, processes, measured: [], isAlone: side.broker === null },
      name: `${processes}, ${side.name}`,
    })),
  );
  for (let round = 0; round < size.rounds; round += 1) {
    for (const group of groups) {
      const first = round % group.length;
      for (const { side, processes, measured } of [...group.slice(first), ...group.slice(0, first)]) {
        measured.push(await measureSide(store, side, processes, size));
      }
    }
  }
  printSpeeds(groups);
  const second = ({ seconds }: Phase): number => seconds;
  const hundredth = ({ tasks }: Phase): number => tasks / 100;
  printCosts(groups, { phase: "idle", title: "idle, a second", per: second });
  printCosts(groups, { phase: "trickle", title: `${TRICKLE_PER_SECOND} creates/s, a second`, per: second });
  printCosts(groups, { phase: "load", title: "at full load, 100 tasks", per: hundredth });
};
