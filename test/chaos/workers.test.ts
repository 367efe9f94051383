/** Workers that are killed, frozen or cut off while others work: no task is lost, none is run by two, no late word counts. */
import { afterAll, expect } from "bun:test";
import { eventually } from "../support/eventually.ts";
import { killLeftovers, type LogEvent } from "../support/server-process.ts";
import { faultsOfAnswers, faultsOfCreates, faultsOfExecutions, faultsOfLife } from "./checkers.ts";
import { allEnded, type Member, startMember } from "./cluster.ts";
import { executionsOf, pidOf, readAllTasks, recoveries } from "./history.ts";
import { createSteadily } from "./load.ts";
import { corner, SHARED } from "./places.ts";
import { most, quantile, report, scale, testStores } from "./scale.ts";
import { createWire } from "./wire.ts";

const LEASE_MS = 1_000;
/** From the death of a worker to the next start of its task: until the lease ends, a sweep finds it, somebody takes it. */
const RECOVERED_WITHIN_MS = LEASE_MS + 5_000;
/** On two cores that other tests use as well, each of these steps may have to wait for its turn. */
const MARGIN_MS = 3_000;

afterAll(killLeftovers);

testStores(
  SHARED,
  "a worker killed every second, of three, costs no task more than its lease; none is run by two",
  async (name) => {
    const kills = scale(6, 30);
    const place = corner(name);
    const shared = { STORE_URL: place.storeUrl, LEASE: `${LEASE_MS}ms` };
    const api = await startMember({ ...shared, ROLE: "api" });
    const work = { SIMULATE_MIN: "50ms", SIMULATE_MAX: "500ms", WORKER_CONCURRENCY: "20" };
    const workers = await Promise.all(
      [1, 2, 3].map(() => startMember({ ...shared, ...work, ROLE: "worker" })),
    );
    const total = scale(600, 3_000);

    const load = createSteadily(api.url, { perSecond: total / kills, total });
    const restarts: Promise<void>[] = [];
    const deaths = new Map<number, number>();
    for (let kill = 0; kill < kills; kill++) {
      await Bun.sleep(1_000);
      const victim = workers[kill % workers.length] as Member; // of three
      const { pid, diedAt } = await victim.kill();
      deaths.set(pid, diedAt ?? Number.NaN);
      restarts.push(victim.start());
    }
    await load.done;
    await Promise.all(restarts);
    await allEnded(api.url, 60_000);
    expect(await Promise.all(workers.map((worker) => worker.stop()))).toEqual([0, 0, 0]);
    expect(await api.stop()).toBe(0);

    const tasks = await readAllTasks(place.storeUrl);
    expect(faultsOfAnswers(load.asked)).toEqual([]);
    expect(faultsOfCreates(load.asked, tasks)).toEqual([]);
    expect(tasks.flatMap(faultsOfLife)).toEqual([]);
    const executions = workers.flatMap(({ lives }) => lives.flatMap(executionsOf));
    expect(executions.length).toBeGreaterThanOrEqual(total);
    expect(faultsOfExecutions(executions)).toEqual([]);
    const recovered = recoveries(tasks, deaths);
    expect(recovered.length).toBeGreaterThan(kills); // a kill that hits nothing shows nothing
    expect(most(recovered)).toBeLessThan(RECOVERED_WITHIN_MS + MARGIN_MS);
    report(`a worker killed every second, ${name}`, {
      ...{ kills, tasks: total, executions: executions.length, "leases lost": recovered.length },
      failed: tasks.filter(({ status }) => status === "failed").length,
      ...{ "recovered p50 ms": quantile(recovered, 0.5), "max ms": most(recovered) },
    });
    await place.remove();
  },
);

const PAIR_LEASE_MS = 2_000;
/** What is left until then. */
const twoLeasesFrom = (at: number): number => Math.max(0, at + 2 * PAIR_LEASE_MS - performance.now());

