/**
 * Wake-ups are deleted and multiplied; the broker is restarted, killed, frozen and short of memory; workers are killed. No task is
 * lost, no task is run by two workers at the same time, and no client waits for a wake-up.
 */
import { expect } from "bun:test";
import type { Ready } from "../../src/client/types.ts";
import type { BrokerState } from "../../src/core/broker.ts";
import type { Task } from "../../src/core/task.ts";
import { eventually } from "../support/eventually.ts";
import { exchange } from "../support/raw.ts";
import { uniqueName } from "../support/stores.ts";
import { BROKERS, type BrokenBroker, type BrokerName, testBrokers, usuallyOn } from "./brokers.ts";
import { faultsOfAnswers, faultsOfCreates, faultsOfExecutions, faultsOfLife } from "./checkers.ts";
import { allEnded, createMember, killAtWork, type Member } from "./cluster.ts";
import { executionsOf, readAllTasks } from "./history.ts";
import { type Asked, createSteadily, type SteadyLoad } from "./load.ts";
import { corner, type Place } from "./places.ts";
import { expectWithin, isFull, median, most, quantile, report, SHORT_LEASE_MS, scale } from "./scale.ts";

/** The usual DISPATCH_INTERVAL. */
const POLL_MS = 1_000;
/** Long, for tests of wake-ups: a task that starts long before the next poll was started by a wake-up. */
const RARE_POLL_MS = scale(60_000, 5_000);
const ENDED_WITHIN_MS = 300_000;
const STEADY_MS = scale(500, 3_000);
const PER_SECOND = scale(20, 50);
/**
 * The rate of creates while a broker starts, which takes many seconds on a busy machine. At the full rate of 50 a second there
 * were 10,000 tasks, which took most of the processor time of this file.
 */
const PER_SECOND_AT_STARTS = scale(2, 50);
/** A create that waited for a broken broker would take longer than this. */
const CREATED_WITHIN_MS = 2_000;

/** The present cluster of each broker. */
const clusters = new Map<BrokerName, Cluster>();

const testWakeUps: typeof testBrokers = (names, claim, body) =>
  testBrokers(names, claim, async (broker) => {
    try {
      await body(broker);
    } finally {
      await clusters.get(broker.name)?.close(); // still open if a test has failed
    }
  });

type Cluster = {
  readonly broker: BrokenBroker;
  readonly prefix: string;
  readonly place: Place;
  readonly api: Member;
  readonly workers: readonly Member[];
  readonly pollMs: number;
  /** Kills all processes and removes the data. May be called twice. */
  close(): Promise<void>;
};

type Work = {
  readonly workers: number;
  readonly slots: number;
  readonly ms: readonly [number, number];
  readonly pollMs: number;
};

/** Opens a schema on the shared PostgreSQL, a prefix at the broker, a process that creates tasks and workers. */
async function openCluster(
  broker: BrokenBroker,
  work: Work,
  env: Readonly<Record<string, string>> = {},
): Promise<Cluster> {
  const place = corner("PostgreSQL");
  const prefix = uniqueName("wakeups");
  // The other topics are not used, and each partition makes Kafka's next start longer.
  const few = broker.name === "Kafka" ? "&partitions=1" : "";
  const shared = { STORE_URL: place.storeUrl, QUEUE_URL: `${broker.urlFor(prefix)}${few}`, ...env };
  const ofWorker = {
    ...{ ROLE: "worker", DISPATCH_INTERVAL: `${work.pollMs}ms`, WORKER_CONCURRENCY: String(work.slots) },
    ...{ SIMULATE_MIN: `${work.ms[0]}ms`, SIMULATE_MAX: `${work.ms[1]}ms` },
  };
  const api = createMember({ ...shared, ROLE: "api" });
  const workers = Array.from({ length: work.workers }, () => createMember({ ...shared, ...ofWorker }));
  const close = async (): Promise<void> => {
    if (!clusters.delete(broker.name)) return;
    for (const member of [api, ...workers]) if (member.lives.length > 0) await member.kill();
    await place.remove();
  };
  const cluster = { broker, prefix, place, api, workers, pollMs: work.pollMs, close };
  clusters.set(broker.name, cluster);
  await api.start(); // creates the tables
  await Promise.all(workers.map((worker) => worker.start()));
  await areWoken(cluster);
  return cluster;
}

