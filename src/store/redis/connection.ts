/** Commands and scripts to the server: each is answered within the deadline, and its errors are sorted by what they prove. */
import type { RedisClient } from "bun";
import type { Clock } from "../../core/clock.ts";
import { TaskError } from "../../core/error.ts";
import { inTime, type Link, unavailable } from "./link.ts";
import type { Nodes } from "./nodes.ts";
import type { Script } from "./scripts.ts";

export interface Connection {
  /** The script's answer; KEYS is the prefix alone. Rejects with `store_unavailable`, `store_rejected` or `overloaded`. */
  run(script: Script, args: readonly string[]): Promise<unknown>;
  /** A plain command; rejects likewise. */
  send(command: string, args: readonly string[]): Promise<unknown>;
  /** A plain command on the key with this name after the prefix. */
  sendTo(command: string, key: string, args?: readonly string[]): Promise<unknown>;
  /** Resolves when no call is under way. */
  idle(): Promise<void>;
}

/** The highest number of calls under way; more are refused, so that a server that does not answer does not fill the memory. */
const UNDER_WAY_AT_MOST = 10_000;

export function createConnection(setup: {
  readonly link: Pick<Link, "client" | "drop">;
  readonly clock: Clock;
  readonly prefix: string;
  /** The nodes of a cluster, of which one gets the next connection. */
  readonly nodes: Pick<Nodes, "follow" | "moveOn">;
  /** Why there is no connection, if that is known. */
  readonly whyAway: () => string;
}): Connection {
  const { link, clock, prefix, nodes } = setup;
  let underWay = 0;
  let onIdle: (() => void)[] = [];

  function end(): void {
    underWay--;
    if (underWay > 0) return;
    for (const resolve of onIdle) resolve();
    onIdle = [];
  }

  async function call<T>(ask: (client: RedisClient) => Promise<T>): Promise<T> {
    const client = link.client();
    if (client === null) throw unavailable(awayWords(setup.whyAway()));
    if (underWay >= UNDER_WAY_AT_MOST) throw new TaskError("overloaded", "Too many requests wait for Redis");
    underWay++;
    try {
      return await inTime(clock, ask(client), () => link.drop(client));
    } catch (error) {
      const reason = reasonToLeave(error);
      if (reason !== null) {
        if (!nodes.follow(error) && isDown(error)) nodes.moveOn();
        link.drop(client, reason);
      }
      throw refusalOf(error);
    } finally {
      end();
    }
  }

  return {
    run: (script, args) => call((client) => runScript(client, script, [prefix, ...args])),
    send: (command, args) => call((client) => client.send(command, [...args])),
    idle: () => (underWay === 0 ? Promise.resolve() : new Promise((resolve) => onIdle.push(resolve))),
    sendTo: (command, key, args = []) => call((client) => client.send(command, [prefix + key, ...args])),
  };
}

const awayWords = (reason: string): string =>
  reason === "" ? "Redis cannot be reached" : `Redis cannot be reached: ${reason}`;

/** Sends EVALSHA, and the script's text if the server lacks it; a NOSCRIPT proves that nothing was done. */
export async function runScript(
  client: RedisClient,
  script: Script,
  keyAndArgs: readonly string[],
): Promise<unknown> {
  try {
    return await client.send("EVALSHA", [script.sha, "1", ...keyAndArgs]);
  } catch (error) {
    if (!textOf(error).startsWith("NOSCRIPT")) throw error;
    return client.send("EVAL", [script.text, "1", ...keyAndArgs]);
  }
}

/**
 * Errors that the server returns instead of running a command or a script. They all come before the first write: a script that has
 * begun is never interrupted.
 */
const REFUSALS =
  /^(OOM|MISCONF|READONLY|LOADING|BUSY|NOSCRIPT|NOPERM|NOAUTH|WRONGPASS|MASTERDOWN|NOREPLICAS|OTHERSERVER|MOVED|ASK|TRYAGAIN|CLUSTERDOWN|CROSSSLOT)\b/;

/** Answers of a server that is no longer the primary with the store's data; a new connection may lead to that one. */
const REASONS_TO_LEAVE: readonly (readonly [RegExp, string])[] = [
  [/^(READONLY|MASTERDOWN)\b/, "is a replica and takes no writes"],
  [/^LOADING\b/, "is loading its data"],
  [/^OTHERSERVER\b/, "has been restarted or promoted"],
  [/^MOVED\b/, "has given the store's slot to another node of its cluster"],
  [/^CLUSTERDOWN\b/, "does not serve the store's slot, because its cluster is down"],
];

/** Why the connection is to be closed, if the answer shows that this server cannot take the store's writes now; else null. */
function reasonToLeave(error: unknown): string | null {
  const text = textOf(error);
  return REASONS_TO_LEAVE.find(([answer]) => answer.test(text))?.[1] ?? null;
}

const isDown = (error: unknown): boolean => textOf(error).startsWith("CLUSTERDOWN");

/** The error of the port: only the server's own refusal proves that nothing was written. */
export function refusalOf(error: unknown): TaskError {
  if (error instanceof TaskError) return error;
  const text = textOf(error);
  if (REFUSALS.test(text)) return new TaskError("store_rejected", `Redis refuses: ${text}`);
  return unavailable(`Redis: ${text}`);
}

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
