/**
 * Rings those who watch. A commit of this process rings them at once; those of others come as messages, one a script, on
 * a connection of their own that is opened for the first who watches.
 */
import type { RedisClient } from "bun";
import type { Clock } from "../../core/clock.ts";
import { errorText, type Log } from "../../lib/log.ts";
import { createLoop } from "../../lib/loop.ts";
import { isReplica } from "./fitness.ts";
import { createLink, inTime, unavailable } from "./link.ts";
import type { Nodes } from "./nodes.ts";

export interface Bell {
  /** Null: nobody can tell what is due. */
  ring(due: readonly string[] | null): void;
  watch(ring: (due: readonly string[] | null) => void): () => void;
  /** Listens on a new connection: the server that it has is no longer the store's. */
  leave(): void;
  close(): Promise<void>;
}

/** A subscriber only listens: without a word now and then it would never learn that its connection is dead. */
const PING_EVERY_MS = 5_000;

export function createBell(setup: {
  readonly nodes: Nodes;
  readonly channel: string;
  /** Who needs no message of its own commits. */
  readonly sender: string;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
}): Bell {
  const { clock, log } = setup;
  const rings = new Set<(due: readonly string[] | null) => void>();
  let isListening = false;

  const link = createLink({
    nodes: setup.nodes,
    clock,
    random: setup.random,
    greet: subscribe,
    onUp: () => ring(null), // what was told before, nobody has heard
    onDown: () =>
      log.warn("store_bell_lost", { message: "Redis no longer tells of others' commits; listening anew" }),
    onFailure: (error) => log.debug("store_bell_failed", { error: errorText(error) }),
  });

  /** A replica also publishes its primary's commits, but that primary may no longer be the store's. So a replica is refused. */
  async function subscribe(client: RedisClient): Promise<void> {
    if (await isReplica(client)) throw unavailable("Redis is a replica and takes no writes");
    await client.subscribe(setup.channel, (message) => {
      const [sender, ...due] = message.split("\n");
      if (sender !== setup.sender) ring(due);
    });
  }

  async function ping(): Promise<number> {
    const client = link.client();
    if (client !== null) await inTime(clock, client.send("PING", []), () => link.drop(client));
    return PING_EVERY_MS;
  }

  const pinging = createLoop({ after: clock.after, round: ping, onError: () => PING_EVERY_MS });

  function ring(due: readonly string[] | null): void {
    for (const tell of rings) tell(due);
  }

  function leave(): void {
    const client = link.client();
    if (client !== null) link.drop(client);
  }

  return {
    ring,
    leave,
    watch: (tell) => {
      const own = (due: readonly string[] | null): void => tell(due); // the same function may watch twice
      rings.add(own);
      if (!isListening) {
        isListening = true;
        link.openInTime();
        pinging.start();
      }
      return () => rings.delete(own);
    },
    close: async () => {
      rings.clear();
      link.close();
      await pinging.stop();
    },
  };
}