/** Creates as many tasks at once; resolves with their ids. */
async function createMany({ api }: Cluster, count: number, fields: object = {}): Promise<number[]> {
  const tasks = Array.from({ length: count }, (_, n) => ({ name: `one of many ${n}`, ...fields }));
  const response = await exchange(api.url, {
    ...{ method: "POST", target: "/api/task", body: JSON.stringify(tasks) },
  });
  expect(response.status).toBe(201);
  return ((await response.json()) as { readonly task_ids: number[] }).task_ids; // api.test.ts checks the form
}

async function statusOf({ api }: Cluster, id: number | undefined): Promise<unknown> {
  const task = await (await fetch(`${api.url}/api/task/${id}`)).json();
  return (task as { readonly status: unknown }).status; // api.test.ts checks the form
}

/**
 * Waits until the broker sends wake-ups to each worker. If polls are rare, it also waits until wake-ups start tasks: four tasks in
 * a row each start within a tenth of the time between two polls. With polls alone, this happens once in a thousand times.
 */
async function areWoken(cluster: Cluster): Promise<void> {
  const pickup = async (): Promise<number> => {
    const [id] = await createMany(cluster, 1);
    const from = performance.now();
    await eventually(
      () => statusOf(cluster, id),
      (status) => status !== "pending",
      ENDED_WITHIN_MS,
    );
    return performance.now() - from;
  };
  await eventually(
    () => cluster.broker.receivers(cluster.prefix),
    (receivers) => receivers === cluster.workers.length,
    ENDED_WITHIN_MS,
  );
  if (cluster.pollMs < RARE_POLL_MS) return;
  const longest = async (): Promise<number> =>
    Math.max(await pickup(), await pickup(), await pickup(), await pickup());
  await eventually(longest, (ms) => ms < cluster.pollMs / 10, 2 * ENDED_WITHIN_MS);
}

/** Waits for the end of all tasks, stops all processes and checks the histories. */
async function endWell({ api, workers, place, close }: Cluster): Promise<readonly Task[]> {
  await allEnded(api.url, ENDED_WITHIN_MS);
  const codes = await Promise.all([api, ...workers].map((member) => member.stop()));
  expect(codes).toEqual(codes.map(() => 0));
  const tasks = await readAllTasks(place.storeUrl);
  expect(tasks.flatMap(faultsOfLife)).toEqual([]);
  const executions = workers.flatMap(({ lives }) => lives.flatMap(executionsOf));
  expect(executions.length).toBeGreaterThanOrEqual(tasks.length);
  expect(faultsOfExecutions(executions)).toEqual([]);
  await close();
  return tasks;
}

const startOf = ({ attempts }: Task): number => attempts[0]?.startedAt ?? Number.NaN;
const startsOf = (tasks: readonly Task[]): number[] => tasks.map(({ attempts }) => attempts.length);
const pickupsOf = (tasks: readonly Task[]): number[] => tasks.map((task) => startOf(task) - task.createdAt);

/** Waits until the server shows this state of its broker. The server is ready meanwhile. */
async function hasState({ broker, api }: Cluster, state: BrokerState): Promise<void> {
  const ready = { status: "ready", store: expect.any(String), broker: { name: broker.name, state } };
  const ask = async (): Promise<unknown> => (await fetch(`${api.url}/readyz`)).json();
  const isSo = (answer: unknown): boolean => stateIn(answer) === state;
  expect(await eventually(ask, isSo, ENDED_WITHIN_MS)).toEqual(ready);
}

const stateIn = (ready: unknown): string | undefined => (ready as Ready).broker?.state; // api.test.ts checks the rest

// ---- lost and multiplied wake-ups

const DUE = scale(100, 1_000);

/** Fills all slots, lets the same number of tasks become due, and deletes their wake-ups. Repeats this if a slow machine was late. */
async function purgeWhileBusy(cluster: Cluster): Promise<Purge> {
  const { broker, prefix, workers, api } = cluster;
  for (;;) {
    const busy = await createMany(cluster, DUE);
    await eventually(
      () => new Set(workers.flatMap(({ current }) => executionsOf(current).map(({ taskId }) => taskId))),
      (begun) => busy.every((id) => begun.has(id)),
      ENDED_WITHIN_MS,
    );
    const due = new Set<number>();
    for (let made = 0; made < DUE; made += 100) for (const id of await createMany(cluster, 100)) due.add(id);
    const purged = await broker.purge(prefix);
    const purgedAt = Date.now();
    const waiting = await fetch(`${api.url}/api/task?status=pending&limit=1`);
    const [first] = (await waiting.json()) as readonly unknown[];
    if (purged !== 0 && first !== undefined) return { due, purged, purgedAt };
    await allEnded(api.url, ENDED_WITHIN_MS);
  }
}

