import { availableParallelism, hostname } from "node:os";
import type { Effects } from "../app.ts";
import type { Config } from "../config.ts";
import { isTaskError } from "../core/error.ts";
import type { Log } from "../lib/log.ts";
import { systemClock } from "../lib/system-clock.ts";
import type { Command, Flag, Given } from "./command.ts";
import { FAILED, OK } from "./exit-codes.ts";
import { createOutputLog } from "./log-output.ts";
import { freePort, sayListening, spawnServer } from "./processes.ts";
import { codeOf, complain, configure, settingFlags } from "./settings.ts";
import { stopOnSignal } from "./signals.ts";
import { spawnHandlers } from "./spawn-handlers.ts";
import { createSupervisor } from "./supervisor.ts";
import { watchModule } from "./watch-module.ts";

const WATCH: Flag = {
  name: "watch",
  about: "for development: load the module of handlers again when a file in its folder changes",
};

export const serveCommand: Command = {
  name: "serve",
  about: "run the server in the foreground",
  outlivesOutput: true,
  details: `Runs until SIGTERM, SIGINT or SIGHUP. A flag overrides the environment, and the environment overrides the file .env in the working directory.`,
  positionals: [],
  flags: [...settingFlags, WATCH],
  examples: [
    { line: "tasktrack serve", about: "everything in memory, on port 8080" },
    { line: "tasktrack serve --store sqlite:tasks.db --port 9000", about: "tasks survive, on another port" },
    { line: "tasktrack serve --handlers ./handlers.ts --watch", about: "with your own handlers" },
  ],
  run: ({ given }) => serve(given),
};

/** Runs until a signal stops it; resolves with the exit code. */
async function serve(given: Given): Promise<number> {
  const config = await configure(given);
  if (typeof config === "number") return config;
  return config.processes === 1 ? serveAlone(config, given) : serveAsSeveral(config, given);
}

/** One process of `serveAsSeveral`. It shares the port, and stops when its parent has ended. */
export async function serveAsOneOfSeveral(given: Given): Promise<number> {
  const config = await configure(given);
  return typeof config === "number" ? config : serveAlone(config, given);
}

async function serveAlone(config: Config, given: Given): Promise<number> {
  const { createApp } = await import("../app.ts"); // loaded here: it takes 80 ms, and no other command needs it
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
    if (given.isOn(WATCH.name) && handlers !== null)
      watchModule(config.handlers, app.reloadHandlers, systemClock);
    sayListening();
  } catch (error) {
    complain(startFailure(error, config));
    process.exit(FAILED); // the started parts would keep the process alive
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

/** Opens no store and no port: it starts the processes that do, and restarts them. */
async function serveAsSeveral(config: Config, given: Given): Promise<number> {
  const log = logOf(config);
  let port: number;
  try {
    port = freePort(config);
  } catch (error) {
    complain(startFailure(error, config));
    return FAILED;
  }
  const spawn = spawnServer([...argumentsOf(given), `--port=${port}`], log);
  const supervisor = createSupervisor({ count: config.processes, spawn, clock: systemClock, log });
  const stopped = stopOnSignal(log, supervisor.stop, supervisor.kill);
  return (await supervisor.start()) ?? stopped;
}

/** The arguments of this process, for its child processes. */
const argumentsOf = (given: Given): string[] => [
  ...settingFlags.flatMap(({ name }) => given.texts(name).map((value) => `--${name}=${value}`)),
  ...(given.isOn(WATCH.name) ? [`--${WATCH.name}`] : []),
];

const logOf = ({ logLevel, appMode, processes }: Config): Log =>
  createOutputLog({
    stream: process.stdout,
    level: logLevel,
    pretty: appMode === "debug" && process.stdout.isTTY === true,
    always: processes > 1 ? { pid: process.pid } : {},
    now: () => systemClock.now(),
  });

function startFailure(error: unknown, { httpHost, httpPort }: Config): string {
  if (isTaskError(error)) return error.message;
  switch (codeOf(error)) {
    case "EADDRINUSE":
      return `port ${httpPort} on ${httpHost} is in use; choose another one with HTTP_PORT or --port`;
    case "EACCES":
      return `port ${httpPort} needs a privilege that this user does not have; choose another one with HTTP_PORT or --port`;
    default:
      return `cannot listen on ${httpHost}:${httpPort} (${codeOf(error)}); choose another address with HTTP_HOST or --host`;
  }
}
