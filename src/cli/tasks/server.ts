/** The shared part of all commands that call a server. */
import { type Client, createClient, TaskTrackError } from "../../client/client.ts";
import { withoutPassword } from "../../config.ts";
import { MAX_TASK_ID } from "../../core/task.ts";
import { parseAnswer } from "../answers.ts";
import { type Call, type Flag, type Given, UsageError } from "../command.ts";
import { FAILED } from "../exit-codes.ts";
import { refusalLines } from "../show/refusal.ts";
import type { Terminal } from "../terminal.ts";

export const URL_FLAG: Flag = {
  name: "url",
  value: "URL",
  about: "address of the server; default TASKTRACK_URL, or http://localhost:8080",
};
export const NO_COLOR: Flag = {
  name: "no-color",
  about: "print no colours; the same as NO_COLOR in the environment",
};
export const JSON_FLAG: Flag = { name: "json", about: "print the JSON of the API" };

/** Flags of each such command. */
export const SERVER_FLAGS: readonly Flag[] = [URL_FLAG, NO_COLOR];

const DEFAULT_URL = "http://localhost:8080";

/** The retries are few, because a person waits for the answer. */
const RETRIES = 2;

export function serverUrl(given: Given, { env }: Pick<Terminal, "env">): string {
  const url = given.text(URL_FLAG.name) ?? (env.TASKTRACK_URL || DEFAULT_URL);
  clientOf(url);
  return url;
}

function clientOf(url: string): Client {
  try {
    return createClient(url, { retries: RETRIES, parse: parseAnswer });
  } catch (error) {
    if (error instanceof TypeError) throw new UsageError(error.message);
    throw error;
  }
}

/** `url` is the address of the server without a password. */
export type Server = { readonly client: Client; readonly url: string };

/** Runs a function with a client of the server. Prints an error of the server, and returns its exit code. */
export async function withServer(call: Call, run: (server: Server) => Promise<number>): Promise<number> {
  const address = serverUrl(call.given, call.terminal);
  const url = withoutPassword(address);
  try {
    return await run({ client: clientOf(address), url });
  } catch (error) {
    return refused(call.terminal, error, { url });
  }
}

/** Prints an error of the server; throws any other error. */
export function refused(
  { err }: Terminal,
  error: unknown,
  about: { readonly url: string; readonly about?: string },
): number {
  if (!(error instanceof TaskTrackError)) throw error;
  err.write(`tasktrack: ${refusalLines(error, about).join("\n")}\n`);
  return FAILED;
}

/** Calls a function for each task, and prints each error of the server. Returns the highest exit code. */
export async function forEachTask(
  { terminal }: Call,
  { url, ids }: { readonly url: string; readonly ids: readonly number[] },
  run: (id: number) => Promise<number>,
): Promise<number> {
  const codes: number[] = [];
  for (const id of ids) {
    try {
      codes.push(await run(id));
    } catch (error) {
      codes.push(refused(terminal, error, { url, about: `task ${id}` }));
      if (error instanceof TaskTrackError && error.status === 0) break; // it will not answer for the others either
    }
  }
  return Math.max(...codes);
}

export function idOf(text: string): number {
  const id = /^[1-9]\d{0,15}$/.test(text) ? Number(text) : Number.NaN;
  if (id <= MAX_TASK_ID) return id;
  throw new UsageError(`expected the id of a task, a whole number from 1, got ${JSON.stringify(text)}`);
}

/** Each id once, in the given order. */
export const idsOf = (texts: readonly string[]): readonly number[] => [...new Set(texts.map(idOf))];

export const firstId = ({ positionals }: Call): number => idOf(positionals[0] ?? "");