type Purge = {
  readonly due: ReadonlySet<number>;
  /** Wake-ups, or null if the broker does not count them. */
  readonly purged: number | null;
  readonly purgedAt: number;
};

testWakeUps(
  usuallyOn("RabbitMQ"),
  "after all wake-ups of due tasks are deleted, each task runs once and soon",
  async (broker) => {
    const workMs = 5_000;
    const cluster = await openCluster(broker, {
      workers: 2,
      slots: DUE / 2,
      ms: [workMs, workMs],
      pollMs: RARE_POLL_MS,
    });
    const { due, purged, purgedAt } = await purgeWhileBusy(cluster);
    await allEnded(cluster.api.url, ENDED_WITHIN_MS);
    await areWoken(cluster);
    const tasks = await endWell(cluster);
    expect(new Set(startsOf(tasks))).toEqual(new Set([1]));
    const started = tasks.filter(({ id }) => due.has(id)).map(startOf);
    expect(started).toHaveLength(DUE);
    // The time until the running tasks end and the workers without a wake-up poll.
    expectWithin(most(started) - purgedAt, workMs + RARE_POLL_MS + 10_000);
    report(`wake-ups purged, ${broker.name}`, {
      ...{ due: DUE, purged: purged ?? "the topic" },
      "last start after ms": most(started) - purgedAt,
    });
  },
);

testWakeUps(
  usuallyOn("Kafka"),
  "each wake-up sent ten times more, in random order, runs no task twice",
  async (broker) => {
    const total = scale(200, 5_000);
    const cluster = await openCluster(broker, { workers: 3, slots: 20, ms: [5, 50], pollMs: RARE_POLL_MS });
    const copies = await broker.multiply(cluster.prefix);
    const load = createSteadily(cluster.api.url, { perSecond: 200, total });
    await load.done;
    await allEnded(cluster.api.url, ENDED_WITHIN_MS);
    await eventually(copies.copies, (count) => count > total, ENDED_WITHIN_MS);
    await copies.stop();
    await areWoken(cluster);
    const tasks = await endWell(cluster);
    expect(faultsOfAnswers(load.asked)).toEqual([]);
    expect(new Set(startsOf(tasks))).toEqual(new Set([1]));
    report(`wake-ups ten times more, ${broker.name}`, { tasks: total, copies: copies.copies() });
  },
);

testWakeUps(
  usuallyOn("RabbitMQ"),
  "a task of high priority starts before the backlog of low priority",
  async (broker) => {
    const backlog = scale(200, 10_000);
    const slots = 10;
    // Slow work, so that the backlog still exists when the task of high priority is created, and small differences of clocks do not matter.
    const ms = isFull ? ([20, 40] as const) : ([500, 1_000] as const);
    const cluster = await openCluster(broker, { workers: 2, slots, ms, pollMs: RARE_POLL_MS });
    for (let made = 0; made < backlog; made += 200) await createMany(cluster, 200, { priority: -5 });
    const [high] = await createMany(cluster, 1, { priority: 5 });
    const createdAt = Date.now();
    const tasks = await endWell(cluster);
    const startedAt = startOf(tasks.find(({ id }) => id === high) as Task); // it was acknowledged
    const low = tasks.filter(({ priority }) => priority < 0).map(startOf);
    const behind = low.filter((at) => at > startedAt).length;
    const between = low.filter((at) => at > createdAt && at < startedAt).length;
    report(`priority, ${broker.name}`, {
      backlog,
      behind,
      between,
      "started after ms": startedAt - createdAt,
    });
    expect(behind).toBeGreaterThan(backlog / 10); // otherwise there was no backlog
    expect(between).toBeLessThanOrEqual(2 * slots); // those that were being claimed at that moment
  },
);

// ---- a broker that does not answer

type Span = { readonly from: number; readonly to: number };

const isIn =
  (spans: readonly Span[]) =>
  (at: number): boolean =>
    spans.some(({ from, to }) => at >= from && at <= to);

/** A cluster under a steady load. At its end it checks the invariants of every failure. */
async function withLoad(
  broker: BrokenBroker,
  work: Work,
  body: (cluster: Cluster, load: SteadyLoad) => Promise<readonly Span[]>,
): Promise<Outcome> {
  const cluster = await openCluster(broker, work);
  const load = createSteadily(cluster.api.url, { perSecond: PER_SECOND });
  await Bun.sleep(STEADY_MS);
  const broken = await body(cluster, load);
  await Bun.sleep(STEADY_MS);
  await load.stop();
  await allEnded(cluster.api.url, ENDED_WITHIN_MS);
  await areWoken(cluster);
  const tasks = (await endWell(cluster)).filter(({ name }) => name.startsWith("steady"));
  expect(faultsOfAnswers(load.asked)).toEqual([]);
  expect(faultsOfCreates(load.asked, tasks)).toEqual([]);
  const duringIt = load.asked.filter(({ askedAt }) => isIn(broken)(askedAt));
  expect(duringIt.length).toBeGreaterThan(0);
  expectWithin(most(duringIt.map(({ tookMs }) => tookMs)), CREATED_WITHIN_MS);
  return { tasks, asked: load.asked, broken };
}

