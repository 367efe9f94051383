/** What the benchmarks know of the machine: two cores to pin to, and what the kernel counts for a process. */
import { existsSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";

export const SERVER_CORE = 0;
export const LOAD_CORE = 1;

/** The kernel's unit in /proc/PID/stat on every Linux that Bun runs on. */
const TICKS_PER_SECOND = 100;

export const refusal = (): string | null => {
  if (process.platform !== "linux") {
    return "the benchmarks read /proc and pin with taskset, so they need Linux";
  }
  if (Bun.which("taskset") === null) {
    return "the benchmarks pin each side to a core with taskset (package util-linux), which is not on the PATH";
  }
  if (availableParallelism() < 2) {
    return "the benchmarks need two cores, one for the server and one for the load";
  }
  return null;
};

export const pinned = (core: number, command: readonly string[]): string[] => [
  "taskset",
  "-c",
  String(core),
  ...command,
];

/** The bench itself reads the streamed list and samples; on the load's core it takes nothing from the server. */
export const pinSelf = (core: number): void => {
  Bun.spawnSync(["taskset", "-acp", String(core), String(process.pid)]);
};

export const rssBytes = (pid: number): number => {
  const kilobytes = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  if (kilobytes === null) {
    throw new Error(`process ${pid} has no VmRSS: it has ended`);
  }
  return Number(kilobytes[1]) * 1024;
};

/** User and system time of all threads of the process. */
export const cpuSeconds = (pid: number): number => {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  // The second field is the command in parentheses and may hold spaces; utime and stime are the 14th and 15th.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
};

/** Samples until stopped; answers every reading with the time it was taken at. */
export const sampleRss = (pid: number, everyMs: number) => {
  const readings: { readonly atMs: number; readonly bytes: number }[] = [];
  const take = () => {
    // A server that has died is reported by whoever was talking to it.
    if (existsSync(`/proc/${pid}/status`)) {
      readings.push({ atMs: performance.now(), bytes: rssBytes(pid) });
    }
  };
  take();
  const timer = setInterval(take, everyMs);
  return {
    stop: () => {
      clearInterval(timer);
      take();
      return readings;
    },
  };
};