/** Two workers; every task that the first one holds is taken over by the second. */
async function openPair(storeUrl: string, storeUrlOfFirst = storeUrl) {
  const common = { LEASE: `${PAIR_LEASE_MS}ms`, WORKER_CONCURRENCY: "20" };
  const api = await startMember({ ...common, STORE_URL: storeUrl, ROLE: "api" });
  // Long enough that none has ended before the trouble begins, and short enough to end before the lease is given up.
  const work = { ...common, ROLE: "worker", SIMULATE_MIN: "800ms", SIMULATE_MAX: "1500ms" };
  const first = await startMember({ ...work, STORE_URL: storeUrlOfFirst });

  /** Creates tasks and waits until the first one, alone, runs them. */
  async function occupyFirst(): Promise<number[]> {
    const load = createSteadily(api.url, { perSecond: 1_000, total: 20 });
    await load.done;
    const ids = load.asked.map(({ id }) => Number(id));
    await eventually(
      () => idsOf(first.events(), "task_started"),
      (started) => ids.every((id) => started.includes(id)),
    );
    return ids;
  }

  /** What the store still has in the first one's hands; on a busy machine some has ended before the trouble began. */
  async function heldByFirst(): Promise<number[]> {
    const response = await fetch(`${api.url}/api/task?status=running&limit=1000`);
    const held = ((await response.json()) as { readonly id: number }[]).map(({ id }) => id); // api.test.ts shows it
    expect(held.length).toBeGreaterThan(0);
    return held;
  }

  return {
    ...{ api, first, occupyFirst, heldByFirst },
    startSecond: () => startMember({ ...work, STORE_URL: storeUrl }),
  };
}

const idsOf = (events: readonly LogEvent[], ...names: readonly string[]): number[] =>
  events.filter(({ event }) => names.includes(event)).map(({ task_id }) => Number(task_id));

/** Resolves when this worker has begun each of these tasks, or has ended each. */
const has = (worker: Member, event: string, ids: readonly number[]): Promise<unknown> =>
  eventually(
    () => idsOf(worker.events(), event),
    (seen) => ids.every((id) => seen.includes(id)),
    20_000,
  );

/** Of what the first one held each task was lost to it and done by the second, whatever it said later. */
async function expectTakenOver(
  storeUrl: string,
  { held, first, second }: { held: readonly number[]; first: Member; second: Member },
): Promise<void> {
  const tasks = (await readAllTasks(storeUrl)).filter(({ id }) => held.includes(id));
  const histories = tasks.map(({ attempts }) =>
    attempts.map(({ worker, outcome }) => `${outcome} in ${pidOf(worker)}`),
  );
  const taken = [`lost in ${first.current.pid}`, `done in ${second.current.pid}`];
  expect(histories).toEqual(held.map(() => taken));
  expect(tasks.flatMap(faultsOfLife)).toEqual([]);
}

testStores(
  SHARED,
  "a worker frozen for two leases loses its tasks to another; what it says after is refused, and it works on",
  async (name) => {
    const place = corner(name);
    const { api, first, occupyFirst, heldByFirst, startSecond } = await openPair(place.storeUrl);
    await occupyFirst();

    const from = performance.now();
    first.freeze();
    const held = await heldByFirst();
    const second = await startSecond();
    await has(second, "task_started", held);
    await Bun.sleep(twoLeasesFrom(from));
    first.thaw();

    await eventually(
      () => idsOf(first.events(), "task_stopping", "outcome_dropped"),
      (ended) => held.every((id) => ended.includes(id)),
    );
    await has(second, "task_done", held);
    await expectTakenOver(place.storeUrl, { held, first, second });
    expect(idsOf(first.events(), "task_done").filter((id) => held.includes(id))).toEqual([]);

    expect(await second.stop()).toBe(0);
    await has(first, "task_done", await occupyFirst()); // alone again
    await allEnded(api.url, 20_000);
    for (const member of [api, first]) expect(await member.stop()).toBe(0);
    await place.remove();
  },
);

testStores(SHARED, "outcomes that come two leases late over a slow wire are refused", async (name) => {
  const place = corner(name);
  const direct = new URL(place.storeUrl);
  const wire = await createWire(Number(direct.port));
  const slow = Object.assign(new URL(direct), { port: String(wire.port) }).href;
  const { api, first, occupyFirst, heldByFirst, startSecond } = await openPair(place.storeUrl, slow);
  await occupyFirst();

  const from = performance.now();
  wire.hold();
  const held = await heldByFirst();
  const second = await startSecond();
  await has(second, "task_started", held);
  await Bun.sleep(twoLeasesFrom(from));
  wire.release();

  await has(second, "task_done", held);
  await eventually(
    () => idsOf(first.events(), "task_stopping", "outcome_dropped"),
    (ended) => held.every((id) => ended.includes(id)),
  );
  // Work that ended while the wire was held, and was told.
  const late = (): number => idsOf(first.events(), "outcome_dropped").length;
  await eventually(late, (count) => count > 0);
  await expectTakenOver(place.storeUrl, { held, first, second });

  expect(await second.stop()).toBe(0);
  await has(first, "task_done", await occupyFirst());
  for (const member of [api, first]) expect(await member.stop()).toBe(0);
  wire.close();
  report(`a slow wire, ${name}`, { tasks: held.length, "outcomes that came late": late() });
  await place.remove();
});
