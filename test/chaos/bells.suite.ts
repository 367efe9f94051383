/**
 * The broker that wakes workers is emptied, made to lie, restarted, killed, frozen and alarmed, and those whom it wakes are killed:
 * no task is lost, none is run by two, and no client waits for a bell.
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
/** Where it is to be seen whether a bell woke a worker or a poll: what comes long before a poll is due came by a bell. */
const RARE_POLL_MS = scale(60_000, 5_000);
const ENDED_WITHIN_MS = 300_000;
const STEADY_MS = scale(500, 3_000);
const PER_SECOND = scale(20, 50);
/**
 * A broker's start takes seconds, on a busy machine many. A load that went on as before would make the machine busier still: at 50 a
 * second it was 10,000 tasks, and most of what this file took of the processor.
 */
const PER_SECOND_AT_STARTS = scale(2, 50);
/** A create that waits for a broken broker waits for longer than that. */
const CREATED_WITHIN_MS = 2_000;

/** The one that stands beside each broker at this moment. */
const houses = new Map<BrokerName, House>();

const testBells: typeof testBrokers = (names, claim, body) =>
  testBrokers(names, claim, async (broker) => {
    try {
      await body(broker);
    } finally {
      await houses.get(broker.name)?.close(); // of a test that failed
    }
  });

type House = {
  readonly broker: BrokenBroker;
  readonly prefix: string;
  readonly place: Place;
  readonly api: Member;
  readonly workers: readonly Member[];
  readonly pollMs: number;
  /** Ends all at once and removes what was there; safe twice. */
  close(): Promise<void>;
};

type Work = {
  readonly workers: number;
  readonly slots: number;
  readonly ms: readonly [number, number];
  readonly pollMs: number;
};

/** A corner of the shared PostgreSQL, a prefix at the broker, a process that takes tasks in and some that work on them. */
async function openHouse(
  broker: BrokenBroker,
  work: Work,
  env: Readonly<Record<string, string>> = {},
): Promise<House> {
  const place = corner("PostgreSQL");
  const prefix = uniqueName("bells");
  // Nothing goes by the other topics, and each partition makes Kafka's next start longer.
  const few = broker.name === "Kafka" ? "&partitions=1" : "";
  const shared = { STORE_URL: place.storeUrl, QUEUE_URL: `${broker.urlFor(prefix)}${few}`, ...env };
  const ofWorker = {
    ...{ ROLE: "worker", DISPATCH_INTERVAL: `${work.pollMs}ms`, WORKER_CONCURRENCY: String(work.slots) },
    ...{ SIMULATE_MIN: `${work.ms[0]}ms`, SIMULATE_MAX: `${work.ms[1]}ms` },
  };
  const api = createMember({ ...shared, ROLE: "api" });
  const workers = Array.from({ length: work.workers }, () => createMember({ ...shared, ...ofWorker }));
  const close = async (): Promise<void> => {
    if (!houses.delete(broker.name)) return;
    for (const member of [api, ...workers]) if (member.lives.length > 0) await member.kill();
    await place.remove();
  };
  const house = { broker, prefix, place, api, workers, pollMs: work.pollMs, close };
  houses.set(broker.name, house);
  await api.start(); // makes the tables
  await Promise.all(workers.map((worker) => worker.start()));
  await areWoken(house);
  return house;
}

/** Creates as many tasks at once; resolves with their ids. */
async function createMany({ api }: House, count: number, fields: object = {}): Promise<number[]> {
  const tasks = Array.from({ length: count }, (_, n) => ({ name: `one of many ${n}`, ...fields }));
  const response = await exchange(api.url, {
    ...{ method: "POST", target: "/api/task", body: JSON.stringify(tasks) },
  });
  expect(response.status).toBe(201);
  return ((await response.json()) as { readonly task_ids: number[] }).task_ids; // api.test.ts shows it
}

async function statusOf({ api }: House, id: number | undefined): Promise<unknown> {
  const task = await (await fetch(`${api.url}/api/task/${id}`)).json();
  return (task as { readonly status: unknown }).status; // api.test.ts shows it
}

/**
 * The broker gives each worker bells. Where polls are rare it is also seen that bells wake them: four tasks in a row are picked up
 * in a tenth of the time between two polls each, which polls alone bring about once in a thousand times.
 */
