/** `tasktrack worker`: runs a module of handlers for a server, over HTTP. */
import { availableParallelism, hostname } from "node:os";
import { createWorker, type Worker } from "../client/client.ts";
import { parseDurationMs } from "../core/duration.ts";
import { isTaskError } from "../core/error.ts";
import { parseAllowance } from "../lib/addresses.ts";
import { LOG_LEVELS } from "../lib/log.ts";
import { systemClock } from "../lib/system-clock.ts";
import type { Handler } from "../processor/handler.ts";
import { createHandlerProcesses } from "../processor/handler-processes/handler-processes.ts";
import { type Call, type Command, UsageError } from "./command.ts";
import { FAILED, OK } from "./exit-codes.ts";
import { createOutputLog } from "./log-output.ts";
import { complain } from "./settings.ts";
import { stopOnSignal } from "./signals.ts";
import { spawnHandlers } from "./spawn-handlers.ts";
import { serverUrl, URL_FLAG } from "./tasks/server.ts";
import { watchModule } from "./watch-module.ts";

export const workerCommand: Command = {
  name: "worker",
  about: "run a module of handlers for a server, over HTTP",
  outlivesOutput: true,
  details: `Runs until SIGTERM, SIGINT or SIGHUP, or until the server drains it. The handlers run in processes of their own. The defaults of the module for timeout, max_attempts, backoff and delay count only if the server has the module too (HANDLERS).`,
  positionals: [{ name: "MODULE" }],
  flags: [
    URL_FLAG,
    { name: "concurrency", value: "N", about: "number of tasks that run at the same time, default 10" },
    {
      name: "handler-processes",
      value: "N",
      about: "number of processes that run the handlers, default one for each core",
    },
    {
      name: "name",
      value: "NAME",
      about: "name of the worker in leases and statistics, default host and process id",
    },
    {
      name: "lease",
      value: "DURATION",
      about: "how long a task stays with this worker without a heartbeat, default 30s",
    },
    {
      name: "grace",
      value: "DURATION",
      about: "how long running tasks may continue after the signal, default 25s",
    },
    {
      name: "http-allow-private",
      value: "RANGES",
      about: "private addresses that http() may call: ranges separated by commas, or 1 for all; default none",
    },
    { name: "watch", about: "load the module again when a file in its folder changes" },
    { name: "log-level", value: "LEVEL", about: "default info", choices: LOG_LEVELS },
  ],
  examples: [
    { line: "tasktrack worker ./handlers.ts --url http://tasks.internal:8080", about: "ten tasks at once" },
  ],
  run: (call) => work(readOptions(call)),
};

type Options = {
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

function readOptions(call: Call): Options {
  const { given, positionals } = call;
  const whole = (name: string, fallback: number): number =>
    wholeOf(name, given.text(name) ?? String(fallback));
  return {
    module: positionals[0] ?? "",
    url: serverUrl(given, call.terminal),
    concurrency: whole("concurrency", 10),
    processes: whole("handler-processes", availableParallelism()),
    name: given.text("name") ?? `${hostname()}-${process.pid}`,
    lease: given.text("lease") ?? "30s",
    graceMs: durationOf("grace", given.text("grace") ?? "25s"),
    allowPrivate: allowanceOf("http-allow-private", given.text("http-allow-private") ?? ""),
    watches: given.isOn("watch"),
    logLevel: LOG_LEVELS.find((level) => level === given.text("log-level")) ?? "info",
  };
}

async function work(options: Options): Promise<number> {
  const { url, concurrency, name, lease } = options;
  const log = createOutputLog({
    stream: process.stdout,
    level: options.logLevel,
    pretty: false,
    now: () => systemClock.now(),
  });
  const handlers = new Map<string, Handler>();
  let worker: Worker | null = null;
  const processes = createHandlerProcesses({
    spawn: spawnHandlers({ module: options.module, allowPrivate: options.allowPrivate, log }),
    processes: options.processes,
    onTypes: (types) => {
      const before = [...handlers.keys()].join();
      handlers.clear();
      for (const type of types.keys()) handlers.set(type, processes.handler);
      if (before !== [...handlers.keys()].join()) worker?.refresh();
    },
    clock: systemClock,
    log,
  });
  try {
    await processes.start();
    worker = createWorker({ url, handlers, kill: processes.kill, concurrency, name, lease, log });
  } catch (error) {
    if (!isTaskError(error) && !(error instanceof TypeError)) throw error;
    processes.kill();
    complain(isTaskError(error) ? `${options.module} cannot be loaded: ${error.message}` : error.message);
    return FAILED;
  }
  const { start, stop, stopped } = worker;
  const ended = stopOnSignal(log, () => stop(options.graceMs).then(() => OK));
  start();
  log.info("working", { url, worker: name, types: [...handlers.keys()].join(), concurrency });
  if (options.watches) watchModule(options.module, processes.reload, systemClock);
  const drained = stopped.then(() => OK); // by the server
  const code = await Promise.race([ended, drained]);
  processes.kill();
  return code;
}

function wholeOf(flag: string, text: string): number {
  if (/^[1-9]\d{0,5}$/.test(text)) return Number(text);
  throw new UsageError(`--${flag}: expected a whole number from 1 up, got ${JSON.stringify(text)}`);
}

function durationOf(flag: string, text: string): number {
  const ms = parseDurationMs(text);
  if (ms !== null && ms >= 0) return ms;
  throw new UsageError(`--${flag}: expected a duration such as "25s", got ${JSON.stringify(text)}`);
}

function allowanceOf(flag: string, text: string): string {
  if (parseAllowance(text) !== null) return text;
  throw new TypeError(
    `${flag}: expected address ranges separated by commas, or 1 for all, got ${JSON.stringify(text)}`,
  );
}
