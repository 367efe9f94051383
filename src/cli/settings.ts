/** Reads the settings of a command, or prints which setting is invalid. */
import { readFile } from "node:fs/promises";
import { hostname } from "node:os";
import { parseEnv } from "node:util";
import { type Config, readConfig, settings } from "../config.ts";
import { isTaskError, TaskError } from "../core/error.ts";
import type { Log } from "../lib/log.ts";
import { systemClock } from "../lib/system-clock.ts";
import type { StoreSetup } from "../store/setup.ts";
import type { Flag, Given } from "./command.ts";
import { USAGE } from "./exit-codes.ts";

/** A flag for each setting. */
export const settingFlags: readonly Flag[] = settings.map(({ flag, name, fallback, about }) => ({
  ...{ name: flag, value: "VALUE" },
  about: `${about}\n${name}, default ${fallback || "(none)"}`,
}));

/** A flag for each setting; only these are shown in the help. For commands that need a store and little more. */
export const mostlyHidden = (...shown: readonly string[]): readonly Flag[] =>
  settingFlags.map((flag) => (shown.includes(flag.name) ? flag : { ...flag, isHidden: true }));

/** The configuration, or the exit code if a setting is invalid. */
export async function configure(given: Given): Promise<Config | number> {
  try {
    const flags = Object.fromEntries(settingFlags.map(({ name }) => [name, given.text(name)]));
    return readConfig({ flags, env: process.env, file: await readEnvFile() });
  } catch (error) {
    if (!isTaskError(error)) throw error;
    complain(error.message);
    return USAGE;
  }
}

/** Reads `.env` in the working directory only. */
async function readEnvFile(): Promise<Record<string, string | undefined>> {
  try {
    return parseEnv(await readFile(".env", "utf8"));
  } catch (error) {
    if (codeOf(error) === "ENOENT") return {};
    throw new TaskError("invalid", `.env cannot be read: ${codeOf(error)}`);
  }
}

/** The effects of a store, for commands that open one themselves. */
export const storeSetup = (url: string, config: Config, log: Log): StoreSetup => ({
  url,
  clock: systemClock,
  log,
  random: Math.random,
  nonce: () => crypto.randomUUID().slice(0, 8),
  worker: `${hostname()}-${process.pid}`,
  allowVolatileRedis: config.allowVolatileRedis,
});

/** The code of a system error, or the message of another one. */
export const codeOf = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error);
  return "code" in error ? String(error.code) : error.message;
};

/** One line for the operator. */
export const complain = (message: string): void => void process.stderr.write(`tasktrack: ${message}\n`);
