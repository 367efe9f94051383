/**
 * Measures whether the API answers in time while handlers are in endless loops, at least one on each core. Alternates with an idle
 * server.
 */
import { availableParallelism } from "node:os";
import { join } from "node:path";
import type { LoadResult } from "./load.ts";
import { figure, median, printTable, type Verdict } from "./report.ts";
import { load, type Server, startTasktrack, stop } from "./servers.ts";

const MODULE = join(import.meta.dir, "looping-handlers.ts");
/** The request rate of a busy server with long tasks. */
const PER_SECOND = 500;

const addLoops = async (server: Server, count: number): Promise<void> => {
  for (let n = 0; n < count; n++) {
    const body = JSON.stringify({ name: "loop", type: "loops", timeout: "10m" });
    const answer = await fetch(`http://127.0.0.1:${server.port}/api/task`, { method: "POST", body });
    if (answer.status !== 201) throw new Error(`a loop was answered ${answer.status}`);
  }
};

/** One round: a new server with this number of loops, under the same load. */
const measure = async (loops: number, seconds: number): Promise<LoadResult> => {
  const server = await startTasktrack({ HANDLERS: MODULE, DISPATCH_INTERVAL: "0s" });
  await addLoops(server, loops);
  await Bun.sleep(1_000);
  const result = await load(server, {
    kind: "create",
    connections: 16,
    requests: PER_SECOND * seconds,
    perSecond: PER_SECOND,
  });
  await stop(server);
  return result;
};

export const handlers = async (quick: boolean): Promise<Verdict[]> => {
  const rounds = quick ? 1 : 5;
  const seconds = quick ? 2 : 8; // less than the time after which a looping process is killed
  const loops = 2 * availableParallelism();
  const idle: LoadResult[] = [];
  const busy: LoadResult[] = [];
  for (let round = 0; round < rounds; round++) {
    idle.push(await measure(0, seconds));
    busy.push(await measure(loops, seconds));
  }
  const middle = (results: readonly LoadResult[], key: "p50Ms" | "p99Ms" | "maxMs"): number =>
    median(results.map((result) => result[key]));
  const row = (name: string, results: readonly LoadResult[]): string[] => [
    name,
    figure(middle(results, "p50Ms")),
    figure(middle(results, "p99Ms")),
    figure(middle(results, "maxMs")),
  ];
  printTable([
    [`create at ${PER_SECOND}/s, ms, medians of ${rounds}`, "p50", "p99", "most"],
    row("no handler running", idle),
    row(`${loops} handlers in endless loops`, busy),
  ]);
  const what = `create p99 beside ${loops} looping handlers`;
  return [{ what, measured: middle(busy, "p99Ms"), target: 20, want: "at most", unit: " ms" }];
};