async function areWoken(house: House): Promise<void> {
  const pickup = async (): Promise<number> => {
    const [id] = await createMany(house, 1);
    const from = performance.now();
    await eventually(
      () => statusOf(house, id),
      (status) => status !== "pending",
      ENDED_WITHIN_MS,
    );
    return performance.now() - from;
  };
  await eventually(
    () => house.broker.hearers(house.prefix),
    (hearers) => hearers === house.workers.length,
    ENDED_WITHIN_MS,
  );
  if (house.pollMs < RARE_POLL_MS) return;
  const longest = async (): Promise<number> =>
    Math.max(await pickup(), await pickup(), await pickup(), await pickup());
  await eventually(longest, (ms) => ms < house.pollMs / 10, 2 * ENDED_WITHIN_MS);
}

/** Waits for all tasks, ends all processes and expects what holds in every history here. */
async function endWell({ api, workers, place, close }: House): Promise<readonly Task[]> {
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

/** The server is ready all the while, and says how its broker stands. */
async function isSaidToBe({ broker, api }: House, state: BrokerState): Promise<void> {
  const ready = { status: "ready", store: expect.any(String), broker: { name: broker.name, state } };
  const ask = async (): Promise<unknown> => (await fetch(`${api.url}/readyz`)).json();
  const isSo = (answer: unknown): boolean => stateIn(answer) === state;
  expect(await eventually(ask, isSo, ENDED_WITHIN_MS)).toEqual(ready);
}

const stateIn = (ready: unknown): string | undefined => (ready as Ready).broker?.state; // api.test.ts shows the rest

// ---- bells that are lost, and bells that are too many

const DUE = scale(100, 1_000);

/** Fills all slots, has as many tasks become due behind them and throws their bells away; again where a slow machine was late. */
async function purgeWhileBusy(house: House): Promise<Purge> {
  const { broker, prefix, workers, api } = house;
  for (;;) {
    const busy = await createMany(house, DUE);
    await eventually(
      () => new Set(workers.flatMap(({ current }) => executionsOf(current).map(({ taskId }) => taskId))),
      (begun) => busy.every((id) => begun.has(id)),
      ENDED_WITHIN_MS,
    );
    const due = new Set<number>();
    for (let made = 0; made < DUE; made += 100) for (const id of await createMany(house, 100)) due.add(id);
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
  /** Bells, or null where the broker does not count them. */
  readonly purged: number | null;
  readonly purgedAt: number;
};

testBells(
  usuallyOn("RabbitMQ"),
  "with all bells of due tasks purged, each runs once and soon",
  async (broker) => {
    const workMs = 5_000;
    const house = await openHouse(broker, {
      workers: 2,
      slots: DUE / 2,
      ms: [workMs, workMs],
      pollMs: RARE_POLL_MS,
    });
    const { due, purged, purgedAt } = await purgeWhileBusy(house);
    await allEnded(house.api.url, ENDED_WITHIN_MS);
    await areWoken(house);
    const tasks = await endWell(house);
    expect(new Set(startsOf(tasks))).toEqual(new Set([1]));
    const started = tasks.filter(({ id }) => due.has(id)).map(startOf);
    expect(started).toHaveLength(DUE);
    // The rest of the work that runs, and a poll of those that were not woken.
    expectWithin(most(started) - purgedAt, workMs + RARE_POLL_MS + 10_000);
    report(`bells purged, ${broker.name}`, {
      ...{ due: DUE, purged: purged ?? "the topic" },
      "last start after ms": most(started) - purgedAt,
    });
  },
);

testBells(
  usuallyOn("Kafka"),
  "each bell ten times more, in random order, runs no task twice",
  async (broker) => {
    const total = scale(200, 5_000);
    const house = await openHouse(broker, { workers: 3, slots: 20, ms: [5, 50], pollMs: RARE_POLL_MS });
    const copies = await broker.multiply(house.prefix);
    const load = createSteadily(house.api.url, { perSecond: 200, total });
    await load.done;
    await allEnded(house.api.url, ENDED_WITHIN_MS);
    await eventually(copies.rung, (rung) => rung > total, ENDED_WITHIN_MS);
    await copies.stop();
    await areWoken(house);
    const tasks = await endWell(house);
    expect(faultsOfAnswers(load.asked)).toEqual([]);
    expect(new Set(startsOf(tasks))).toEqual(new Set([1]));
    report(`bells ten times more, ${broker.name}`, { tasks: total, copies: copies.rung() });
  },
);

testBells(usuallyOn("RabbitMQ"), "a high priority overtakes the backlog of low ones", async (broker) => {
  const backlog = scale(200, 10_000);
  const slots = 10;
  // Slow work, so that the backlog is still there when the task of high priority comes, and clocks that differ by little show little.
  const ms = isFull ? ([20, 40] as const) : ([500, 1_000] as const);
  const house = await openHouse(broker, { workers: 2, slots, ms, pollMs: RARE_POLL_MS });
  for (let made = 0; made < backlog; made += 200) await createMany(house, 200, { priority: -5 });
  const [high] = await createMany(house, 1, { priority: 5 });
  const createdAt = Date.now();
  const tasks = await endWell(house);
  const startedAt = startOf(tasks.find(({ id }) => id === high) as Task); // it was acknowledged
  const low = tasks.filter(({ priority }) => priority < 0).map(startOf);
  const behind = low.filter((at) => at > startedAt).length;
  const between = low.filter((at) => at > createdAt && at < startedAt).length;
  report(`priority, ${broker.name}`, { backlog, behind, between, "started after ms": startedAt - createdAt });
  expect(behind).toBeGreaterThan(backlog / 10); // else there was no backlog to overtake
  expect(between).toBeLessThanOrEqual(2 * slots); // what was being claimed at that moment
});

// ---- a broker that goes away

type Span = { readonly from: number; readonly to: number };

const isIn =
  (spans: readonly Span[]) =>
  (at: number): boolean =>
    spans.some(({ from, to }) => at >= from && at <= to);

/** A house under an even load; what holds after every trouble is expected at its end. */
async function withLoad(
  broker: BrokenBroker,
  work: Work,
  body: (house: House, load: SteadyLoad) => Promise<readonly Span[]>,
): Promise<Outcome> {
  const house = await openHouse(broker, work);
  const load = createSteadily(house.api.url, { perSecond: PER_SECOND });
  await Bun.sleep(STEADY_MS);
  const broken = await body(house, load);
  await Bun.sleep(STEADY_MS);
  await load.stop();
  await allEnded(house.api.url, ENDED_WITHIN_MS);
  await areWoken(house);
  const tasks = (await endWell(house)).filter(({ name }) => name.startsWith("steady"));
  expect(faultsOfAnswers(load.asked)).toEqual([]);
  expect(faultsOfCreates(load.asked, tasks)).toEqual([]);
  const duringIt = load.asked.filter(({ askedAt }) => isIn(broken)(askedAt));
  expect(duringIt.length).toBeGreaterThan(0);
  expectWithin(most(duringIt.map(({ tookMs }) => tookMs)), CREATED_WITHIN_MS);
  return { tasks, asked: load.asked, broken };
}

/** Resolves when all that was sent until now, some of it while the broker was broken, has been answered: no create waits for it. */
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

/** How long creates and pick-ups took while all was well, and while the broker was broken. */
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

/** From when the broker is back until a second begins in which 90 % of what is created in one is started. */
function backAfter(tasks: readonly Task[], { to }: Span): number {
  const starts = tasks.map(startOf);
  const startedFrom = (from: number): number => starts.filter((at) => at >= from && at < from + 1_000).length;
  for (let after = 0; after < ENDED_WITHIN_MS; after += 50) {
    if (startedFrom(to + after) >= 0.9 * PER_SECOND) return after;
  }
  return Number.POSITIVE_INFINITY;
}

testBells(
  BROKERS,
  "stopped and killed under load, it costs no task and no create its time",
  async (broker) => {
    const restarts = scale(2, 10);
    const work = { workers: 2, slots: 20, ms: [5, 50], pollMs: RARE_POLL_MS } as const;
    const outcome = await withLoad(broker, work, async (house, load) => {
      const broken: Span[] = [];
      for (let restart = 0; restart < restarts; restart++) {
        const from = Date.now();
        await broker.server.signal(restart % 2 === 0 ? "SIGTERM" : "SIGKILL");
        await isSaidToBe(house, "away");
        await isAnswered(load, Date.now());
        load.pace(PER_SECOND_AT_STARTS);
        await broker.server.start();
        broken.push({ from, to: Date.now() });
        await isSaidToBe(house, "up");
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

testBells(
  usuallyOn("Kafka"),
  "frozen, it is waited for by no create, and work goes on by polling",
  async (broker) => {
    const leastMs = scale(0, 30_000);
    const work = { workers: 2, slots: 20, ms: [5, 50], pollMs: POLL_MS } as const;
    const outcome = await withLoad(broker, work, async (house, load) => {
      const from = Date.now();
      await broker.server.signal("SIGSTOP");
      await isAnswered(load, Date.now());
      const ids = await createMany(house, 1);
      await eventually(
        () => statusOf(house, ids[0]),
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
  },
);

testBells(["RabbitMQ"], "short of memory, it is told of once and slows nothing", async (broker) => {
  const work = { workers: 2, slots: 20, ms: [5, 50], pollMs: POLL_MS } as const;
  const outcome = await withLoad(broker, work, async (house, load) => {
    const told = (name: string): number => house.api.events().filter(({ event }) => event === name).length;
    const hasTold = (name: string) =>
      eventually(
        () => told(name),
        (count) => count > 0,
        ENDED_WITHIN_MS,
      );
    const from = Date.now();
    load.pace(PER_SECOND_AT_STARTS); // of RabbitMQ's own command
    await broker.alarm?.(true);
    load.pace(PER_SECOND);
    try {
      await hasTold("broker_takes_nothing");
      await isSaidToBe(house, "blocked");
      const ids = await createMany(house, 100);
      for (const id of ids) {
        await eventually(
          () => statusOf(house, id),
          (status) => status === "done",
          ENDED_WITHIN_MS,
        );
      }
      expect(told("broker_takes_again")).toBe(0); // all of that was while it took nothing
    } finally {
      load.pace(PER_SECOND_AT_STARTS);
      await broker.alarm?.(false);
      load.pace(PER_SECOND);
    }
    const to = Date.now();
    await hasTold("broker_takes_again");
    await isSaidToBe(house, "up");
    expect([told("broker_takes_nothing"), told("broker_takes_again")]).toEqual([1, 1]);
    expect(told("broker_away")).toBe(0);
    return [{ from, to }];
  });
  report(`short of memory, ${broker.name}`, { tasks: outcome.tasks.length, ...timesOf(outcome) });
});

// ---- workers that die

testBells(
  usuallyOn("Kafka"),
  "of three workers that it wakes, kills cost no task more than its lease",
  async (broker) => {
    const kills = scale(2, 12);
    const everyMs = scale(1_000, 5_000);
    // Slow work, so that each worker has several tasks at any moment.
    const ms = isFull ? ([50, 500] as const) : ([200, 1_000] as const);
    const work = { workers: 3, slots: 20, ms, pollMs: POLL_MS } as const;
    const house = await openHouse(broker, work, { LEASE: `${SHORT_LEASE_MS}ms` });
    const load = createSteadily(house.api.url, { perSecond: PER_SECOND });
    const restarts = new Map<Member, Promise<void>>();
    for (let kill = 0; kill < kills; kill++) {
      await Bun.sleep(everyMs);
      const victim = house.workers[kill % house.workers.length] as Member; // of three
      await restarts.get(victim);
      await killAtWork(victim);
      restarts.set(victim, victim.start());
    }
    await Promise.all(restarts.values());
    await load.stop();
    await allEnded(house.api.url, ENDED_WITHIN_MS);
    await areWoken(house);
    const tasks = (await endWell(house)).filter(({ name }) => name.startsWith("steady"));
    expect(faultsOfAnswers(load.asked)).toEqual([]);
    expect(faultsOfCreates(load.asked, tasks)).toEqual([]);
    const lost = tasks.filter(({ attempts }) => attempts.length > 1).length;
    expect(lost).toBeGreaterThan(0); // a kill that hits nothing shows nothing
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