/** Resolves when all requests so far are answered, also those that were sent while the broker was broken. */
async function isAnswered(load: SteadyLoad, brokenAt: number): Promise<void> {
  await eventually(
    () => load.asked.filter(({ askedAt }) => askedAt > brokenAt).length,
    (answered) => answered > 0,
    ENDED_WITHIN_MS,
  );
  const [sent, until] = [load.sent, Date.now()];
  await eventually(
    () => load.asked.filter(({ askedAt }) => askedAt <= until).length,
    (answered) => answered >= sent,
    ENDED_WITHIN_MS,
  );
}

type Outcome = {
  readonly tasks: readonly Task[];
  readonly asked: readonly Asked[];
  readonly broken: readonly Span[];
};

/** The times of creates and pick-ups, before and after the failure, and during it. */
function timesOf({ asked, tasks, broken }: Outcome): Readonly<Record<string, string>> {
  const p50AndP99 = (values: readonly number[]): string => `${median(values)}/${quantile(values, 0.99)}`;
  const part = <T>(all: readonly T[], at: (one: T) => number) => {
    const { well = [], ill = [] } = Object.groupBy(all, (one) => (isIn(broken)(at(one)) ? "ill" : "well"));
    return { well, ill };
  };
  const creates = part(asked, ({ askedAt }) => askedAt);
  const pickups = part(tasks, ({ createdAt }) => createdAt);
  const took = (some: readonly Asked[]): string => p50AndP99(some.map(({ tookMs }) => tookMs));
  return {
    "create p50/p99 ms": took(creates.well),
    "while broken": took(creates.ill),
    "pick-up p50/p99 ms": p50AndP99(pickupsOf(pickups.well)),
    "of those created while broken": p50AndP99(pickupsOf(pickups.ill)),
  };
}

/** The time from the return of the broker to the first second in which 90 % of the usual number of tasks start. */
function backAfter(tasks: readonly Task[], { to }: Span): number {
  const starts = tasks.map(startOf);
  const startedFrom = (from: number): number => starts.filter((at) => at >= from && at < from + 1_000).length;
  for (let after = 0; after < ENDED_WITHIN_MS; after += 50) {
    if (startedFrom(to + after) >= 0.9 * PER_SECOND) return after;
  }
  return Number.POSITIVE_INFINITY;
}

testWakeUps(
  BROKERS,
  "stopped and killed under load, it delays no create and loses no task",
  async (broker) => {
    const restarts = scale(2, 10);
    const work = { workers: 2, slots: 20, ms: [5, 50], pollMs: RARE_POLL_MS } as const;
    const outcome = await withLoad(broker, work, async (cluster, load) => {
      const broken: Span[] = [];
      for (let restart = 0; restart < restarts; restart++) {
        const from = Date.now();
        await broker.server.signal(restart % 2 === 0 ? "SIGTERM" : "SIGKILL");
        await hasState(cluster, "away");
        await isAnswered(load, Date.now());
        load.pace(PER_SECOND_AT_STARTS);
        await broker.server.start();
        broken.push({ from, to: Date.now() });
        await hasState(cluster, "up");
        load.pace(PER_SECOND);
        await Bun.sleep(STEADY_MS);
      }
      return broken;
    });
    const back = outcome.broken.map((span) => backAfter(outcome.tasks, span));
    report(`broker restarted, ${broker.name}`, {
      ...{ restarts, tasks: outcome.tasks.length, ...timesOf(outcome) },
      ...(isFull ? { "90 % after p50 ms": median(back), "max ms": most(back) } : {}),
    });
  },
);

