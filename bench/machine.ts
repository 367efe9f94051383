/** The machine: two cores to pin processes to, and the kernel's counts for processes. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
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

const everyCore = `0-${availableParallelism() - 1}`;

/** For processes that the pinned benchmark starts, which would inherit its core. */
export const unpinned = (command: readonly string[]): string[] => ["taskset", "-c", everyCore, ...command];

const allow = (cores: string): void => {
  Bun.spawnSync(["taskset", "-acp", cores, String(process.pid)]);
};

/**
 * The benchmark itself reads the streamed list and takes samples. It runs on the load's core, so that it does not slow down the
 * server.
 */
export const pinSelf = (core: number): void => allow(String(core));

/** Processes that are started meanwhile may run on every core; after that the benchmark is on the load's core again. */
export const onEveryCore = async <T>(start: () => Promise<T>): Promise<T> => {
  allow(everyCore);
  try {
    return await start();
  } finally {
    pinSelf(LOAD_CORE);
  }
};

export const rssBytes = (pid: number): number => {
  const kilobytes = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  if (kilobytes === null) {
    throw new Error(`process ${pid} has no VmRSS: it has ended`);
  }
  return Number(kilobytes[1]) * 1024;
};

type Stat = {
  readonly command: string;
  readonly parent: number;
  /** User and system time of all threads. */
  readonly own: number;
  /** The same of the children that have ended and were waited for. */
  readonly ended: number;
};

const statOf = (pid: number): Stat => {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  // The second field is the command in parentheses and may hold spaces. The 4th is the parent, the 14th to the 17th are
  // utime, stime, cutime and cstime.
  const commandEnd = stat.lastIndexOf(")");
  const fields = stat.slice(commandEnd + 2).split(" ");
  const seconds = (at: number) => Number(fields[at]) / TICKS_PER_SECOND;
  return {
    command: stat.slice(stat.indexOf("(") + 1, commandEnd),
    parent: Number(fields[1]),
    own: seconds(11) + seconds(12),
    ended: seconds(13) + seconds(14),
  };
};

export const cpuSeconds = (pid: number): number => statOf(pid).own;

/** The parent of a process, which must have this name: a process id from a container would be another process here. */
export const parentOf = (pid: number, command: string): number => {
  const stat = existsSync(`/proc/${pid}/stat`) ? statOf(pid) : null;
  if (stat?.command !== command) {
    throw new Error(`process ${pid} is no ${command} on this machine; its processor time cannot be read`);
  }
  return stat.parent;
};

/** Null if the process has ended: the time of its parent then includes its time. */
const statIfAlive = (pid: number): Stat | null => {
  try {
    return statOf(pid);
  } catch {
    return null;
  }
};

const childrenOf = (pid: number): number[] =>
  readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((child) => statIfAlive(child)?.parent === pid);

/** The time of a process and its children, also of those that have ended. */
export const cpuSecondsWithChildren = (pid: number): number => {
  const { own, ended } = statOf(pid);
  return childrenOf(pid).reduce((sum, child) => sum + (statIfAlive(child)?.own ?? 0), own + ended);
};

/** Of the threads that are alive, in nanoseconds; 0 if the process has ended. */
const secondsOfThreads = (pid: number): number => {
  try {
    return (
      readdirSync(`/proc/${pid}/task`).reduce(
        (sum, thread) =>
          sum + Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]),
        0,
      ) / 1e9
    );
  } catch {
    return 0;
  }
};

/**
 * The same without the ticks of 10 ms, in which the time of many processes that do little is lost. For processes that keep their
 * threads.
 */
export const exactCpuSecondsWithChildren = (pid: number): number =>
  childrenOf(pid).reduce(
    (sum, child) => sum + secondsOfThreads(child),
    secondsOfThreads(pid) + statOf(pid).ended,
  );

/** Takes samples until it is stopped; returns each with its time. */
export const sampleRss = (pid: number, everyMs: number) => {
  const readings: { readonly atMs: number; readonly bytes: number }[] = [];
  const take = () => {
    // A request to a server that has ended reports that.
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
