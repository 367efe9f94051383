import { hostname } from "node:os";
import { createApp } from "../app.ts";
import type { Config } from "../config.ts";
import { isTaskError } from "../core/error.ts";
import { createLog, type Log } from "../lib/log.ts";
import { systemClock } from "../lib/system-clock.ts";
import { freePort, sayListening, spawnServer } from "./processes.ts";
import { codeOf, complain, configure, FAILED, OK } from "./settings.ts";
import { stopOnSignal } from "./signals.ts";
import { createSupervisor } from "./supervisor.ts";

/** `tasktrack serve`: runs until it is told to stop; resolves with the exit code. */
export async function serve(argv: readonly string[]): Promise<number> {
  const config = await configure(argv);
  if (typeof config === "number") return config;
  return config.processes === 1 ? serveAlone(config) : serveAsSeveral(config, argv);
}

/** One of the processes of `serveAsSeveral`: it listens beside the others, and stops when their parent has gone. */
export async function serveAsOneOfSeveral(argv: readonly string[]): Promise<number> {
  const config = await configure(argv);
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
