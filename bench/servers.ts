/** Starts and stops the servers under test. Every server listens on 127.0.0.1 only and ends with the benchmark. */
import { join } from "node:path";
import type { Subprocess } from "bun";
import { goBinary } from "./go.ts";
import { CREATE_TASK, type LoadPlan, type LoadResult } from "./load.ts";
import { cpuSeconds, LOAD_CORE, pinned, SERVER_CORE, unpinned } from "./machine.ts";

export type Server = { readonly name: string; readonly port: number; readonly pid: number };

type Start = {
  readonly name: string;
  readonly command: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Answers 200 when the server accepts requests. */
  readonly ready?: string;
  /** By default the server's core. */
  readonly pin?: (command: readonly string[]) => string[];
};

/** The result of a load, and the usage of both cores meanwhile. */
export type Loaded = LoadResult & { readonly serverBusy: number; readonly loadBusy: number };

const READY_WITHIN_MS = 30_000;
const STOPPED_WITHIN_MS = 3_000;
const RUN_WITHIN_MS = 15 * 60_000;

/** The working copy that this benchmark belongs to. */
export const checkout = join(import.meta.dir, "..");
export const bun = [process.execPath, "--no-env-file"];
const running = new Map<number, Subprocess>();

export const freePort = (): number => {
  const taken = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: () => undefined } });
  const { port } = taken;
  taken.stop(true);
  return port;
};

/** Always ends with the benchmark. */
export const track = (child: Subprocess): void => {
  running.set(child.pid, child);
  void child.exited.then(() => running.delete(child.pid));
};

/**
 * Only PATH, HOME and the given variables: the settings of the shell must not change the result. Programs in Go have one core, like
 * the others.
 */
const environment = (env: Readonly<Record<string, string>>) => ({
  PATH: process.env.PATH ?? "",
  HOME: process.env.HOME ?? "",
  GOMAXPROCS: "1",
  ...env,
});

export const spawn = (command: readonly string[], env: Readonly<Record<string, string>> = {}): Subprocess => {
  const child = Bun.spawn([...command], {
    cwd: checkout,
    env: environment(env),
    stdin: "ignore",
    stdout: "ignore",
    stderr: "inherit",
  });
  running.set(child.pid, child);
  return child;
};

/** Runs a program to its end and returns its output; throws if it fails. */
export const run = async (
  name: string,
  command: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<string> => {
  const child = Bun.spawn([...command], {
    cwd: checkout,
    env: environment(env),
    stdin: "ignore",
    stdout: "pipe",
    stderr: "inherit",
    timeout: RUN_WITHIN_MS,
  });
  running.set(child.pid, child);
  const printed = await new Response(child.stdout).text();
  const exitCode = await child.exited;
  running.delete(child.pid);
  if (exitCode !== 0) {
    throw new Error(`${name} failed with exit code ${exitCode}`);
  }
  return printed;
};

export const answers = async (port: number, path: string): Promise<boolean> => {
  try {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`);
    await answer.arrayBuffer();
    return answer.status === 200;
  } catch {
    return false; // not listening yet; the caller has a time limit
  }
};

export const untilReady = async (child: Subprocess, port: number, path: string): Promise<void> => {
  const giveUpAt = performance.now() + READY_WITHIN_MS;
  while (!(await answers(port, path))) {
    if (child.exitCode !== null || performance.now() > giveUpAt) {
      throw new Error(`a server of the bench did not get ready (exit code ${child.exitCode})`);
    }
    await Bun.sleep(1);
  }
};

const toServerCore = (command: readonly string[]): string[] => pinned(SERVER_CORE, command);

export const startServer = async ({
  name,
  command,
  env,
  ready = "/readyz",
  pin = toServerCore,
}: Start): Promise<Server> => {
  const port = freePort();
  const child = spawn(pin(command), { HTTP_PORT: String(port), ...env });
  await untilReady(child, port, ready);
  return { name, port, pid: child.pid };
};

export const tasktrackCommand = (flags: readonly string[] = []) => [...bun, ...flags, "src/main.ts", "serve"];

export const tasktrackEnv = (settings: Readonly<Record<string, string>>) => ({
  HTTP_HOST: "127.0.0.1",
  LOG_LEVEL: "warn",
  SHUTDOWN_GRACE: "0s",
  ...settings,
});

export const startTasktrack = (
  settings: Readonly<Record<string, string>> = {},
  flags: readonly string[] = [],
): Promise<Server> =>
  startServer({ name: "TaskTrack", command: tasktrackCommand(flags), env: tasktrackEnv(settings) });

/** One of many, which are not pinned to a core. */
export const startTasktrackAnywhere = (settings: Readonly<Record<string, string>>): Promise<Server> =>
  startServer({ name: "TaskTrack", command: tasktrackCommand(), env: tasktrackEnv(settings), pin: unpinned });

export const startBare = (): Promise<Server> =>
  startServer({ name: "bare Bun.serve", command: [...bun, join(import.meta.dir, "bare.ts")] });

export const startGin = (): Promise<Server> => startServer({ name: "Gin", command: [goBinary("gin")] });

export const stop = async ({ pid }: Pick<Server, "pid">): Promise<void> => {
  const child = running.get(pid);
  if (child === undefined) {
    return;
  }
  running.delete(pid);
  child.kill("SIGTERM");
  const late = setTimeout(() => child.kill("SIGKILL"), STOPPED_WITHIN_MS);
  await child.exited;
  clearTimeout(late);
};

export const stopAll = async (): Promise<void> => {
  await Promise.all([...running.keys()].map((pid) => stop({ pid })));
};

/** Runs the load generator on its own core against the server. Throws on any answer with another status. */
export const load = async (
  server: Server,
  plan: Pick<LoadPlan, "kind" | "requests"> & Partial<LoadPlan>,
): Promise<Loaded> => {
  const whole: LoadPlan = {
    connections: 64,
    ids: 1,
    firstId: 1,
    perSecond: null,
    post: CREATE_TASK,
    forMs: null,
    ...plan,
    port: server.port,
  };
  const command = [...bun, join(import.meta.dir, "load.ts"), JSON.stringify(whole)];
  const before = cpuSeconds(server.pid);
  const printed = await run(`the load (${plan.kind}) against ${server.name}`, pinned(LOAD_CORE, command));
  const result = JSON.parse(printed) as LoadResult;
  return {
    ...result,
    serverBusy: (cpuSeconds(server.pid) - before) / result.seconds,
    loadBusy: result.cpuSeconds / result.seconds,
  };
};
