/** What all commands share that speak to a running server. */
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
  about: "the server; else TASKTRACK_URL, else http://localhost:8080",
};
export const NO_COLOR: Flag = { name: "no-color", about: "no colours; so does NO_COLOR in the environment" };
export const JSON_FLAG: Flag = { name: "json", about: "JSON, as the API gives it" };

/** What every such command takes. */
export const SERVER_FLAGS: readonly Flag[] = [URL_FLAG, NO_COLOR];

const DEFAULT_URL = "http://localhost:8080";

/** A person waits: who does not answer soon is said not to. */
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

/** `url` is its address as it may be shown. */
export type Server = { readonly client: Client; readonly url: string };

/** Does it with a client of the server; what the server refuses is said, and the exit code tells it. */
export async function withServer(call: Call, deed: (server: Server) => Promise<number>): Promise<number> {
  const address = serverUrl(call.given, call.terminal);
  const url = withoutPassword(address);
  try {
    return await deed({ client: clientOf(address), url });
  } catch (error) {
    return refused(call.terminal, error, { url });
  }
}

/** Says a refusal; throws what is none. */
export function refused(
  { err }: Terminal,
  error: unknown,
  about: { readonly url: string; readonly about?: string },
): number {
  if (!(error instanceof TaskTrackError)) throw error;
  err.write(`tasktrack: ${refusalLines(error, about).join("\n")}\n`);
  return FAILED;
}

/** One deed for each task; each refusal is said, and the highest exit code is the whole's. */
export async function forEachTask(
  { terminal }: Call,
  { url, ids }: { readonly url: string; readonly ids: readonly number[] },
  deed: (id: number) => Promise<number>,
): Promise<number> {
  const codes: number[] = [];
  for (const id of ids) {
    try {
      codes.push(await deed(id));
    } catch (error) {
      codes.push(refused(terminal, error, { url, about: `task ${id}` }));
      if (error instanceof TaskTrackError && error.status === 0) break; // nor will it answer for the others
    }
  }
  return Math.max(...codes);
}

export function idOf(text: string): number {
  const id = /^[1-9]\d{0,15}$/.test(text) ? Number(text) : Number.NaN;
  if (id <= MAX_TASK_ID) return id;
  throw new UsageError(`expected the id of a task, a whole number from 1, got ${JSON.stringify(text)}`);
}

/** Each once, in the order in which they were given. */
export const idsOf = (texts: readonly string[]): readonly number[] => [...new Set(texts.map(idOf))];

export const firstId = ({ positionals }: Call): number => idOf(positionals[0] ?? "");
