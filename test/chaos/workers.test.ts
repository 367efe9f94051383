/**
 * Workers that are killed, frozen or disconnected while others run tasks: no task is lost, none is run by two workers, no late
 * outcome counts.
 */
import { afterAll, expect } from "bun:test";
import { eventually } from "../support/eventually.ts";
import { killLeftovers, type LogEvent } from "../support/server-process.ts";
import { faultsOfAnswers, faultsOfCreates, faultsOfExecutions, faultsOfLife } from "./checkers.ts";
import { allEnded, killAtWork, type Member, startMember } from "./cluster.ts";
import { executionsOf, pidOf, readAllTasks, recoveries } from "./history.ts";
import { createSteadily } from "./load.ts";
import { corner, SHARED } from "./places.ts";
import { expectWithin, isFull, most, quantile, report, SHORT_LEASE_MS, scale, testStores } from "./scale.ts";
import { createWire } from "./wire.ts";

const PER_SECOND = scale(30, 100);
/** From the death of a worker to the next start of its task: the lease ends, a sweep finds it, another worker claims it. */
const RECOVERED_WITHIN_MS = SHORT_LEASE_MS + 5_000;

afterAll(killLeftovers);

testStores(
  SHARED,
  "if one of three workers is killed every second, each task is delayed by its lease at most, and none is run by two workers",
  async (name) => {
    const kills = scale(4, 30);
    const place = corner(name);
    const shared = { STORE_URL: place.storeUrl, LEASE: `${SHORT_LEASE_MS}ms` };
    const api = await startMember({ ...shared, ROLE: "api" });
    // If there are few tasks, the work is slow, so that each worker has several tasks at any moment.
    const length = isFull
      ? { SIMULATE_MIN: "50ms", SIMULATE_MAX: "500ms" }
      : { SIMULATE_MIN: "200ms", SIMULATE_MAX: "1s" };
    const work = { ...length, WORKER_CONCURRENCY: "20" };
    const workers = await Promise.all(
      [1, 2, 3].map(() => startMember({ ...shared, ...work, ROLE: "worker" })),
    );
    const load = createSteadily(api.url, { perSecond: PER_SECOND });
    const restarts = new Map<Member, Promise<void>>();
    const deaths = new Map<number, number>();
    for (let kill = 0; kill < kills; kill++) {
      await Bun.sleep(1_000);
      const victim = workers[kill % workers.length] as Member; // of three
      await restarts.get(victim);
      deaths.set(...(await killAtWork(victim)));
      restarts.set(victim, victim.start());
    }
    await Promise.all(restarts.values());
    await load.stop();
    await allEnded(api.url);
    expect(await Promise.all(workers.map((worker) => worker.stop()))).toEqual([0, 0, 0]);
    expect(await api.stop()).toBe(0);

    const tasks = await readAllTasks(place.storeUrl);
    expect(faultsOfAnswers(load.asked)).toEqual([]);
    expect(faultsOfCreates(load.asked, tasks)).toEqual([]);
    expect(tasks.flatMap(faultsOfLife)).toEqual([]);
    const executions = workers.flatMap(({ lives }) => lives.flatMap(executionsOf));
    expect(executions.length).toBeGreaterThanOrEqual(tasks.length);
    expect(faultsOfExecutions(executions)).toEqual([]);
    const recovered = recoveries(tasks, deaths);
    expect(recovered.length).toBeGreaterThan(kills); // otherwise no kill has interrupted a task
    expectWithin(most(recovered), RECOVERED_WITHIN_MS);
    report(`a worker killed every second, ${name}`, {
      ...{ kills, tasks: tasks.length, executions: executions.length, "leases lost": recovered.length },
      failed: tasks.filter(({ status }) => status === "failed").length,
      ...{ "recovered p50 ms": quantile(recovered, 0.5), "max ms": most(recovered) },
    });
    await place.remove();
  },
);

const PAIR_LEASE_MS = SHORT_LEASE_MS;
/** What is left until then. */
const twoLeasesFrom = (at: number): number => Math.max(0, at + 2 * PAIR_LEASE_MS - performance.now());

