/** `tasktrack worker`: a module of handlers that works for a server anywhere, over HTTP. */
import { availableParallelism, hostname } from "node:os";
import { parseArgs } from "node:util";
import { createWorker, type Worker } from "../client/client.ts";
import { parseDurationMs } from "../core/duration.ts";
import { isTaskError } from "../core/error.ts";
import { parseAllowance } from "../lib/addresses.ts";
import { createLog, LOG_LEVELS } from "../lib/log.ts";
import { systemClock } from "../lib/system-clock.ts";
import type { Handler } from "../processor/handler.ts";
import { createPool } from "../processor/pool.ts";
import { spawnHandlers } from "./handler-processes.ts";
import { complain, FAILED, OK, USAGE } from "./settings.ts";
import { stopOnSignal } from "./signals.ts";
import { watchModule } from "./watch-module.ts";

export const workerHelp = `Usage: tasktrack worker MODULE [flags]

Works on the types of a module of handlers for a server anywhere, until SIGTERM or SIGINT. The handlers run in processes of
their own; what the module's types say of timeout, max_attempts, backoff and delay counts only where the server itself has
the module (HANDLERS).

  --url URL                the server; TASKTRACK_URL, default http://localhost:8080
  --concurrency N          how many tasks are worked on at once, default 10
  --handler-processes N    how many processes run the handlers, default as many as there are cores
  --name NAME              how leases and statistics name it, default the host's name and the process id
  --lease DURATION         how long a task stays its own without a heartbeat, default 30s
  --grace DURATION         how long running work may go on after the signal, default 25s
  --http-allow-private L   which private addresses http() may call: ranges parted by commas, or 1 for all; none unless given
  --watch                  load the module anew when a file of its folder changes
  --log-level LEVEL        debug, info, warn or error, default info
`;

const OPTIONS = {
  url: { type: "string" },
  concurrency: { type: "string" },
  "handler-processes": { type: "string" },
  name: { type: "string" },
  lease: { type: "string" },
  grace: { type: "string" },
  "http-allow-private": { type: "string" },
  watch: { type: "boolean" },
  "log-level": { type: "string" },
} as const;

type Wish = {
  readonly module: string;
  readonly url: string;
  readonly concurrency: number;
  readonly processes: number;
  readonly name: string;
  readonly lease: string;
  readonly graceMs: number;
  readonly allowPrivate: string;
  readonly watches: boolean;
  readonly logLevel: (typeof LOG_LEVELS)[number];
};

export async function worker(argv: readonly string[]): Promise<number> {
  const wish = readWish(argv);
  return typeof wish === "number" ? wish : work(wish);
}

function readWish(argv: readonly string[]): Wish | number {
  try {
    const { values, positionals } = parseArgs({ args: [...argv], options: OPTIONS, allowPositionals: true });
    const [module, ...others] = positionals;
    if (module === undefined || others.length > 0)
      throw new TypeError("worker: expected one module of handlers");
    return {
      module,
      url: values.url ?? (process.env.TASKTRACK_URL || "http://localhost:8080"),
      concurrency: wholeOf("--concurrency", values.concurrency ?? "10"),
      processes: wholeOf("--handler-processes", values["handler-processes"] ?? `${availableParallelism()}`),
      name: values.name ?? `${hostname()}-${process.pid}`,
      lease: values.lease ?? "30s",
      graceMs: durationOf("--grace", values.grace ?? "25s"),
      allowPrivate: allowanceOf("--http-allow-private", values["http-allow-private"] ?? ""),
      watches: values.watch === true,
      logLevel: levelOf(values["log-level"] ?? "info"),
    };
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    complain(error.message);
    return USAGE;
  }
}

async function work(wish: Wish): Promise<number> {
  const { url, concurrency, name, lease } = wish;
  const log = createLog({
    level: wish.logLevel,
    pretty: false,
    now: () => systemClock.now(),
    write: (line) => void process.stdout.write(line),
  });
  const handlers = new Map<string, Handler>();
  let worker: Worker | null = null;
  const pool = createPool({
    spawn: spawnHandlers({ module: wish.module, allowPrivate: wish.allowPrivate, log }),
    processes: wish.processes,
    onTypes: (types) => {
      const before = [...handlers.keys()].join();
      handlers.clear();
      for (const type of types.keys()) handlers.set(type, pool.handler);
      if (before !== [...handlers.keys()].join()) worker?.refresh();
    },
    clock: systemClock,
    log,
  });
  try {
    await pool.start();
    worker = createWorker({ url, handlers, kill: pool.kill, concurrency, name, lease, log });
  } catch (error) {
    if (!isTaskError(error) && !(error instanceof TypeError)) throw error;
    pool.kill();
    complain(isTaskError(error) ? `${wish.module} cannot be loaded: ${error.message}` : error.message);
    return FAILED;
  }
  const { start, stop, stopped } = worker;
  const ended = stopOnSignal(log, () => stop(wish.graceMs).then(() => OK));
  start();
  log.info("working", { url, worker: name, types: [...handlers.keys()].join(), concurrency });
  if (wish.watches) watchModule(wish.module, pool.reload, systemClock);
  const drained = stopped.then(() => OK); // by the server
  const code = await Promise.race([ended, drained]);
  pool.kill();
  return code;
}

function wholeOf(flag: string, text: string): number {
  if (/^[1-9]\d{0,5}$/.test(text)) return Number(text);
  throw new TypeError(`${flag}: expected a whole number from 1 up, got ${JSON.stringify(text)}`);
}

function durationOf(flag: string, text: string): number {
  const ms = parseDurationMs(text);
  if (ms !== null && ms >= 0) return ms;
  throw new TypeError(`${flag}: expected a duration such as "25s", got ${JSON.stringify(text)}`);
}

function allowanceOf(flag: string, text: string): string {
  if (parseAllowance(text) !== null) return text;
  throw new TypeError(
    `${flag}: expected address ranges parted by commas, or 1 for all, got ${JSON.stringify(text)}`,
  );
}

function levelOf(text: string): Wish["logLevel"] {
  const level = LOG_LEVELS.find((word) => word === text);
  if (level !== undefined) return level;
  throw new TypeError(`--log-level: expected debug, info, warn or error, got ${JSON.stringify(text)}`);
}