testWakeUps(usuallyOn("Kafka"), "frozen, it delays no create, and polls find the work", async (broker) => {
  const leastMs = scale(0, 30_000);
  const work = { workers: 2, slots: 20, ms: [5, 50], pollMs: POLL_MS } as const;
  const outcome = await withLoad(broker, work, async (cluster, load) => {
    const from = Date.now();
    await broker.server.signal("SIGSTOP");
    await isAnswered(load, Date.now());
    const ids = await createMany(cluster, 1);
    await eventually(
      () => statusOf(cluster, ids[0]),
      (status) => status === "done",
      ENDED_WITHIN_MS,
    );
    await Bun.sleep(leastMs - (Date.now() - from));
    const to = Date.now();
    await broker.server.signal("SIGCONT");
    return [{ from, to }];
  });
  const [span] = outcome.broken;
  if (span === undefined) throw new Error("it was not frozen");
  const during = outcome.tasks.filter(({ createdAt }) => isIn([span])(createdAt));
  const done = during.filter(({ finishedAt }) => finishedAt !== null && finishedAt < span.to);
  expect(done.length).toBeGreaterThan(0);
  report(`broker frozen, ${broker.name}`, {
    ...{
      "frozen ms": span.to - span.from,
      created: during.length,
      "done meanwhile": done.length,
      ...timesOf(outcome),
    },
    ...(isFull ? { "90 % after ms": backAfter(outcome.tasks, span) } : {}),
  });
});

testWakeUps(["RabbitMQ"], "short of memory, it is logged once and delays nothing", async (broker) => {
  const work = { workers: 2, slots: 20, ms: [5, 50], pollMs: POLL_MS } as const;
  const outcome = await withLoad(broker, work, async (cluster, load) => {
    const logged = (name: string): number =>
      cluster.api.events().filter(({ event }) => event === name).length;
    const isLogged = (name: string) =>
      eventually(
        () => logged(name),
        (count) => count > 0,
        ENDED_WITHIN_MS,
      );
    const from = Date.now();
    load.pace(PER_SECOND_AT_STARTS); // during RabbitMQ's own command
    await broker.alarm?.(true);
    load.pace(PER_SECOND);
    try {
      await isLogged("broker_takes_nothing");
      await hasState(cluster, "blocked");
      const ids = await createMany(cluster, 100);
      for (const id of ids) {
        await eventually(
          () => statusOf(cluster, id),
          (status) => status === "done",
          ENDED_WITHIN_MS,
        );
      }
      expect(logged("broker_takes_again")).toBe(0); // still blocked
    } finally {
      load.pace(PER_SECOND_AT_STARTS);
      await broker.alarm?.(false);
      load.pace(PER_SECOND);
    }
    const to = Date.now();
    await isLogged("broker_takes_again");
    await hasState(cluster, "up");
    expect([logged("broker_takes_nothing"), logged("broker_takes_again")]).toEqual([1, 1]);
    expect(logged("broker_away")).toBe(0);
    return [{ from, to }];
  });
  report(`short of memory, ${broker.name}`, { tasks: outcome.tasks.length, ...timesOf(outcome) });
});

// ---- workers that are killed

testWakeUps(
  usuallyOn("Kafka"),
  "killed workers, of three that it wakes, delay no task by more than its lease",
  async (broker) => {
    const kills = scale(2, 12);
    const everyMs = scale(1_000, 5_000);
    // Slow work, so that each worker has several tasks at any moment.
    const ms = isFull ? ([50, 500] as const) : ([200, 1_000] as const);
    const work = { workers: 3, slots: 20, ms, pollMs: POLL_MS } as const;
    const cluster = await openCluster(broker, work, { LEASE: `${SHORT_LEASE_MS}ms` });
    const load = createSteadily(cluster.api.url, { perSecond: PER_SECOND });
    const restarts = new Map<Member, Promise<void>>();
    for (let kill = 0; kill < kills; kill++) {
      await Bun.sleep(everyMs);
      const victim = cluster.workers[kill % cluster.workers.length] as Member; // of three
      await restarts.get(victim);
      await killAtWork(victim);
      restarts.set(victim, victim.start());
    }
    await Promise.all(restarts.values());
    await load.stop();
    await allEnded(cluster.api.url, ENDED_WITHIN_MS);
    await areWoken(cluster);
    const tasks = (await endWell(cluster)).filter(({ name }) => name.startsWith("steady"));
    expect(faultsOfAnswers(load.asked)).toEqual([]);
    expect(faultsOfCreates(load.asked, tasks)).toEqual([]);
    const lost = tasks.filter(({ attempts }) => attempts.length > 1).length;
    expect(lost).toBeGreaterThan(0); // otherwise no kill has interrupted a task
    const pickups = pickupsOf(tasks);
    report(`a worker of the group killed, ${broker.name}`, {
      ...{
        kills,
        tasks: tasks.length,
        "leases lost": lost,
      },
      ...{ "pick-up p50 ms": median(pickups), "p99 ms": quantile(pickups, 0.99), "max ms": most(pickups) },
    });
  },
);
