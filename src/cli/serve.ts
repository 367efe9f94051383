import { readFile } from "node:fs/promises";
import { hostname } from "node:os";
import { parseArgs, parseEnv } from "node:util";
import { type App, createApp } from "../app.ts";
import { type Config, readConfig, settings } from "../config.ts";
import { isTaskError, TaskError } from "../core/error.ts";
import { createLog, errorText, type Log } from "../lib/log.ts";
import { systemClock } from "../lib/system-clock.ts";

const OK = 0;
const FAILED = 1;
const USAGE = 2;

/** npm and a terminal both deliver a Ctrl-C; what comes this soon after the first is the same wish. */
const SAME_SIGNAL_MS = 1_000;

/** `tasktrack serve`: runs until it is told to stop; resolves with the exit code. */
export async function serve(argv: readonly string[]): Promise<number> {
  const config = await configure(argv);
  if (typeof config === "number") return config;
  const log = createLog({
    level: config.logLevel,
    pretty: config.appMode === "debug" && process.stdout.isTTY === true,
    now: () => systemClock.now(),
    write: (line) => void process.stdout.write(line),
  });
  const nonce = (): string => crypto.randomUUID().slice(0, 8);
  const worker = `${hostname()}-${process.pid}`;
  let stopped: Promise<number>;
  try {
    const app = await createApp(config, { clock: systemClock, random: Math.random, nonce, worker, log });
    stopped = stopOnSignal(app, log);
    await app.start();
  } catch (error) {
    complain(startFailure(error, config));
    process.exit(FAILED); // what has begun already would keep the process alive
  }
  return stopped;
}

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

/** The first signal stops gracefully; a later one, no echo of the first, exits at once. */
function stopOnSignal(app: App, log: Log): Promise<number> {
  return new Promise((resolve) => {
    let firstAt: number | null = null;
    const onSignal = (signal: string): void => {
      const now = systemClock.monotonic();
      if (firstAt === null) {
        firstAt = now;
        log.info("signal", { signal });
        app.stop().then(
          () => exit(OK),
          (error: unknown) => {
            log.error("stop_failed", { error: errorText(error) });
            exit(FAILED);
          },
        );
      } else if (now - firstAt > SAME_SIGNAL_MS) {
        log.warn("stopped_at_once", { signal });
        exit(FAILED);
      }
    };
    // A handler that ignored its abort would keep the process alive: it ends here, and its lease with time.
    const exit = (code: number): void => {
      resolve(code);
      process.exit(code);
    };
    process.on("SIGTERM", onSignal);
    process.on("SIGINT", onSignal);
  });
}
