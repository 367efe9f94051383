/**
 * Notifies the watchers of commits. A commit of this process notifies them at once. The commits of other processes come as messages,
 * one for each script, on a connection of its own that is opened for the first watcher.
 */
import type { RedisClient } from "bun";
import type { Clock } from "../../core/clock.ts";
import type { DueTypes } from "../../core/due.ts";
import { errorText, type Log } from "../../lib/log.ts";
import { createLoop } from "../../lib/loop.ts";
import { readNotification } from "../notice.ts";
import type { CommitNotice, Watcher } from "../store.ts";
import { isReplica } from "./fitness.ts";
import { createLink, inTime, unavailable } from "./link.ts";
import type { Nodes } from "./nodes.ts";

export interface Watchers {
  /** After a commit of this process. */
  committed(due: DueTypes, mayRevoke?: boolean): void;
  /** Null: the types that are due are not known. */
  notify(due: readonly string[] | null): void;
  watch(notify: Watcher): () => void;
  /** Subscribes on a new connection: the server of the present one is no longer the store's. */
  leave(): void;
  close(): Promise<void>;
}

/** A subscriber sends nothing: without a ping it would never learn that its connection is dead. */
const PING_EVERY_MS = 5_000;

export function createWatchers(setup: {
  readonly nodes: Nodes;
  readonly channel: string;
  /** Names this process in messages: it ignores its own. */
  readonly sender: string;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
}): Watchers {
  const { clock, log } = setup;
  const watchers = new Set<Watcher>();
  let isSubscribed = false;

  const link = createLink({
    nodes: setup.nodes,
    clock,
    random: setup.random,
    prepare: subscribe,
    onUp: () => notify(null), // messages that were sent before are lost
    onDown: () =>
      log.warn("store_bell_lost", {
        message: "Redis no longer sends notifications of other processes' commits; subscribing again",
      }),
    onFailure: (error) => log.debug("store_bell_failed", { error: errorText(error) }),
  });

  /** A replica also publishes its primary's commits, but that primary may no longer be the store's. So a replica is refused. */
  async function subscribe(client: RedisClient): Promise<void> {
    if (await isReplica(client)) throw unavailable("Redis is a replica and takes no writes");
    await client.subscribe(setup.channel, (message) => {
      const [sender = "", ...words] = message.split("\n");
      if (sender === setup.sender) return;
      const { due, notice } = readNotification(sender, words);
      notify(due, notice);
    });
  }

  async function ping(): Promise<number> {
    const client = link.client();
    if (client !== null) await inTime(clock, client.send("PING", []), () => link.drop(client));
    return PING_EVERY_MS;
  }

  const pinging = createLoop({ after: clock.after, round: ping, onError: () => PING_EVERY_MS });

  function notify(due: readonly string[] | null, notice?: CommitNotice): void {
    for (const watcher of watchers) watcher(due, notice);
  }

  function leave(): void {
    const client = link.client();
    if (client !== null) link.drop(client);
  }

  return {
    committed: (due, mayRevoke = false) =>
      notify([...due.keys()], { seed: null, counts: [...due.values()], mayRevoke }),
    notify,
    leave,
    watch: (watcher) => {
      const own: Watcher = (...args) => watcher(...args); // a new function, because the same one may watch twice
      watchers.add(own);
      if (!isSubscribed) {
        isSubscribed = true;
        link.openInTime();
        pinging.start();
      }
      return () => watchers.delete(own);
    },
    close: async () => {
      watchers.clear();
      link.close();
      await pinging.stop();
    },
  };
}
