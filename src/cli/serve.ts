import { availableParallelism, hostname } from "node:os";
import { createApp, type Effects } from "../app.ts";
import type { Config } from "../config.ts";
import { isTaskError } from "../core/error.ts";
import { createLog, type Log } from "../lib/log.ts";
import { systemClock } from "../lib/system-clock.ts";
import { spawnHandlers } from "./handler-processes.ts";
import { freePort, sayListening, spawnServer } from "./processes.ts";
import { codeOf, complain, configureWith, FAILED, OK } from "./settings.ts";
import { stopOnSignal } from "./signals.ts";
import { createSupervisor } from "./supervisor.ts";
import { watchModule } from "./watch-module.ts";

/** `tasktrack serve`: runs until it is told to stop; resolves with the exit code. */
export async function serve(argv: readonly string[]): Promise<number> {
  const start = await configureServe(argv);
  if (typeof start === "number") return start;
  return start.config.processes === 1 ? serveAlone(start) : serveAsSeveral(start.config, argv);
}

/** One of the processes of `serveAsSeveral`: it listens beside the others, and stops when their parent has gone. */
export async function serveAsOneOfSeveral(argv: readonly string[]): Promise<number> {
  const start = await configureServe(argv);
  return typeof start === "number" ? start : serveAlone(start);
}

type Start = { readonly config: Config; readonly watches: boolean };

async function configureServe(argv: readonly string[]): Promise<Start | number> {
  const configured = await configureWith(argv, { watch: { type: "boolean" } });
  if (typeof configured === "number") return configured;
  return { config: configured.config, watches: configured.given.watch === true };
}

async function serveAlone({ config, watches }: Start): Promise<number> {
  const log = logOf(config);
  const nonce = (): string => crypto.randomUUID().slice(0, 8);
  const worker = `${hostname()}-${process.pid}`;
  const handlers = handlersOf(config, log);
  let stopped: Promise<number>;
  try {
    const app = await createApp(config, {
      ...{ clock: systemClock, random: Math.random, nonce, worker, log, handlers },
    });
    stopped = stopOnSignal(log, () => app.stop().then(() => OK));
    await app.start();
    if (watches && handlers !== null) watchModule(config.handlers, app.reloadHandlers, systemClock);
    sayListening();
  } catch (error) {
    complain(startFailure(error, config));
    process.exit(FAILED); // what has begun already would keep the process alive
  }
  return stopped;
}

function handlersOf(config: Config, log: Log): Effects["handlers"] {
  const { handlers: module, handlerProcesses, processes, httpAllowPrivate: allowPrivate } = config;
  if (module === "") return null;
  const cores = Math.ceil(availableParallelism() / processes);
  return {
    spawn: spawnHandlers({ module, allowPrivate, log }),
    processes: handlerProcesses === "cores" ? cores : handlerProcesses,
  };
}

/** Opens no store and no door itself: it starts the processes that do, and looks after them. */
async function serveAsSeveral(config: Config, argv: readonly string[]): Promise<number> {
  const log = logOf(config);
  let port: number;
  try {
    port = freePort(config);
  } catch (error) {
    complain(startFailure(error, config));
    return FAILED;
  }
  const spawn = spawnServer([...argv, "--port", String(port)], log);
  const supervisor = createSupervisor({ count: config.processes, spawn, clock: systemClock, log });
  const stopped = stopOnSignal(log, supervisor.stop, supervisor.kill);
  return (await supervisor.start()) ?? stopped;
}

const logOf = ({ logLevel, appMode, processes }: Config): Log =>
  createLog({
    level: logLevel,
    pretty: appMode === "debug" && process.stdout.isTTY === true,
    always: processes > 1 ? { pid: process.pid } : {},
    now: () => systemClock.now(),
    write: (line) => void process.stdout.write(line),
  });

function startFailure(error: unknown, { httpHost, httpPort }: Config): string {
  if (isTaskError(error)) return error.message;
  switch (codeOf(error)) {
    case "EADDRINUSE":
      return `port ${httpPort} on ${httpHost} is taken; HTTP_PORT or --port names another`;
    case "EACCES":
      return `port ${httpPort} needs a privilege that this user does not have; HTTP_PORT or --port names another`;
    default:
      return `cannot listen on ${httpHost}:${httpPort} (${codeOf(error)}); HTTP_HOST or --host names another address`;
  }
}
