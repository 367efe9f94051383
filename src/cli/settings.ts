/** What every command does before its own work: settings in, or one line that says which is wrong. */
import { readFile } from "node:fs/promises";
import { hostname } from "node:os";
import { parseArgs, parseEnv } from "node:util";
import { type Config, readConfig, settings } from "../config.ts";
import { isTaskError, TaskError } from "../core/error.ts";
import type { Log } from "../lib/log.ts";
import { systemClock } from "../lib/system-clock.ts";
import type { StoreSetup } from "../store/open.ts";

export const OK = 0;
export const FAILED = 1;
export const USAGE = 2;

/** A flag of one command alone, beside those of the settings. */
export type OwnFlags = Readonly<Record<string, { readonly type: "string" | "boolean" }>>;
type Given = Readonly<Record<string, string | boolean | undefined>>;

/** The configuration with the command's own flags, or the exit code of a start that must not be. */
export async function configureWith(
  argv: readonly string[],
  own: OwnFlags,
): Promise<{ readonly config: Config; readonly given: Given } | number> {
  try {
    const { flags, given } = readFlags(argv, own);
    return { config: readConfig({ flags, env: process.env, file: await readEnvFile() }), given };
  } catch (error) {
    if (!isTaskError(error) && !(error instanceof TypeError)) throw error;
    complain(error.message);
    return USAGE;
  }
}

/** Throws a TypeError for what is no flag. */
function readFlags(argv: readonly string[], own: OwnFlags) {
  const shared = Object.fromEntries(settings.map(({ flag }) => [flag, { type: "string" as const }]));
  const { values } = parseArgs({
    args: [...argv],
    options: { ...shared, ...own },
    strict: true,
    allowPositionals: false,
  });
  const all = Object.entries(values as Given); // no flag is declared as one that may come more than once
  const isOwn = ([name]: [string, unknown]): boolean => Object.hasOwn(own, name);
  const flags = all.filter((entry) => !isOwn(entry)).map(([name, value]) => [name, value as string] as const); // "string" above
  return { flags: Object.fromEntries(flags), given: Object.fromEntries(all.filter(isOwn)) };
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

/** What a store needs of the world, for commands that open one themselves. */
export const storeSetup = (url: string, config: Config, log: Log): StoreSetup => ({
  url,
  clock: systemClock,
  log,
  random: Math.random,
  nonce: () => crypto.randomUUID().slice(0, 8),
  worker: `${hostname()}-${process.pid}`,
  allowVolatileRedis: config.allowVolatileRedis,
});

/** The system's word for an error, or the error's own. */
export const codeOf = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error);
  return "code" in error ? String(error.code) : error.message;
};

/** One line for the operator. */
export const complain = (message: string): void => void process.stderr.write(`tasktrack: ${message}\n`);