/** Two workers. The second worker takes over every task of the first. */
async function openPair(storeUrl: string, storeUrlOfFirst = storeUrl) {
  const common = { LEASE: `${PAIR_LEASE_MS}ms`, WORKER_CONCURRENCY: "20" };
  const api = await startMember({ ...common, STORE_URL: storeUrl, ROLE: "api" });
  // Shorter than the time until the lease is lost.
  const work = { ...common, ROLE: "worker", SIMULATE_MIN: "800ms", SIMULATE_MAX: "1500ms" };
  const first = await startMember({ ...work, STORE_URL: storeUrlOfFirst });

  /** Creates tasks and waits until the first worker, which is alone, runs them. */
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

  /** The running tasks by the store. */
  async function running(): Promise<number[]> {
    const response = await fetch(`${api.url}/api/task?status=running&limit=1000`);
    return ((await response.json()) as { readonly id: number }[]).map(({ id }) => id); // api.test.ts checks the form
  }

  /** Disturbs the first worker while it runs tasks; resolves with these, and starts again if all had ended before. */
  async function troubleFirst(begin: () => void, end: () => void): Promise<{ held: number[]; from: number }> {
    for (;;) {
      await occupyFirst();
      const from = performance.now();
      begin();
      const held = await running();
      if (held.length > 0) return { held, from };
      end();
    }
  }

  return {
    ...{ api, first, occupyFirst, troubleFirst },
    startSecond: () => startMember({ ...work, STORE_URL: storeUrl }),
  };
}

const idsOf = (events: readonly LogEvent[], ...names: readonly string[]): number[] =>
  events.filter(({ event }) => names.includes(event)).map(({ task_id }) => Number(task_id));

/** Resolves when this worker has started, or ended, each of these tasks. */
const has = (worker: Member, event: string, ids: readonly number[]): Promise<unknown> =>
  eventually(
    () => idsOf(worker.events(), event),
    (seen) => ids.every((id) => seen.includes(id)),
  );

/** The first worker lost each of its tasks and the second one completed it, whatever the first one sent later. */
async function expectTakenOver(
  storeUrl: string,
  { held, first, second }: { held: readonly number[]; first: Member; second: Member },
): Promise<void> {
  const tasks = (await readAllTasks(storeUrl)).filter(({ id }) => held.includes(id));
  const histories = tasks.map(({ attempts }) =>
    attempts.map(({ worker, outcome }) => `${outcome} in ${pidOf(worker)}`),
  );
  const [lost, done] = [`lost in ${first.current.pid}`, `done in ${second.current.pid}`];
  // On a busy machine the first worker may have lost a lease and claimed the task again.
  const shortened = histories.map((history) =>
    history.filter((end, at) => end !== lost || history[at + 1] !== lost),
  );
  expect(shortened).toEqual(held.map(() => [lost, done]));
  expect(tasks.flatMap(faultsOfLife)).toEqual([]);
}

testStores(
  SHARED,
  "a worker that is frozen for two leases loses its tasks to another worker; its late outcomes are refused, and it continues",
  async (name) => {
    const place = corner(name);
    const { api, first, occupyFirst, troubleFirst, startSecond } = await openPair(place.storeUrl);
    const { held, from } = await troubleFirst(first.freeze, first.thaw);
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
    await has(first, "task_done", await occupyFirst()); // it is the only worker again
    await allEnded(api.url);
    for (const member of [api, first]) expect(await member.stop()).toBe(0);
    await place.remove();
  },
);

testStores(
  SHARED,
  "outcomes that arrive two leases late over a slow connection are refused",
  async (name) => {
    const place = corner(name);
    const direct = new URL(place.storeUrl);
    const wire = await createWire(Number(direct.port));
    const slow = Object.assign(new URL(direct), { port: String(wire.port) }).href;
    const { api, first, occupyFirst, troubleFirst, startSecond } = await openPair(place.storeUrl, slow);
    const { held, from } = await troubleFirst(wire.hold, wire.release);
    const second = await startSecond();
    await has(second, "task_started", held);
    await Bun.sleep(twoLeasesFrom(from));
    wire.release();

    await has(second, "task_done", held);
    await eventually(
      () => idsOf(first.events(), "task_stopping", "outcome_dropped"),
      (ended) => held.every((id) => ended.includes(id)),
    );
    // The tasks whose outcome the proxy delayed.
    const late = (): number => idsOf(first.events(), "outcome_dropped").length;
    await eventually(late, (count) => count > 0);
    await expectTakenOver(place.storeUrl, { held, first, second });

    expect(await second.stop()).toBe(0);
    await has(first, "task_done", await occupyFirst());
    for (const member of [api, first]) expect(await member.stop()).toBe(0);
    wire.close();
    report(`a slow wire, ${name}`, { tasks: held.length, "outcomes that came late": late() });
    await place.remove();
  },
);
