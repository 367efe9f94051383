/** From the start of the process to the first 200 of /livez. */
import { pinned, SERVER_CORE } from "./machine.ts";
import { figure, median, printTable, spread, type Verdict } from "./report.ts";
import { freePort, spawn, stop, tasktrackCommand, tasktrackEnv, untilReady } from "./servers.ts";

const startOnce = async (): Promise<number> => {
  const port = freePort();
  const startedAt = performance.now();
  const child = spawn(pinned(SERVER_CORE, tasktrackCommand()), tasktrackEnv({ HTTP_PORT: String(port) }));
  await untilReady(child, port, "/livez");
  const elapsed = performance.now() - startedAt;
  await stop(child);
  return elapsed;
};

export const start = async (quick: boolean): Promise<Verdict[]> => {
  await startOnce(); // fills the file cache: the first start after a boot measures the disk
  const times: number[] = [];
  for (let round = 0; round < (quick ? 5 : 20); round += 1) {
    times.push(await startOnce());
  }
  printTable([
    ["", "median ms", "lowest to highest"],
    [`${times.length} starts`, figure(median(times)), spread(times)],
  ]);
  return [
    { what: "start to first answer", measured: median(times), target: 300, want: "at most", unit: " ms" },
  ];
};
