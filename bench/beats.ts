/** Ten thousand running tasks, each with a heartbeat every ten seconds: the cost on PostgreSQL. */
import { figure, printTable, type Verdict } from "./report.ts";
import { demandRunning, untilAllRun } from "./running.ts";
import { load, startTasktrack, stop } from "./servers.ts";
import { type PostgresStore, startPostgres } from "./stores.ts";

type Size = { readonly tasks: number; readonly seconds: number };

const FULL: Size = { tasks: 10_000, seconds: 60 };
const QUICK: Size = { tasks: 2_000, seconds: 10 };
const LEASE_S = 30;

/** The share of a core that all processes of the server use during this time. */
const busyFor = async (store: PostgresStore, seconds: number): Promise<number> => {
  const before = store.cpuSeconds();
  const startedAt = performance.now();
  await Bun.sleep(seconds * 1000);
  return (store.cpuSeconds() - before) / ((performance.now() - startedAt) / 1000);
};

export const beats = async (quick: boolean): Promise<Verdict[]> => {
  const { tasks, seconds } = quick ? QUICK : FULL;
  const store = await startPostgres();
  const server = await startTasktrack({
    STORE_URL: await store.empty(),
    LEASE: `${LEASE_S}s`,
    DISPATCH_INTERVAL: "0s",
    WORKER_CONCURRENCY: String(tasks),
    SIMULATE_MIN: "10m",
    SIMULATE_MAX: "10m",
  });
  const idle = await busyFor(store, seconds / 4);
  await load(server, { kind: "create", requests: tasks });
  await untilAllRun(server);
  await store.settle();
  const busy = await busyFor(store, seconds);
  await demandRunning(server, tasks);
  await stop(server);
  await store.remove();
  const percent = (share: number): string => figure(share * 100);
  printTable([
    ["PostgreSQL's processes", "per cent of a core"],
    ["no task", percent(idle)],
    [`${figure(tasks)} running, ${figure((tasks * 3) / LEASE_S)} renewals/s, ${seconds} s`, percent(busy)],
  ]);
  const what = `PostgreSQL under the heartbeats of ${figure(tasks)} tasks`;
  return [{ what, measured: busy * 100, target: 5, want: "at most", unit: " % of a core" }];
};
