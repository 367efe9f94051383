import { readFile } from "node:fs/promises";
import { hostname } from "node:os";
import { parseArgs, parseEnv } from "node:util";
import { createApp } from "../app.ts";
import { type Config, readConfig, settings } from "../config.ts";
import { isTaskError, TaskError } from "../core/error.ts";
import { createLog, type Log } from "../lib/log.ts";
import { systemClock } from "../lib/system-clock.ts";
import { freePort, sayListening, spawnServer } from "./processes.ts";
import { stopOnSignal } from "./signals.ts";
import { createSupervisor } from "./supervisor.ts";

const OK = 0;
const FAILED = 1;
const USAGE = 2;

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

/** The configuration, or the exit code of a start that must not be. */
async function configure(argv: readonly string[]): Promise<Config | number> {
  try {
    return readConfig({ flags: readFlags(argv), env: process.env, file: await readEnvFile() });
  } catch (error) {
    if (!isTaskError(error) && !(error instanceof TypeError)) throw error;
    complain(error.message);
    return USAGE;
  }
}

/** Throws a TypeError for what is no flag. */
function readFlags(argv: readonly string[]): Record<string, string | undefined> {
  const options = Object.fromEntries(settings.map(({ flag }) => [flag, { type: "string" as const }]));
  return parseArgs({ args: [...argv], options, strict: true, allowPositionals: false }).values;
}

/** `.env` in the working directory, that file alone. */
async function readEnvFile(): Promise<Record<string, string | undefined>> {
  try {
    return parseEnv(await readFile(".env", "utf8"));
  } catch (error) {
    if (codeOf(error) === "ENOENT") return {};
    throw new TaskError("invalid", `.env cannot be read: ${codeOf(error)}`);
  }
}

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

/** The system's word for an error, or the error's own. */
const codeOf = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error);
  return "code" in error ? String(error.code) : error.message;
};

const complain = (message: string): void => void process.stderr.write(`tasktrack: ${message}\n`);
