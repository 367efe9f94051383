/** Measures how long one request blocks the event loop: the largest input of each route, with 100,000 stored tasks, on each store. */
import { join } from "node:path";
import { hostileRequests } from "../test/support/hostile-requests.ts";
import type { Lag } from "./lag.ts";
import { figure, printTable, type Verdict } from "./report.ts";
import { freePort, type Server, startTasktrack, stop } from "./servers.ts";
import { createFiles, type Store, startPostgres, startRedis } from "./stores.ts";

const LARGE_TASKS = 40;
const TARGET_MS = 50;

type Measured = ReadonlyMap<string, number>;

const post = async (server: Server, body: unknown): Promise<void> => {
  const init = { method: "POST", body: JSON.stringify(body) };
  const response = await fetch(`http://127.0.0.1:${server.port}/api/task`, init);
  if (response.status !== 201) throw new Error(`POST /api/task answered ${response.status}`);
};

const fill = async (server: Server, tasks: number): Promise<void> => {
  for (let made = 0; made < tasks; made += 1_000) {
    const of = (n: number) => ({
      name: `task ${n}`,
      type: `t${n % 50}`,
      payload: { a: "needle" },
      tags: ["a"],
    });
    await post(
      server,
      Array.from({ length: 1_000 }, (_, n) => of(made + n)),
    );
  }
  const large = { name: "large", type: "large", payload: "x".repeat(700_000) };
  for (let n = 0; n < LARGE_TASKS; n++) await post(server, large);
};

const measure = async (storeUrl: string, tasks: number): Promise<Measured> => {
  const lagPort = freePort();
  const settings = { STORE_URL: storeUrl, ROLE: "api", LAG_PORT: String(lagPort) };
  const server = await startTasktrack(settings, ["--preload", join(import.meta.dir, "lag.ts")]);
  const lagSince = async (): Promise<Lag> =>
    (await (await fetch(`http://127.0.0.1:${lagPort}/`)).json()) as Lag;
  await fill(server, tasks);
  const measured = new Map<string, number>();
  for (const { name, method, path, body } of hostileRequests()) {
    await lagSince();
    const init = { method, ...(body === undefined ? {} : { body }) };
    await (await fetch(`http://127.0.0.1:${server.port}${path}`, init)).arrayBuffer();
    const { samples, maxMs } = await lagSince();
    measured.set(name, samples === 0 ? 0 : maxMs); // it ended before the timer fired
  }
  await stop(server);
  return measured;
};

export const turns = async (quick: boolean): Promise<Verdict[]> => {
  const tasks = quick ? 10_000 : 100_000;
  const columns: [store: string, measured: Measured][] = [["memory", await measure("memory:", tasks)]];
  const starts: (() => Promise<Store>)[] = [
    async () => createFiles(),
    startPostgres,
    () => startRedis("everysec"),
  ];
  for (const start of starts) {
    const store = await start();
    columns.push([store.name, await measure(await store.empty(), tasks)]);
    await store.remove();
  }
  printTable([
    [`longest turn in ms, ${figure(tasks)} tasks`, ...columns.map(([store]) => store)],
    ...hostileRequests().map(({ name }) => [
      name,
      ...columns.map(([, measured]) => figure(measured.get(name) ?? Number.NaN)),
    ]),
  ]);
  return columns.map(([store, measured]) => ({
    what: `the longest turn of any request on ${store}`,
    measured: Math.max(...measured.values()),
    ...{ target: TARGET_MS, want: "at most", unit: " ms" },
  }));
};
