/** A hundred thousand simulated tasks running at once: the lag of the event loop. */
import { join } from "node:path";
import type { Lag } from "./lag.ts";
import { rssBytes } from "./machine.ts";
import { figure, megabytes, printTable, type Verdict } from "./report.ts";
import { freePort, load, type Server, startTasktrack, stop } from "./servers.ts";

const FILLED_WITHIN_MS = 60_000;

const ask = async (port: number, path: string): Promise<unknown> => {
  const answer = await fetch(`http://127.0.0.1:${port}${path}`);
  if (answer.status !== 200) {
    throw new Error(`GET ${path} answered ${answer.status}`);
  }
  return answer.json();
};

/** A request also resets the lags. */
const lagSince = async (lagPort: number): Promise<Lag> => (await ask(lagPort, "/")) as Lag;

const countRunning = async (server: Server): Promise<number> =>
  ((await ask(server.port, "/api/task?status=running")) as unknown[]).length;

export const untilAllRun = async (server: Server): Promise<void> => {
  const giveUpAt = performance.now() + FILLED_WITHIN_MS;
  while (((await ask(server.port, "/api/task?status=pending&limit=1")) as unknown[]).length > 0) {
    if (performance.now() > giveUpAt) {
      throw new Error(
        `${await countRunning(server)} tasks run after ${FILLED_WITHIN_MS} ms; others are still pending`,
      );
    }
    await Bun.sleep(50);
  }
};

export const demandRunning = async (server: Server, tasks: number): Promise<void> => {
  const count = await countRunning(server);
  if (count !== tasks) {
    throw new Error(`${tasks} tasks should be running, ${count} are`);
  }
};

const row = (name: string, { samples, p50Ms, p99Ms, maxMs }: Lag): string[] => [
  name,
  figure(samples),
  figure(p50Ms),
  figure(p99Ms),
  figure(maxMs),
];

export const running = async (quick: boolean): Promise<Verdict[]> => {
  const tasks = quick ? 20_000 : 100_000;
  // Longer than six heartbeats (a third of a lease of 30 s), and everything done before the first task ends.
  const seconds = quick ? 12 : 65;
  const lagPort = freePort();
  const server = await startTasktrack(
    {
      LAG_PORT: String(lagPort),
      DISPATCH_INTERVAL: "0s",
      WORKER_CONCURRENCY: String(tasks),
      SIMULATE_MIN: "3m",
      SIMULATE_MAX: "5m",
    },
    ["--preload", join(import.meta.dir, "lag.ts")],
  );
  await Bun.sleep(1_000);
  await lagSince(lagPort);
  await Bun.sleep(5_000);
  const idle = await lagSince(lagPort);
  const filled = await load(server, { kind: "create", requests: tasks });
  await untilAllRun(server);
  const filling = await lagSince(lagPort);
  await demandRunning(server, tasks);
  await Bun.sleep(1_000);
  await lagSince(lagPort);
  await Bun.sleep(seconds * 1000);
  const busy = await lagSince(lagPort);
  await demandRunning(server, tasks);
  const memory = rssBytes(server.pid);
  await stop(server);
  printTable([
    ["lag of a 5 ms timer, ms", "samples", "p50", "p99", "most"],
    row("idle", idle),
    row(`while ${figure(tasks)} are created at ${figure(filled.perSecond)}/s and start`, filling),
    row(`${figure(tasks)} running, ${seconds} s`, busy),
  ]);
  console.log(`  resident memory at the end: ${megabytes(memory)}`);
  const what = `event loop lag p99 with ${figure(tasks)} running`;
  return [{ what, measured: busy.p99Ms, target: 20, want: "at most", unit: " ms" }];
};
