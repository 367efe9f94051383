/** One connection that is reopened when it is lost, and the deadline of calls on it. */
import { RedisClient } from "bun";
import type { Clock } from "../../core/clock.ts";
import { TaskError } from "../../core/error.ts";
import { backoffMs } from "../../lib/backoff.ts";
import type { Nodes } from "./nodes.ts";

/** How long any call and any attempt to connect may take. */
export const DEADLINE_MS = 5_000;
/** The highest number of redirections in one attempt: a node names the owner of the slot, and may be out of date. */
export const HOPS_AT_MOST = 5;
const RECONNECT = { firstMs: 50, longestMs: 2_000 };

export interface Link {
  /** The client to write to; null while there is no connection. */
  client(): RedisClient | null;
  /** One attempt, which follows redirections to other nodes; rejects if it fails. */
  open(): Promise<void>;
  /** Repeats attempts until one succeeds. */
  openInTime(): void;
  /** Closes this client's connection and opens another. The reason is part of a sentence in the log. */
  drop(client: RedisClient, reason?: string): void;
  /** May be called twice. */
  close(): void;
}

export type LinkSetup = {
  readonly nodes: Nodes;
  readonly clock: Clock;
  readonly random: () => number;
  /** The first calls on each connection; all other calls wait for their end. */
  readonly prepare: (client: RedisClient) => Promise<void>;
  readonly onUp: () => void;
  readonly onDown: (reason: string | undefined) => void;
  readonly onFailure: (error: unknown) => void;
};

/**
 * A client that neither reconnects nor keeps what it cannot send: its own reconnection would give up after a number of tries,
 * and would send waiting commands before this program has checked the server to which it reconnected.
 */
export const createClient = (url: string): RedisClient =>
  new RedisClient(url, { autoReconnect: false, enableOfflineQueue: false, connectionTimeout: DEADLINE_MS });

export function createLink(setup: LinkSetup): Link {
  const { clock, nodes } = setup;
  let current: RedisClient | null = null;
  let opening: RedisClient | null = null;
  let cancelTimer = (): void => undefined;
  let failures = 0;
  let closed = false;

  async function open(): Promise<void> {
    for (let hops = 1; ; hops++) {
      try {
        return await openAt(nodes.url());
      } catch (error) {
        if (hops > HOPS_AT_MOST || closed || !nodes.follow(error)) throw error;
      }
    }
  }

  async function openAt(url: string): Promise<void> {
    const client = createClient(url);
    opening = client;
    client.onclose = () => drop(client);
    try {
      await inTime(clock, connect(client));
      if (closed) throw unavailable("The store has been closed");
      if (opening !== client) throw unavailable("Redis has closed the connection");
    } catch (error) {
      opening = null;
      client.onclose = null;
      client.close();
      throw error;
    }
    opening = null;
    failures = 0;
    current = client;
    setup.onUp();
  }

  async function connect(client: RedisClient): Promise<void> {
    await client.connect();
    await setup.prepare(client);
  }

  function openInTime(): void {
    if (closed) return;
    open().catch((error: unknown) => {
      if (closed) return;
      setup.onFailure(error);
      nodes.moveOn();
      cancelTimer = clock.after(backoffMs(RECONNECT, failures++) * (0.5 + setup.random() / 2), openInTime);
    });
  }

  function drop(client: RedisClient, reason?: string): void {
    if (client === opening) opening = null;
    if (client !== current) return;
    current = null;
    client.close(); // rejects the calls under way
    if (closed) return;
    setup.onDown(reason);
    openInTime();
  }

  return {
    client: () => current,
    open,
    openInTime,
    drop,
    close: () => {
      closed = true;
      cancelTimer();
      const clients = [current, opening];
      current = null;
      opening = null;
      for (const client of clients) client?.close();
    },
  };
}

/** The promise's outcome, or `store_unavailable` when that takes too long. */
export function inTime<T>(clock: Clock, promise: Promise<T>, onLate?: () => void): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancelTimer = clock.after(DEADLINE_MS, () => {
      reject(unavailable(`Redis did not answer within ${DEADLINE_MS / 1_000} s`));
      onLate?.();
    });
    promise.finally(cancelTimer).then(resolve, reject);
  });
}

export const unavailable = (message: string): TaskError => new TaskError("store_unavailable", message);
