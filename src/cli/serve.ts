import { hostname } from "node:os";
import { createApp } from "../app.ts";
import type { Config } from "../config.ts";
import { isTaskError } from "../core/error.ts";
import { createLog, type Log } from "../lib/log.ts";
import { systemClock } from "../lib/system-clock.ts";
import { type Command, FAILED, type Given, OK } from "./command.ts";
import { freePort, sayListening, spawnServer } from "./processes.ts";
import { codeOf, complain, configure, settingFlags } from "./settings.ts";
import { stopOnSignal } from "./signals.ts";
import { createSupervisor } from "./supervisor.ts";

export const serveCommand: Command = {
  name: "serve",
  about: "run the server in the foreground",
  details: `Runs until SIGTERM or SIGINT. A flag wins over the environment, the environment over the file .env in the working directory.`,
  positionals: [],
  flags: settingFlags,
  examples: [
    { line: "tasktrack serve", about: "everything in memory, on port 8080" },
    { line: "tasktrack serve --store sqlite:tasks.db --port 9000", about: "tasks survive, on another port" },
  ],
  run: ({ given }) => serve(given),
};

/** Runs until it is told to stop; resolves with the exit code. */
async function serve(given: Given): Promise<number> {
  const config = await configure(given);
  if (typeof config === "number") return config;
  return config.processes === 1 ? serveAlone(config) : serveAsSeveral(config, given);
}

/** One of the processes of `serveAsSeveral`: it listens beside the others, and stops when their parent has gone. */
export async function serveAsOneOfSeveral(given: Given): Promise<number> {
  const config = await configure(given);
  return typeof config === "number" ? config : serveAlone(config);
}

async function serveAlone(config: Config): Promise<number> {
  const log = logOf(config);
  const nonce = (): string => crypto.randomUUID().slice(0, 8);
  const worker = `${hostname()}-${process.pid}`;
  let stopped: Promise<number>;
  try {
    const app = await createApp(config, { clock: systemClock, random: Math.random, nonce, worker, log });
    stopped = stopOnSignal(log, () => app.stop().then(() => OK));
    await app.start();
    sayListening();
  } catch (error) {
    complain(startFailure(error, config));
    process.exit(FAILED); // what has begun already would keep the process alive
  }
  return stopped;
}

/** Opens no store and no door itself: it starts the processes that do, and looks after them. */
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

/** What was given, for a process that is to be like this one. */
const argumentsOf = (given: Given): string[] =>
  settingFlags.flatMap(({ name }) => given.texts(name).map((value) => `--${name}=${value}`));

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
